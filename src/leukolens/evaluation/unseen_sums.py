"""The figures of a laboratory never seen as ratios of sums over groups, for one matrix product a resample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from leukolens.datasets.blood_cells import DOUBTFUL
from leukolens.evaluation import metrics
from leukolens.evaluation.answers import Answers
from leukolens.evaluation.calibration import reliability
from leukolens.evaluation.intervals import groups_of
from leukolens.evaluation.predictions import Predictions

MOST_CERTAIN = 0.8


def most_certain_weights(predictions: Predictions, share: float = MOST_CERTAIN) -> NDArray[np.float64]:
    """How much of each image, float64 (n,) of 0 to 1, is among the most certain ones; adds up to their number.

    Images of equal confidence at the border share what is left, so their order does not matter.
    """
    confidence = np.nan_to_num(predictions.confidence, nan=-1.0)
    levels, which, sizes = np.unique(-confidence, return_inverse=True, return_counts=True)
    before = np.cumsum(sizes) - sizes
    taken = np.clip((share * len(confidence) - before) / np.maximum(sizes, 1), 0, 1)
    return np.asarray(taken[which.reshape(-1)] if len(levels) else np.zeros(0))


class RunSums:
    """One seed's answers as sums over groups, from which every figure of every resample follows.

    Args:
        answers: To the images that count, over all classes.
        predictions: The same restricted to the classes that are open.

    Attributes:
        groups: Which images come together.
        behind: Groups with a most certain image, and with an accepted one.
    """

    def __init__(self, answers: Answers, predictions: Predictions) -> None:
        self.groups = groups_of(predictions)
        right, found = predictions.correct, predictions.found
        bins = reliability(predictions)
        accepted = np.array([decision == "accept" for decision in answers.decisions])
        certain = most_certain_weights(predictions)
        settled = np.array([group != DOUBTFUL for group in predictions.groups])
        self.sums = self.groups.sums(
            np.column_stack(
                [
                    np.ones(len(predictions)), right, settled, settled & right, found,
                    metrics.brier(predictions), certain, certain * right, accepted,
                    accepted & answers.predictions.correct,
                ]
            )
        )  # fmt: skip
        member = bins.member.T
        said = np.nan_to_num(predictions.confidence)[:, None]
        self.gap = self.groups.sums(member * (said - right[:, None]))
        truth = np.eye(len(predictions.classes))[predictions.truth]
        self.by_class = self.groups.sums(np.stack([truth, truth * right[:, None]], axis=1))
        self.behind = [
            int((self.sums[:, column] > 0).sum()) for column in (6, 8)
        ]  # of the most certain, and of the accepted

    def figures(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(b, 8 + classes) of weights (b, groups), in the order that `lab_figures` reads them in."""
        (
            count,
            right,
            settled,
            settled_right,
            found,
            squared,
            certain,
            certain_right,
            accepted,
            accepted_right,
        ) = (weights @ self.sums).T
        images, hits = np.moveaxis(np.tensordot(weights, self.by_class, axes=1), 1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            recalls = hits / images
            return np.column_stack(
                [
                    right / count,
                    np.nanmean(np.where(images.sum(axis=0) > 0, recalls, np.nan), axis=1),
                    settled_right / settled,
                    np.abs(weights @ self.gap).sum(axis=1) / found,
                    squared / count,
                    certain_right / certain,
                    accepted_right / accepted,
                    accepted / count,
                    recalls,
                ]
            )
