import numpy as np
import pytest
from sklearn import metrics as oracle

from leukolens.evaluation import metrics
from leukolens.evaluation.predictions import NO_CELL

NOTHING = [float("nan")] * 4
SEEDS = range(5)


def _matrix(predictions):
    return metrics.confusion_matrix(predictions.truth, predictions.predicted, len(predictions.classes))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_confusion_matrix_is_sklearns_with_no_cell_as_a_class_of_answers(drawn, seed):
    predictions = drawn(seed, lost=0.1)
    answered = np.where(predictions.predicted == NO_CELL, 4, predictions.predicted)
    expected = oracle.confusion_matrix(predictions.truth, answered, labels=range(5))
    np.testing.assert_array_equal(_matrix(predictions), expected[:4])
    assert _matrix(predictions)[:, 4].sum() == (~predictions.found).sum() > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_shares_are_sklearns(drawn, seed):
    predictions = drawn(seed, lost=0.1)
    matrix, truth, answered = _matrix(predictions), predictions.truth, predictions.predicted
    assert metrics.accuracy(matrix) == pytest.approx(oracle.accuracy_score(truth, answered))
    precision, recall, f1, support = oracle.precision_recall_fscore_support(truth, answered, labels=range(4))
    np.testing.assert_allclose(metrics.precision(matrix), precision)
    np.testing.assert_allclose(metrics.recall(matrix), recall)
    np.testing.assert_allclose(metrics.f1(matrix), f1)
    np.testing.assert_array_equal(metrics.support(matrix), support)
    assert metrics.balanced_accuracy(matrix) == pytest.approx(
        oracle.recall_score(truth, answered, labels=range(4), average="macro")
    )


def test_a_class_without_images_has_no_recall_and_stays_out_of_the_balance(given):
    predictions = given([[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]], [0, 1, 1])
    matrix = _matrix(predictions)
    np.testing.assert_array_equal(metrics.recall(matrix), [1, 0.5, np.nan, np.nan])
    np.testing.assert_array_equal(metrics.precision(matrix), [0.5, 1, np.nan, np.nan])
    assert metrics.balanced_accuracy(matrix) == 0.75
    assert metrics.balanced_accuracy(matrix) == oracle.balanced_accuracy_score([0, 1, 1], [0, 0, 1])


def test_a_class_that_is_never_answered_has_no_precision_but_an_f1_of_zero(given):
    matrix = _matrix(given([[1, 0, 0, 0], [1, 0, 0, 0]], [0, 1]))
    assert np.isnan(metrics.precision(matrix)[1])
    assert metrics.f1(matrix)[1] == 0


def test_images_without_a_cell_are_wrong_but_burden_no_other_class(given):
    matrix = _matrix(given([[1, 0, 0, 0], NOTHING, [0, 1, 0, 0]], [0, 0, 1]))
    assert metrics.accuracy(matrix) == pytest.approx(2 / 3)
    assert metrics.recall(matrix)[0] == 0.5
    assert metrics.precision(matrix)[1] == 1


def test_no_images_make_nan_not_an_error(given):
    matrix = _matrix(given([], []))
    assert matrix.shape == (4, 5)
    assert np.isnan([metrics.accuracy(matrix), metrics.balanced_accuracy(matrix)]).all()


def test_resamples_on_leading_axes_are_computed_one_by_one(drawn):
    stack = np.stack([_matrix(drawn(seed)) for seed in SEEDS])
    for figure in (
        metrics.accuracy,
        metrics.balanced_accuracy,
        metrics.recall,
        metrics.precision,
        metrics.f1,
    ):
        np.testing.assert_array_equal(figure(stack), [figure(matrix) for matrix in stack])


@pytest.mark.parametrize("decimals", [1, 12])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_roc_curve_is_sklearns_ties_included(drawn, seed, decimals):
    predictions = drawn(seed, lost=0.05)
    for label in range(4):
        scores = np.round(metrics.class_scores(predictions, label), decimals)
        positive = predictions.truth == label
        curve = metrics.roc_curve(scores, positive)
        false, true, _ = oracle.roc_curve(positive, scores, drop_intermediate=False)
        np.testing.assert_allclose(curve.false_positive_rate, false)
        np.testing.assert_allclose(curve.true_positive_rate, true)
        assert curve.area == pytest.approx(oracle.roc_auc_score(positive, scores), abs=1e-12)


def test_the_area_is_the_chance_of_a_right_order():
    scores, positive = np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False])
    assert metrics.roc_curve(scores, positive).area == (1 + 1 + 0.5 + 1) / 4


def test_weighted_areas_are_sklearns_with_sample_weights(drawn):
    predictions = drawn(2)
    weights = np.random.default_rng(0).integers(0, 3, (4, len(predictions))).astype(float)
    scores, positive = metrics.class_scores(predictions, 1), predictions.truth == 1
    expected = [oracle.roc_auc_score(positive, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(metrics.areas_under_roc(scores, positive, weights), expected)


def test_one_class_alone_has_no_area(given):
    predictions = given([[0.9, 0.1, 0, 0], [0.6, 0.4, 0, 0]], [0, 0])
    for label in (0, 1):
        scores = metrics.class_scores(predictions, label)
        assert np.isnan(metrics.roc_curve(scores, predictions.truth == label).area)
    assert np.isnan(metrics.roc_curve(np.zeros(0), np.zeros(0, bool)).area)


def test_a_lost_image_scores_below_every_answer(given):
    predictions = given([[0, 1, 0, 0], NOTHING], [1, 0])
    scores = metrics.class_scores(predictions, 0)
    assert scores[1] < scores[0]
    assert metrics.roc_curve(scores, predictions.truth == 0).area == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_brier_and_log_loss_are_sklearns(drawn, seed):
    predictions = drawn(seed, lost=0)
    truth, rows = predictions.truth, predictions.probabilities
    assert metrics.log_loss(predictions).mean() == pytest.approx(
        oracle.log_loss(truth, rows, labels=range(4))
    )
    assert metrics.brier(predictions).mean() == pytest.approx(
        oracle.brier_score_loss(truth, rows, labels=range(4), scale_by_half=False)
    )


def test_brier_and_log_loss_of_a_lost_image_are_those_of_knowing_nothing(given):
    lost, nothing = given([NOTHING], [2]), given([[0.25] * 4], [2])
    assert metrics.brier(lost) == metrics.brier(nothing) == pytest.approx(0.75)
    assert metrics.log_loss(lost) == metrics.log_loss(nothing) == pytest.approx(np.log(4))


def test_a_confident_error_costs_much_but_not_infinitely(given):
    assert metrics.log_loss(given([[1, 0, 0, 0]], [1]))[0] == pytest.approx(-np.log(np.finfo(float).eps))
    assert metrics.brier(given([[1, 0, 0, 0]], [1]))[0] == 2


def test_a_photograph_is_what_most_of_its_copies_say(given):
    rows = [[0.9, 0.1, 0, 0], [0.9, 0.1, 0, 0], [0.1, 0.9, 0, 0], [0.2, 0.8, 0, 0]]
    whole = metrics.photographs(given(rows, [0, 0, 0, 1], ["b", "b", "b", "a"]))
    assert whole.groups == ("a", "b")
    assert whole.predicted.tolist() == [1, 0]
    assert whole.truth.tolist() == [1, 0]
    assert whole.images.tolist() == [1, 3]
    assert whole.correct.all()


def test_a_tie_between_copies_goes_to_the_higher_mean_probability(given):
    rows = [[0.6, 0.4, 0, 0], [0.3, 0.7, 0, 0]]
    assert metrics.photographs(given(rows, [0, 0], ["a", "a"])).predicted.tolist() == [1]
    assert metrics.photographs(given(rows[::-1], [0, 0], ["a", "a"])).predicted.tolist() == [1]


def test_the_majority_wins_against_any_belief(given):
    rows = [[0.34, 0.33, 0.33, 0], [0.34, 0.33, 0.33, 0], [0, 1, 0, 0]]
    assert metrics.photographs(given(rows, [0] * 3, ["a"] * 3)).predicted.tolist() == [0]


def test_lost_copies_vote_for_nothing_and_lose_ties(given):
    one, lost = [0, 0, 1, 0], NOTHING
    assert metrics.photographs(given([one, lost], [2, 2], ["a", "a"])).predicted.tolist() == [2]
    mostly_lost = metrics.photographs(given([one, lost, lost], [2] * 3, ["a"] * 3))
    assert mostly_lost.predicted.tolist() == [NO_CELL]
    assert not mostly_lost.correct.any()


def test_a_group_of_two_classes_counts_once_for_each(given):
    whole = metrics.photographs(given([[1, 0, 0, 0], [1, 0, 0, 0]], [0, 1], ["a", "a"]))
    assert whole.groups == ("a", "a")
    assert whole.correct.tolist() == [True, False]


def test_no_photographs_of_no_images(given):
    assert metrics.photographs(given([], [])).correct.shape == (0,)
