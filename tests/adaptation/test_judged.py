import numpy as np
import pytest

from leukolens.adaptation.judged import OLD_CELLS, as_read, refitted, too_few
from leukolens.adaptation.local import labelled
from leukolens.adaptation.onnx_head import head_of
from leukolens.adaptation.outer import outer_folds
from leukolens.adaptation.replay import unpack
from leukolens.adaptation.teacher import head_teacher
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
def local(reader, make_lab):
    return labelled(reader, Folder(make_lab(COUNTS, stain=STAIN)))


@pytest.fixture
def outer(reader, local, colour_bundle):
    teacher = head_teacher(head_of(colour_bundle.classifier))
    return outer_folds(teacher, reader, local, unpack(colour_bundle.replay, 6, 5), np.random.default_rng(0))


def test_the_temperature_lies_between_the_old_one_and_the_likeliest(outer, local, colour_bundle):
    parent = colour_bundle.card.judgement.model_copy(update={"temperature": 2.0})
    found = refitted(parent, outer, local, tuple(colour_bundle.card.classes), "these")
    logits = outer.first()
    likeliest = np.clip(fit_temperature(logits, local.truth), 2 / 3, 6)
    share = len(local) / (len(local) + OLD_CELLS)
    assert found.temperature == pytest.approx(2.0 ** (1 - share) * likeliest**share)
    assert (found.chosen_on, found.sides) == ("these", parent.sides)


def test_before_is_what_the_bundle_answers_all_looks_included(colour_bundle, outer, local):
    judgement = colour_bundle.card.judgement.model_copy(update={"sides": 4, "accept_above": 0.95})
    card = colour_bundle.card.model_copy(update={"judgement": judgement})
    reader = Reader(unpacked(pack(card, colour_bundle.classifier), "sides"), threads=1)
    before, after = as_read(reader, local, outer, judgement)
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
    local = labelled(reader, Folder(make_lab(counts)))
    found = too_few(local.truth, local.groups, tuple(reader.bundle.card.classes))
    assert found is None if reason is None else found.startswith(reason)
