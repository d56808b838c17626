import numpy as np
import pytest

from leukolens.adaptation.judged import OLD_CELLS, as_read, outer_folds, refitted, too_few
from leukolens.adaptation.local import labelled
from leukolens.adaptation.onnx_head import Head, head_of
from leukolens.adaptation.replay import unpack
from leukolens.bundle import pack
from leukolens.bundle import unpack as unpacked
from leukolens.datasets.folder import Folder
from leukolens.evaluation.calibration import fit_temperature
from leukolens.reading.reader import Reader

STAIN = (0.0, -0.08, 0.4)
COUNTS = {"neutrophil": 10, "eosinophil": 10, "monocyte": 10}


@pytest.fixture
def reader(colour_bundle):
    return Reader(colour_bundle, threads=1)


@pytest.fixture
def old(colour_bundle):
    return head_of(colour_bundle.classifier)


@pytest.fixture
def local(reader, make_lab):
    return labelled(reader, Folder(make_lab(COUNTS, stain=STAIN)))


@pytest.fixture
def outer(old, local, colour_bundle):
    return outer_folds(old, local, unpack(colour_bundle.replay, 6, 5), np.random.default_rng(0))


def test_no_cell_is_answered_by_a_head_that_saw_its_group(old, local, colour_bundle, monkeypatch):
    taught = []

    def remembering(old, features, truth, groups, replay, rng):
        taught.append({row.tobytes() for row in features})
        return real(old, features, truth, groups, replay, rng)

    import leukolens.adaptation.judged as module

    real = module.learn
    monkeypatch.setattr(module, "learn", remembering)
    outer = outer_folds(old, local, None, np.random.default_rng(0))
    assert len(taught) == len(outer.heads) == 5
    for index, row in enumerate(local.features):
        seen = [fold for fold, rows in enumerate(taught) if row.tobytes() in rows]
        assert seen == [fold for fold in range(5) if fold != outer.fold[index]]


def test_one_group_alone_cannot_be_judged(old, local):
    import dataclasses

    together = dataclasses.replace(local, groups=("lab/one",) * len(local))
    assert outer_folds(old, together, None, np.random.default_rng(0)) is None


def test_the_replay_is_judged_on_folds_too(outer):
    before, after = outer.kept
    assert before == pytest.approx(1)
    assert 0.8 < after < 1.01


def test_the_temperature_lies_between_the_old_one_and_the_likeliest(outer, local, colour_bundle):
    parent = colour_bundle.card.judgement.model_copy(update={"temperature": 2.0})
    found = refitted(parent, outer, local, tuple(colour_bundle.card.classes), "these")
    logits = outer.logits(local.features, np.arange(len(local)))
    likeliest = np.clip(fit_temperature(logits, local.truth), 2 / 3, 6)
    share = len(local) / (len(local) + OLD_CELLS)
    assert found.temperature == pytest.approx(2.0 ** (1 - share) * likeliest**share)
    assert (found.chosen_on, found.sides) == ("these", parent.sides)


def test_before_is_what_the_bundle_answers_all_looks_included(colour_bundle, outer, local, old):
    judgement = colour_bundle.card.judgement.model_copy(update={"sides": 4, "accept_above": 0.95})
    card = colour_bundle.card.model_copy(update={"judgement": judgement})
    reader = Reader(unpacked(pack(card, colour_bundle.classifier), "sides"), threads=1)
    before, after = as_read(reader, local, old, outer, judgement)
    np.testing.assert_allclose(before.probabilities, reader.classifier.probabilities(local.crops), atol=1e-5)
    assert before.images == after.images


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ({"neutrophil": 10, "monocyte": 9}, "19 cells"),
        ({"neutrophil": 16, "monocyte": 4}, "4 of monocyte"),
        ({"neutrophil": 15, "monocyte": 5}, None),
    ],
)
def test_when_there_are_too_few(reader, make_lab, counts, reason):
    found = too_few(labelled(reader, Folder(make_lab(counts))), tuple(reader.bundle.card.classes))
    assert found is None if reason is None else found.startswith(reason)


def test_each_fold_answers_for_its_own(outer, local):
    logits = outer.logits(local.features, np.arange(len(local)))
    for index in (0, 7, 29):
        head: Head = outer.heads[outer.fold[index]]
        np.testing.assert_allclose(logits[index], head.logits(local.features[[index]])[0])
