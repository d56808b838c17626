import numpy as np
import pytest

from leukolens.evaluation.calibration import expected_calibration_error
from leukolens.evaluation.intervals import groups_of, resampled_weights
from leukolens.evaluation.metrics import brier, log_loss
from leukolens.evaluation.trust import calibration_measures, coverage_band, decision_measures


def test_calibration_figures_are_those_of_calibration_and_metrics(drawn):
    predictions = drawn(1)
    measured = calibration_measures(predictions)
    assert measured.expected_error.value == expected_calibration_error(predictions)
    assert measured.brier.value == pytest.approx(brier(predictions).mean())
    assert measured.log_loss.value == pytest.approx(log_loss(predictions).mean())
    assert len(measured.bin_intervals) == len(measured.bins.count) == 15
    for figure in (measured.brier, measured.log_loss):
        assert figure.interval.low < figure.value < figure.interval.high


def test_the_calibration_errors_interval_keeps_the_bins(drawn):
    predictions = drawn(2)
    groups, bins = groups_of(predictions), calibration_measures(predictions).bins
    slow = []
    for row in np.concatenate(list(resampled_weights(groups))):
        times = row[groups.member]
        mass = bins.member * times
        gap = (mass * (predictions.correct - np.nan_to_num(predictions.confidence))).sum(axis=1)
        slow.append(np.abs(gap).sum() / times[predictions.found].sum())
    fast = calibration_measures(predictions).expected_error.interval
    assert (fast.low, fast.high) == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])))


def test_the_band_follows_the_curve(drawn):
    predictions = drawn(3)
    band = coverage_band(predictions)
    assert 50 < len(band.coverage) <= 100
    assert (np.diff(band.coverage) > 0).all()
    accuracy = np.interp(band.coverage, band.curve.coverage, band.curve.accuracy)
    enough = band.curve.groups[np.searchsorted(band.curve.coverage, band.coverage - 1e-12)] >= 9
    assert 0 < (~enough).sum() < 20
    assert np.isnan(band.low[~enough]).all()
    assert (band.low[enough] <= accuracy[enough] + 1e-9).all()
    assert (band.high[enough] >= accuracy[enough] - 1e-9).all()
    assert band.coverage[-1] == pytest.approx(predictions.found.mean())


def test_the_bands_end_is_the_interval_of_accuracy_where_every_image_has_a_cell(drawn):
    predictions = drawn(3, lost=0)
    groups = groups_of(predictions)
    weights = np.concatenate(list(resampled_weights(groups)))
    slow = [np.average(predictions.correct, weights=row[groups.member]) for row in weights]
    band = coverage_band(predictions)
    assert (band.low[-1], band.high[-1]) == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])))


def test_decisions_are_counted_with_what_was_right_among_them(given):
    rows = [[0.9, 0.1, 0, 0]] * 20 + [[0.5, 0.4, 0.1, 0]] * 10 + [[float("nan")] * 4] * 2
    predictions = given(rows, [0] * 20 + [0] * 5 + [1] * 5 + [2] * 2)
    lines = decision_measures(predictions, ["accept"] * 20 + ["review"] * 10 + ["no cell"] * 2)
    assert [(line.decision, line.images) for line in lines] == [
        ("accept", 20),
        ("review", 10),
        ("no cell", 2),
    ]
    assert [line.accuracy.value for line in lines] == [1.0, 0.5, 0.0]
    assert lines[0].share.value == pytest.approx(20 / 32)
    assert lines[1].accuracy.interval is not None
    assert lines[2].accuracy.interval is None


def test_too_few_photographs_have_values_but_no_intervals(drawn):
    few = drawn(photographs=(4, 4, 0, 0))
    measured = calibration_measures(few)
    assert measured.expected_error.interval is None
    assert set(measured.bin_intervals) == {None}
    assert np.isnan(coverage_band(few).low).all()


@pytest.mark.parametrize("rows", [[], [[float("nan")] * 4] * 3])
def test_nothing_found_is_measured_as_nothing(given, rows):
    predictions = given(rows, [0] * len(rows))
    measured = calibration_measures(predictions)
    assert np.isnan(measured.expected_error.value)
    assert measured.bins.count.size == coverage_band(predictions).coverage.size == 0
    assert decision_measures(predictions, ["no cell"] * len(rows))[0:1] == decision_measures(
        predictions, ["no cell"] * len(rows)
    )
