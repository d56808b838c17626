import numpy as np
import pytest

from leukolens.evaluation.unseen_labs import restricted
from leukolens.evaluation.unseen_sums import RunSums, most_certain_weights


def test_the_most_certain_are_the_first_of_the_ordered(drawn):
    predictions = drawn(3, lost=0.0)
    weights = most_certain_weights(predictions)
    count = int(0.8 * len(predictions))
    order = np.argsort(-predictions.confidence, kind="stable")
    np.testing.assert_array_equal(weights[order[:count]], 1)
    assert weights.sum() == pytest.approx(0.8 * len(predictions))
    assert np.count_nonzero(weights) - count in {0, 1}


def test_equals_at_the_border_share_what_is_left(given):
    rows = [[0.9, 0.1], *[[0.6, 0.4]] * 4]
    predictions = given(rows, [0] * 5, classes=("neutrophil", "monocyte"))
    assert most_certain_weights(predictions) == pytest.approx([1, 0.75, 0.75, 0.75, 0.75])


def test_an_image_without_a_cell_is_the_least_certain_and_counts_where_too_many_have_none(given):
    nothing = [np.nan, np.nan]
    rows = [[0.5, 0.5], nothing, [0.6, 0.4], [0.7, 0.3], nothing]
    weights = most_certain_weights(given(rows, [0] * 5, classes=("neutrophil", "monocyte")))
    assert weights == pytest.approx([1, 0.5, 1, 1, 0.5])


def test_weights_are_as_good_as_images_written_out(asked):
    answers, predictions = restricted(asked("raabin"))
    sums = RunSums(answers, predictions)
    drawn = np.random.default_rng(0).integers(0, 3, (1, len(sums.groups.keys))).astype(float)
    found = sums.figures(drawn)[0]
    index = np.repeat(np.arange(len(predictions)), drawn[0, sums.groups.member].astype(int))
    right, truth = predictions.correct[index], predictions.truth[index]
    recalls = [right[truth == label].mean() for label in range(len(predictions.classes))]
    assert found[0] == pytest.approx(right.mean())
    assert found[1] == pytest.approx(np.mean(recalls))
    assert found[8:] == pytest.approx(recalls)
    accepted = np.array(answers.decisions)[index] == "accept"
    assert found[7] == pytest.approx(accepted.mean())
    assert found[6] == pytest.approx(answers.predictions.correct[index][accepted].mean())
    weights = most_certain_weights(predictions)[index]
    assert found[5] == pytest.approx(np.average(right, weights=weights))


def test_none_accepted_has_no_accuracy(asked):
    answers, predictions = restricted(asked("raabin"))
    timid = type(answers)(answers.predictions, ("review",) * len(predictions), answers.boxes, ())
    found = RunSums(timid, predictions).figures(np.ones((1, len(set(predictions.groups)))))[0]
    assert found[7] == 0
    assert np.isnan(found[6])
