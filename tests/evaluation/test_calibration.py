import numpy as np
import pytest
from scipy import optimize, special
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from leukolens.errors import DataError
from leukolens.evaluation.calibration import (
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    accept_threshold,
    coverage_curve,
    expected_calibration_error,
    fit_temperature,
    reliability,
    softmax,
    with_temperature,
)


def _logits(seed=0, count=900, classes=5, sharpness=2.5):
    rng = np.random.default_rng(seed)
    honest = rng.normal(0, 1.5, (count, classes))
    truth = np.array([rng.choice(classes, p=row) for row in special.softmax(honest, axis=1)])
    return honest * sharpness, truth


def test_softmax_is_scipys_and_bears_huge_logits():
    logits, _ = _logits()
    np.testing.assert_allclose(softmax(logits, 1.7), special.softmax(logits / 1.7, axis=1), rtol=1e-12)
    np.testing.assert_array_equal(softmax(np.array([[1e5, 0.0]])), [[1.0, 0.0]])


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 2.5, 9.0])
def test_the_temperature_is_the_one_that_scipys_optimiser_finds(sharpness):
    logits, truth = _logits(sharpness=sharpness)
    oracle = optimize.minimize_scalar(
        lambda log: log_loss(truth, special.softmax(logits / np.exp(log), axis=1), labels=range(5)),
        bounds=(np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE)),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert fit_temperature(logits, truth) == pytest.approx(np.exp(oracle.x), rel=1e-5)


def test_the_temperature_undoes_a_known_sharpening():
    logits, truth = _logits(count=20_000, sharpness=2.5)
    assert fit_temperature(logits, truth) == pytest.approx(2.5, rel=0.05)


def test_all_right_and_all_wrong_give_the_ends():
    assert fit_temperature(np.array([[3.0, 0.0]] * 4), np.zeros(4, np.int64)) == LOWEST_TEMPERATURE
    assert fit_temperature(np.array([[3.0, 0.0]] * 4), np.ones(4, np.int64)) == HIGHEST_TEMPERATURE


def test_rows_without_a_cell_do_not_move_the_temperature():
    logits, truth = _logits()
    with_lost = np.vstack([logits, np.full((50, 5), np.nan)])
    longer = np.concatenate([truth, np.zeros(50, np.int64)])
    assert fit_temperature(with_lost, longer) == fit_temperature(logits, truth)
    with pytest.raises(DataError, match="no held-out image"):
        fit_temperature(with_lost[900:], longer[900:])


def test_another_temperature_is_that_of_the_logits(given):
    logits, truth = _logits(classes=4)
    predictions = given(softmax(logits), truth.tolist())
    np.testing.assert_allclose(
        with_temperature(predictions, 2.0).probabilities, softmax(logits, 2.0), rtol=1e-9, atol=1e-15
    )


def test_another_temperature_bears_zeros_and_images_without_a_cell(given):
    cooled = with_temperature(given([[1, 0, 0, 0], [float("nan")] * 4], [0, 1]), 2.0)
    assert cooled.predicted.tolist() == [0, -1]


def _slow_ece(confidence, correct, bins=15):
    order = sorted(range(len(confidence)), key=lambda index: confidence[index])
    base, extra = divmod(len(order), bins)
    total, start = 0.0, 0
    for position in range(bins):
        size = base + (position < extra)
        part = order[start : start + size]
        start += size
        said = sum(confidence[index] for index in part)
        true = sum(correct[index] for index in part)
        total += abs(said - true)
    return total / len(order)


def test_ece_is_the_plain_definition(drawn):
    predictions = drawn(5)
    found = predictions.found
    slow = _slow_ece(predictions.confidence[found].tolist(), predictions.correct[found].tolist())
    assert expected_calibration_error(predictions) == pytest.approx(slow, abs=1e-12)


def test_reliability_is_sklearns_where_bins_divide_evenly(given):
    logits, truth = _logits(count=900, classes=4, sharpness=1.5)
    predictions = given(softmax(logits), truth.tolist())
    true, said = calibration_curve(
        predictions.correct, predictions.confidence, n_bins=15, strategy="quantile"
    )
    ours = reliability(predictions)
    np.testing.assert_allclose(ours.confidence, said, atol=1e-12)
    np.testing.assert_allclose(ours.accuracy, true, atol=1e-12)
    np.testing.assert_allclose(ours.count, 60)


def test_equal_confidences_make_the_order_of_images_irrelevant(given):
    rng = np.random.default_rng(0)
    rows = np.array([[0.9, 0.1, 0, 0], [0.6, 0.4, 0, 0], [0.5, 0.3, 0.2, 0]])[rng.integers(0, 3, 200)]
    truth = rng.integers(0, 2, 200)
    order = np.lexsort((truth,))
    one = reliability(given(rows, truth.tolist()))
    other = reliability(given(rows[order], truth[order].tolist()))
    np.testing.assert_allclose(one.accuracy, other.accuracy, atol=1e-12)
    np.testing.assert_allclose(one.confidence, other.confidence, atol=1e-12)
    np.testing.assert_allclose(one.member.sum(axis=0), 1)


def test_perfectly_and_worst_calibrated_in_closed_form(given):
    half = given([[0.5, 0.5, 0, 0]] * 30, [0, 1] * 15)
    assert expected_calibration_error(half) == pytest.approx(0)
    sure = given([[1, 0, 0, 0]] * 30, [1] * 30)
    assert expected_calibration_error(sure) == pytest.approx(1)


def test_fewer_images_than_bins_and_none_at_all(given):
    few = reliability(given([[0.7, 0.3, 0, 0], [0.6, 0.4, 0, 0]], [0, 1]))
    assert few.count.tolist() == [1, 1]
    assert few.expected_error == pytest.approx((0.3 + 0.6) / 2)
    assert np.isnan(expected_calibration_error(given([], [])))
    assert np.isnan(expected_calibration_error(given([[float("nan")] * 4], [0])))


def _slow_curve(predictions):
    confidence, correct = predictions.confidence, predictions.correct
    for threshold in sorted({float(value) for value in confidence[predictions.found]}, reverse=True):
        accepted = [index for index in range(len(predictions)) if confidence[index] >= threshold]
        by_group = {}
        for index in accepted:
            by_group.setdefault(predictions.groups[index], []).append(bool(correct[index]))
        yield (
            threshold,
            len(accepted) / len(predictions),
            sum(bool(correct[index]) for index in accepted) / len(accepted),
            len(by_group),
            sum(sum(answers) / len(answers) for answers in by_group.values()) / len(by_group),
        )


@pytest.mark.parametrize("seed", range(4))
def test_the_coverage_curve_is_counting_by_hand(drawn, seed):
    predictions = drawn(seed, copies=5)
    # Rounding makes ties, within groups and across them.
    predictions = with_temperature(predictions, 1.0)
    rows = np.round(predictions.probabilities, 1)
    rows[:, 0] += 1 - rows.sum(axis=1)
    rows = np.where(rows < 0, 0, rows)
    rows /= rows.sum(axis=1, keepdims=True)
    predictions = type(predictions)(
        predictions.classes, predictions.images, predictions.groups, predictions.truth, rows
    )
    curve = coverage_curve(predictions)
    slow = np.array(list(_slow_curve(predictions)))
    fast = np.stack(
        [curve.threshold, curve.coverage, curve.accuracy, curve.groups, curve.group_accuracy], axis=1
    )
    np.testing.assert_allclose(fast, slow, atol=1e-12)


def test_the_coverage_curve_of_nothing_is_empty(given):
    assert coverage_curve(given([], [])).threshold.size == 0
    assert coverage_curve(given([[float("nan")] * 4], [0])).threshold.size == 0


def _ladder(given, right, groups=None):
    """Images ever less sure, each a group of its own unless told; ``right`` says which are right."""
    rows = [[1 - 0.4 * step / len(right), 0.4 * step / len(right), 0, 0] for step in range(len(right))]
    return given(rows, [0 if good else 2 for good in right], groups)


def test_the_threshold_is_the_smallest_that_holds_over_images(given):
    predictions = _ladder(given, [True] * 38 + [False] * 2 + [False] * 10)
    chosen = accept_threshold(predictions)
    assert chosen.accuracy == pytest.approx(0.95)
    assert chosen.coverage == pytest.approx(40 / 50)
    assert chosen.threshold == pytest.approx(predictions.confidence[39])
    assert ((predictions.confidence >= chosen.threshold).sum()) == 40


def test_copies_of_easy_photographs_do_not_pay_for_wrong_ones(given):
    # 40 right copies of one photograph, then 19 single photographs, two of them wrong.
    right = [True] * 40 + [True] * 17 + [False] * 2
    groups = ["easy"] * 40 + [f"photograph {index}" for index in range(19)]
    by_image = accept_threshold(_ladder(given, right))
    by_group = accept_threshold(_ladder(given, right, groups))
    assert by_image.coverage == 1.0
    assert by_group.coverage == pytest.approx(57 / 59)
    assert by_group.accuracy == 1.0


def test_many_wrong_copies_of_one_photograph_count_as_images_too(given):
    right = [True] * 60 + [False] * 30
    groups = [f"photograph {index}" for index in range(60)] + ["hard"] * 30
    chosen = accept_threshold(_ladder(given, right, groups))
    assert chosen.coverage < 65 / 90


def test_fewer_than_nine_groups_believe_no_threshold(given):
    eight = _ladder(given, [True] * 8)
    assert accept_threshold(eight).threshold == 1.0
    assert accept_threshold(eight, fewest_groups=8).threshold == pytest.approx(eight.confidence[7])


def test_where_nothing_is_good_enough_nothing_is_accepted(given):
    hopeless = given([[0.6, 0.4, 0, 0]] * 40, [1] * 40)
    assert accept_threshold(hopeless) == type(accept_threshold(hopeless))(1.0, None, 0.0)
    assert accept_threshold(given([], [])).coverage == 0.0


def test_images_without_a_cell_lower_the_coverage(given):
    rows = [[0.9, 0.1, 0, 0]] * 30 + [[float("nan")] * 4] * 10
    chosen = accept_threshold(given(rows, [0] * 40))
    assert (chosen.accuracy, chosen.coverage) == (1.0, 0.75)


def test_what_is_named_no_leukocyte_pays_for_no_wrong_leukocyte(given):
    white = _ladder(given, [True] * 38 + [False] * 12)
    rows = np.column_stack([white.probabilities, np.zeros(50)])
    other = np.tile([0, 0, 0, 0.02, 0.98], (200, 1))
    both = type(white)(
        (*white.classes, "other"),
        tuple(f"{number}" for number in range(250)),
        tuple(f"group {number}" for number in range(250)),
        np.concatenate([white.truth, np.full(200, 4)]),
        np.concatenate([rows, other]),
    )
    assert accept_threshold(both) == accept_threshold(white)
