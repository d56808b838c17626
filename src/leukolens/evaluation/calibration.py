"""Do the probabilities mean what they say, and from which one on may an answer stand unchecked?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leukolens.errors import DataError
from leukolens.evaluation.predictions import Predictions

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 20.0
BINS = 15
FEWEST_GROUPS = 9


def softmax(logits: NDArray[np.float64], temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities float64 (n, classes) of ``logits / temperature``."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    raised = np.exp(scaled - scaled.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def fit_temperature(logits: NDArray[np.floating], truth: NDArray[np.int64]) -> float:
    """The temperature that makes held-out images most likely (Guo et al., ICML 2017).

    The mean negative log-likelihood is convex in ``1 / temperature``, so its slope changes sign once; the
    change is bisected on the logarithm. Where every answer is right (or no better than chance) there is
    no change, and the nearer end of 0.05 to 20 comes back.

    Args:
        logits: (n, classes), of images that the network did not learn from; rows of NaN are left out.
        truth: (n,), index of the true class.

    Raises:
        DataError: Where no row is left.
    """
    rows = np.asarray(logits, dtype=np.float64)
    kept = np.isfinite(rows).all(axis=1)
    rows, true = rows[kept], np.asarray(truth)[kept]
    if not len(rows):
        raise DataError(
            "no held-out image has an answer to fit a temperature to", "Hold out more photographs"
        )
    of_truth = rows[np.arange(len(rows)), true]

    def too_sharp(temperature: float) -> bool:
        expected = (softmax(rows, temperature) * rows).sum(axis=1)
        return bool((expected - of_truth).mean() > 0)

    low, high = np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE)
    if not too_sharp(LOWEST_TEMPERATURE):
        return LOWEST_TEMPERATURE
    if too_sharp(HIGHEST_TEMPERATURE):
        return HIGHEST_TEMPERATURE
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if too_sharp(float(np.exp(middle))) else (low, middle)
    return float(np.exp((low + high) / 2))


def with_temperature(predictions: Predictions, temperature: float) -> Predictions:
    """The predictions that the same logits give at another temperature, relative to their own."""
    floor = np.finfo(np.float64).tiny
    found = predictions.found
    rows = predictions.probabilities.copy()
    rows[found] = softmax(np.log(np.maximum(rows[found], floor)), temperature)
    return Predictions(predictions.classes, predictions.images, predictions.groups, predictions.truth, rows)


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Said against true, in bins of equal mass, least confident first.

    Attributes:
        member: float64 (bins, images), the share of each image in each bin; images without a cell in none.
        count: float64 (bins,), images in each.
        confidence: float64 (bins,), mean probability of the answer.
        accuracy: float64 (bins,), share of right answers.
    """

    member: NDArray[np.float64]
    count: NDArray[np.float64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def expected_error(self) -> float:
        """The expected calibration error: mean distance of said from true; NaN without images."""
        if not len(self.count):
            return float("nan")
        return float(np.average(np.abs(self.confidence - self.accuracy), weights=self.count))


def reliability(predictions: Predictions, bins: int = BINS) -> Reliability:
    """Equal-mass bins over the images in which a cell was found (Nguyen & O'Connor, EMNLP 2015).

    Images of equal confidence are spread evenly over the bins that they fall in, so the result does not
    depend on the order of the images. There are never more bins than images.
    """
    chosen = np.flatnonzero(predictions.found)
    bins = min(bins, len(chosen))
    member = np.zeros((bins, len(predictions)))
    if not bins:
        nothing = np.zeros(0)
        return Reliability(member, nothing, nothing, nothing)
    confidence = predictions.confidence[chosen]
    order = np.argsort(confidence, kind="stable")
    sizes = np.array([len(part) for part in np.array_split(order, bins)])
    edges = np.concatenate([[0], np.cumsum(sizes)])
    _, first, same = np.unique(confidence[order], return_index=True, return_counts=True)
    # On the sorted line equal confidences cover [first, first + same), and a bin [edge, next edge).
    overlap = np.minimum(edges[1:, None], first + same) - np.maximum(edges[:-1, None], first)
    member[:, chosen[order]] = np.repeat(np.maximum(overlap, 0) / same, same, axis=1)
    count = member.sum(axis=1)
    return Reliability(
        member,
        count,
        member @ np.nan_to_num(predictions.confidence) / count,
        member @ predictions.correct / count,
    )


def expected_calibration_error(predictions: Predictions, bins: int = BINS) -> float:
    """ECE in equal-mass bins; NaN without images in which a cell was found."""
    return reliability(predictions, bins).expected_error


@dataclass(frozen=True, slots=True, eq=False)
class CoverageCurve:
    """What is accepted at each threshold, and how much of it is right; the strictest threshold first.

    Attributes:
        threshold: float64 (k,), each confidence that occurs; answers from it upward are accepted.
        coverage: float64 (k,), share of all images that is accepted; an image without a cell never is.
        accuracy: float64 (k,), share of accepted images that is right.
        groups: int64 (k,), groups with an accepted image.
        group_accuracy: float64 (k,), mean over those groups of the share that is right.
    """

    threshold: NDArray[np.float64]
    coverage: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    groups: NDArray[np.int64]
    group_accuracy: NDArray[np.float64]


def coverage_curve(predictions: Predictions) -> CoverageCurve:
    """Accuracy against coverage; empty where no cell was found at all."""
    chosen = np.flatnonzero(predictions.found)
    order = chosen[np.argsort(-predictions.confidence[chosen], kind="stable")]
    confidence = predictions.confidence[order]
    right = predictions.correct[order].astype(np.float64)
    _, group = np.unique(np.array(predictions.groups, dtype=object)[order].astype(str), return_inverse=True)
    # The share of right answers within an image's group, before and after the image is accepted.
    by_group = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[by_group], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    total = np.cumsum(right[by_group])
    total -= np.repeat(total[starts] - right[by_group][starts], np.diff(np.append(starts, len(order))))
    after = total / (rank + 1)
    before = np.where(rank > 0, np.concatenate([[0.0], after[:-1]]) if len(order) else after, 0.0)
    change, opened = np.empty(len(order)), np.empty(len(order), dtype=np.int64)
    change[by_group], opened[by_group] = after - before, rank == 0
    accepted = np.arange(1, len(order) + 1)
    groups = np.cumsum(opened)
    last = np.flatnonzero(np.append(np.diff(confidence) != 0, True)) if len(order) else np.zeros(0, np.int64)
    return CoverageCurve(
        confidence[last],
        (accepted / max(len(predictions), 1))[last],
        (np.cumsum(right) / accepted)[last],
        groups[last],
        (np.cumsum(change) / np.maximum(groups, 1))[last],
    )


@dataclass(frozen=True, slots=True)
class Acceptance:
    """From which probability on an answer may stand.

    Attributes:
        threshold: The smallest probability that is accepted; 1 where none would do.
        accuracy: Share of the accepted validation images that was right; None where none was accepted.
        coverage: Share of the validation images that was accepted.
    """

    threshold: float
    accuracy: float | None
    coverage: float


def accept_threshold(
    predictions: Predictions, accuracy: float = 0.95, fewest_groups: int = FEWEST_GROUPS
) -> Acceptance:
    """The smallest threshold at which the accepted validation images are right often enough.

    Often enough is asked twice, and both must hold: over images, and over groups with every group
    weighing the same. Copies of one photograph are no independent evidence: forty good copies of an easy
    one must not pay for three wrong photographs, nor many easy photographs for one with a hundred copies.
    The accepted images must come from at least ``fewest_groups`` groups. The threshold is a confidence
    that occurred, so nothing less sure than what was tested is ever accepted. It is an estimate on
    these groups, no promise for another laboratory. Images that are named no leukocyte don't count:
    they are never accepted, and easy ones would pay for wrong leukocytes.

    Args:
        predictions: Calibrated, of groups that neither network nor temperature learned from where possible.
        accuracy: The share that has to be right.
        fewest_groups: Groups below which no threshold is believed.
    """
    predictions = predictions.only(predictions.leukocyte | ~predictions.found)
    curve = coverage_curve(predictions)
    # A share such as 19 / 20 summed in steps may miss .95 by a rounding error.
    target = accuracy - 1e-12
    good = (curve.accuracy >= target) & (curve.group_accuracy >= target) & (curve.groups >= fewest_groups)
    if not good.any():
        certain = predictions.found & (np.nan_to_num(predictions.confidence) >= 1)
        right = float(predictions.correct[certain].mean()) if certain.any() else None
        return Acceptance(1.0, right, float(certain.mean()) if len(predictions) else 0.0)
    chosen = int(np.flatnonzero(good)[-1])
    return Acceptance(
        min(1.0, float(curve.threshold[chosen])),
        float(curve.accuracy[chosen]),
        float(curve.coverage[chosen]),
    )
