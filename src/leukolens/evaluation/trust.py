"""How far an answer can be trusted: calibration, coverage and decisions, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leukolens.evaluation import metrics
from leukolens.evaluation.calibration import CoverageCurve, Reliability, coverage_curve, reliability
from leukolens.evaluation.intervals import Interval, groups_of, resample
from leukolens.evaluation.measures import Measure, interval_of, mean_of
from leukolens.evaluation.predictions import Predictions


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationMeasures:
    """How far the probabilities can be believed.

    Attributes:
        expected_error: Expected calibration error in equal-mass bins; its interval keeps the bins.
        brier: Mean squared distance from the truth, 0 to 2.
        log_loss: Mean negative log-likelihood in nats.
        bins: The bins.
        bin_intervals: Of each bin's accuracy; None where it holds fewer than nine groups.
    """

    expected_error: Measure
    brier: Measure
    log_loss: Measure
    bins: Reliability
    bin_intervals: tuple[Interval | None, ...]


def calibration_measures(predictions: Predictions) -> CalibrationMeasures:
    """Calibration error, Brier score and log loss, and the reliability bins."""
    groups, bins = groups_of(predictions), reliability(predictions)
    brier, loss = metrics.brier(predictions), metrics.log_loss(predictions)
    right, said = predictions.correct, np.nan_to_num(predictions.confidence)
    per_image = np.column_stack([np.ones(len(predictions)), predictions.found, brier, loss])
    sums = groups.sums(per_image)
    in_bins = groups.sums(
        np.stack([bins.member.T, bins.member.T * right[:, None], bins.member.T * said[:, None]], 1)
    )

    def figures(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        count, found, squared, nats = (weights @ sums).T
        mass, hits, belief = np.moveaxis(np.tensordot(weights, in_bins, axes=1), 1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.abs(belief - hits).sum(axis=1) / found
            return np.column_stack([error, squared / count, nats / count, hits / mass])

    drawn = resample(groups, figures) if len(predictions) else np.zeros((0, 3 + len(bins.count)))
    behind = [len(groups.keys)] * 3 + (in_bins[:, 0] > 0).sum(axis=0).tolist()
    intervals = [interval_of(column, count) for column, count in zip(drawn.T, behind, strict=True)]
    return CalibrationMeasures(
        Measure(bins.expected_error, intervals[0]),
        Measure(mean_of(brier), intervals[1]),
        Measure(mean_of(loss), intervals[2]),
        bins,
        tuple(intervals[3:]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class CoverageBand:
    """Accuracy against coverage with the band that 95 % of resamples stay in.

    Attributes:
        curve: At every threshold.
        coverage: float64 (k,), about a hundred of its coverages.
        low: float64 (k,), the band's lower edge there; NaN where fewer than nine groups are accepted.
        high: float64 (k,), its upper edge.
    """

    curve: CoverageCurve
    coverage: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def coverage_band(predictions: Predictions, points: int = 100) -> CoverageBand:
    """Accuracy against coverage; thresholds stay where they are while photographs are resampled."""
    curve, groups = coverage_curve(predictions), groups_of(predictions)
    if not len(curve.threshold):
        return CoverageBand(curve, curve.coverage, curve.coverage, curve.coverage)
    wanted = np.linspace(curve.coverage[0], curve.coverage[-1], points)
    chosen = np.unique(np.searchsorted(curve.coverage, wanted - 1e-12).clip(max=len(curve.coverage) - 1))
    accepted = np.nan_to_num(predictions.confidence)[:, None] >= curve.threshold[chosen]
    accepted &= predictions.found[:, None]
    sums = groups.sums(
        np.stack([accepted, accepted & predictions.correct[:, None]], axis=1).astype(np.float64)
    )

    def figures(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        count, right = np.moveaxis(np.tensordot(weights, sums, axes=1), 1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(right / count)

    drawn = resample(groups, figures)
    behind = curve.groups[chosen].tolist()
    edges = [interval_of(column, count) for column, count in zip(drawn.T, behind, strict=True)]
    nothing = float("nan")
    return CoverageBand(
        curve,
        curve.coverage[chosen],
        np.array([edge.low if edge else nothing for edge in edges]),
        np.array([edge.high if edge else nothing for edge in edges]),
    )


@dataclass(frozen=True, slots=True)
class DecisionMeasures:
    """One decision of the product: how often it was taken, and how often the answer beside it is right.

    Attributes:
        decision: *accept*, *review*, *unknown*, or *no cell*.
        images: How many images it was taken for.
        share: Of all images.
        accuracy: Share of right answers among them.
    """

    decision: str
    images: int
    share: Measure
    accuracy: Measure


def decision_measures(predictions: Predictions, decisions: Sequence[str]) -> tuple[DecisionMeasures, ...]:
    """Each decision that occurs, the surest first.

    Args:
        predictions: What was answered.
        decisions: (n,), what was decided of it.
    """
    groups, found = groups_of(predictions), []
    order = ("accept", "review", "unknown", "no cell")
    for decision in sorted(
        set(decisions), key=lambda name: order.index(name) if name in order else len(order)
    ):
        taken = np.array([name == decision for name in decisions])
        right = taken & predictions.correct
        sums = groups.sums(np.column_stack([np.ones(len(taken)), taken, right]))

        def figures(weights: NDArray[np.float64], sums: NDArray[np.float64] = sums) -> NDArray[np.float64]:
            count, drawn, hits = (weights @ sums).T
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.column_stack([drawn / count, hits / drawn])

        draws = resample(groups, figures)
        behind = len({group for group, chosen in zip(predictions.groups, taken, strict=True) if chosen})
        found.append(
            DecisionMeasures(
                decision,
                int(taken.sum()),
                Measure(float(taken.mean()), interval_of(draws[:, 0], len(groups.keys))),
                Measure(float(right.sum() / taken.sum()), interval_of(draws[:, 1], behind)),
            )
        )
    return tuple(found)
