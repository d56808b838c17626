import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, recall_score

from leukolens.adaptation.comparison import compare
from leukolens.evaluation.measures import headline
from leukolens.evaluation.predictions import Predictions

CLASSES = ("neutrophil", "eosinophil", "monocyte")


def answers(truth, predicted, groups=None):
    rows = np.eye(3)[np.maximum(predicted, 0)] * 0.7 + 0.1
    rows[np.asarray(predicted) < 0] = np.nan
    names = tuple(map(str, range(len(truth))))
    return Predictions(CLASSES, names, tuple(groups or names), np.asarray(truth), rows)


def some(share, seed, count=60):
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % 3
    return truth, np.where(rng.random(count) < share, truth, (truth + 1) % 3)


def test_values_are_sklearns_and_intervals_those_of_an_evaluation():
    truth, old = some(0.6, 0)
    new = some(0.9, 1)[1]
    before, after = answers(truth, old), answers(truth, new)
    found = compare(before, after)
    assert found.balanced.before.value == pytest.approx(balanced_accuracy_score(truth, old))
    assert found.balanced.after.value == pytest.approx(balanced_accuracy_score(truth, new))
    assert [line.recall.after.value for line in found.classes] == pytest.approx(
        recall_score(truth, new, average=None)
    )
    assert found.accuracy.before == headline(before).accuracy
    assert found.balanced.after == headline(after).balanced_accuracy
    assert found.verdict == "better"


def test_the_difference_is_paired():
    truth, old = some(0.7, 0, 120)
    new = old.copy()
    new[np.flatnonzero(old != truth)[:6]] = truth[np.flatnonzero(old != truth)[:6]]
    found = compare(answers(truth, old), answers(truth, new)).accuracy
    assert found.difference.value == pytest.approx(6 / 120)
    # Apart, either figure may move by ten points; together they cannot fall.
    assert found.before.interval.high - found.before.interval.low > 0.12
    assert found.difference.interval.low >= 0
    assert found.difference.interval.high < 0.12


def test_copies_of_one_photograph_are_one_piece_of_evidence():
    truth, old = some(0.5, 0, 30)
    new = np.where(np.arange(30) < 20, truth, old)
    alone = compare(answers(truth, old), answers(truth, new)).accuracy.difference
    many = [np.repeat(values, 20) for values in (truth, old, new)]
    groups = [str(index) for index in np.repeat(np.arange(30), 20)]
    together = compare(
        answers(many[0], many[1], groups), answers(many[0], many[2], groups)
    ).accuracy.difference
    assert together == alone


def test_recalls_that_changed_places_are_no_loss():
    truth = np.repeat([0, 1, 2], 10)
    right = np.arange(30) % 10
    old = np.where(right < np.repeat([1, 2, 3], 10), truth, -1)
    new = np.where(right < np.repeat([3, 2, 1], 10), truth, -1)
    assert np.mean([0.3, 0.2, 0.1]) < np.mean([0.1, 0.2, 0.3])  # in the last digit
    found = compare(answers(truth, old), answers(truth, new))
    assert found.balanced.difference.value == 0
    assert found.verdict == "no worse"


def test_a_class_of_few_groups_has_no_interval_and_cannot_be_called_harmed():
    truth = np.array([0] * 20 + [1] * 20 + [2] * 4)
    old = truth.copy()
    new = truth.copy()
    new[-4:] = 0
    old[:30] = 2
    found = compare(answers(truth, old), answers(truth, new))
    assert found.classes[2].recall.difference.interval is None
    assert found.harmed == ()
    assert found.verdict == "better"


def test_a_class_that_falls_makes_the_whole_worse():
    truth = np.repeat([0, 1, 2], 20)
    old, new = truth.copy(), truth.copy()
    old[:30] = 2
    new[-15:] = 0
    found = compare(answers(truth, old), answers(truth, new))
    assert found.balanced.difference.value > 0
    assert [line.key for line in found.harmed] == ["monocyte"]
    assert found.verdict == "worse"


@pytest.mark.parametrize(("shift", "verdict"), [(0, "no worse"), (-1, "worse"), (1, "no worse")])
def test_one_cell_more_or_less(shift, verdict):
    truth = np.repeat([0, 1, 2], 20)
    old, new = truth.copy(), truth.copy()
    old[0], new[0] = (2, 0) if shift > 0 else (0, 0)
    if shift < 0:
        new[0] = 2
    assert compare(answers(truth, old), answers(truth, new)).verdict == verdict


def test_a_cell_that_was_not_found_counts_as_wrong_in_both():
    truth = np.repeat([0, 1, 2], 10)
    lost = truth.copy()
    lost[0] = -1
    found = compare(answers(truth, lost), answers(truth, lost))
    assert found.classes[0].recall.before.value == found.classes[0].recall.after.value == 0.9
    assert found.classes[0].cells == 10


def test_classes_without_a_cell_are_left_out():
    truth = np.repeat([0, 2], 10)
    found = compare(answers(truth, truth), answers(truth, truth))
    assert [line.key for line in found.classes] == ["neutrophil", "monocyte"]
    assert found.balanced.after.value == 1
