import dataclasses

import numpy as np
import pytest

import leukolens.adaptation.teacher as teaching
from leukolens.adaptation.local import labelled
from leukolens.adaptation.onnx_head import Head, head_of
from leukolens.adaptation.outer import model_of, outer_folds
from leukolens.adaptation.replay import unpack
from leukolens.adaptation.teacher import Own, Teacher, all_of, head_teacher
from leukolens.datasets.folder import Folder
from leukolens.reading.reader import Reader

STAIN = (0.0, -0.08, 0.4)
COUNTS = {"neutrophil": 10, "eosinophil": 10, "monocyte": 10}


@pytest.fixture
def reader(colour_bundle):
    return Reader(colour_bundle, threads=1)


@pytest.fixture
def teacher(colour_bundle):
    return head_teacher(head_of(colour_bundle.classifier))


@pytest.fixture
def local(reader, make_lab):
    return labelled(reader, Folder(make_lab(COUNTS, stain=STAIN)))


@pytest.fixture
def outer(teacher, reader, local, colour_bundle):
    return outer_folds(teacher, reader, local, unpack(colour_bundle.replay, 6, 5), np.random.default_rng(0))


def test_no_cell_is_answered_by_a_head_that_saw_its_group(teacher, reader, local, monkeypatch):
    taught = []

    def remembering(old, looks, truth, groups, replay, rng, threads):
        taught.append({row.tobytes() for row in looks.reshape(-1, looks.shape[-1])})
        return real(old, looks, truth, groups, replay, rng, threads)

    real = teaching.learn
    monkeypatch.setattr(teaching, "learn", remembering)
    outer = outer_folds(teacher, reader, local, None, np.random.default_rng(0))
    assert len(taught) == len(outer.models) == 5
    for index, row in enumerate(local.features):
        seen = [fold for fold, rows in enumerate(taught) if row.tobytes() in rows]
        assert seen == [fold for fold in range(5) if fold != outer.fold[index]]


def test_one_group_alone_cannot_be_judged(teacher, reader, local):
    together = dataclasses.replace(local, groups=("lab/one",) * len(local))
    assert outer_folds(teacher, reader, together, None, np.random.default_rng(0)) is None


def test_the_replay_is_judged_on_folds_too(outer):
    before, after = outer.kept
    assert before == pytest.approx(1)
    assert 0.8 < after < 1.01


def test_each_fold_answers_for_its_own(outer, local):
    logits = outer.first()
    cells = np.array([0, 7, 29])
    again = outer.logits(local.crops[cells], local.features[cells], cells)
    for place, index in enumerate(cells):
        head: Head = outer.models[outer.fold[index]].head
        np.testing.assert_allclose(logits[index], head.logits(local.features[[index]])[0])
        np.testing.assert_allclose(again[place], logits[index])


class TestALearnerThatChangesTheNetwork:
    """Its graph gives twice the features, and its head takes half of them."""

    @pytest.fixture
    def teacher(self, colour_bundle, graph_of, colour_head):
        weight, bias = colour_head
        double = graph_of(weight / 2, bias, features="features", doubled=True)

        def teach(taught, replay, rng):
            assert taught.crops.shape[1:] == (32, 32, 3)
            return Own(Head(weight / 2.0, bias.astype(float)), None, double)

        return Teacher("network", 3, teach)

    def test_its_folds_are_asked_through_its_own_graph(self, teacher, reader, local):
        outer = outer_folds(teacher, reader, local, None, np.random.default_rng(0))
        assert len(outer.models) == 3
        np.testing.assert_allclose(outer.models[0].features, 2 * local.features, rtol=1e-5)
        old = head_of(reader.bundle.classifier)
        np.testing.assert_allclose(outer.first(), old.logits(local.features), atol=1e-4)
        cells = np.array([3, 20])
        turned = local.crops[cells][:, ::-1]
        found = outer.logits(turned, np.zeros((2, 6), np.float32), cells)
        np.testing.assert_allclose(found, old.logits(local.features[cells]), atol=1e-2)

    def test_what_it_sees_is_what_the_new_graph_gives(self, teacher, reader, local):
        own = teacher.learn(all_of(local), None, np.random.default_rng(0))
        np.testing.assert_allclose(model_of(own, reader, local).features, 2 * local.features, rtol=1e-5)
