"""Right and wrong, counted: pure functions, most of a confusion matrix.

A confusion matrix here is (..., classes, classes + 1): true class by answer, and a last column for images
in which no cell was found. Leading axes hold resamples, so that a figure and its interval come from the
same line of code. What has no denominator (the recall of a class without images) is NaN, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukolens.evaluation.predictions import NO_CELL, Predictions

Counts = NDArray[np.float64]


def confusion_matrix(truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> Counts:
    """Images by true class and answer, float64 (classes, classes + 1); the last column had no cell.

    Args:
        truth: (n,), true class.
        predicted: (n,), answered class, ``NO_CELL`` where none was found.
        classes: How many classes there are.
    """
    column = np.where(predicted == NO_CELL, classes, predicted)
    flat = np.bincount(truth * (classes + 1) + column, minlength=classes * (classes + 1))
    return flat.reshape(classes, classes + 1).astype(np.float64)


def accuracy(confusion: Counts) -> Counts:
    """Share of images whose answer is right."""
    return _ratio(_right(confusion).sum(-1), confusion.sum((-1, -2)))


def support(confusion: Counts) -> Counts:
    """Images of each class, (..., classes)."""
    return np.asarray(confusion.sum(-1))


def recall(confusion: Counts) -> Counts:
    """Share of each class's images that were called so (sensitivity), (..., classes)."""
    return _ratio(_right(confusion), confusion.sum(-1))


def precision(confusion: Counts) -> Counts:
    """Share of what was called each class that is so (positive predictive value), (..., classes)."""
    return _ratio(_right(confusion), confusion[..., :-1].sum(-2))


def f1(confusion: Counts) -> Counts:
    """Harmonic mean of precision and recall, (..., classes)."""
    both = confusion.sum(-1) + confusion[..., :-1].sum(-2)
    return _ratio(2 * _right(confusion), both)


def balanced_accuracy(confusion: Counts) -> Counts:
    """Mean recall of the classes that have images."""
    present = confusion.sum(-1) > 0
    return _ratio(np.where(present, np.nan_to_num(recall(confusion)), 0).sum(-1), present.sum(-1))


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """How many are caught against how many are called wrongly, at every threshold.

    Attributes:
        false_positive_rate: float64 (k,), rising from 0 to 1.
        true_positive_rate: float64 (k,), rising from 0 to 1.
        area: Area under it, the chance that a positive scores above a negative (ties count half); NaN
            where one of the two is absent.
    """

    false_positive_rate: NDArray[np.float64]
    true_positive_rate: NDArray[np.float64]
    area: float


def class_scores(predictions: Predictions, label: int) -> NDArray[np.float64]:
    """(n,), the probability of one class; an image without a cell scores -1, below every answer."""
    return np.nan_to_num(predictions.probabilities[:, label], nan=-1.0)


def roc_curve(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> RocCurve:
    """One class against the rest.

    Args:
        scores: (n,), the higher the more likely positive.
        positive: (n,), whether it is.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], positive[order].astype(np.float64)
    last = np.append(np.diff(ordered) != 0, True) if len(ordered) else np.zeros(0, bool)
    caught = np.concatenate([[0.0], np.cumsum(hits)[last]])
    called = np.concatenate([[0.0], np.cumsum(1 - hits)[last]])
    area = float(areas_under_roc(scores, positive, np.ones((1, len(scores))))[0])
    return RocCurve(_ratio(called, called[-1]), _ratio(caught, caught[-1]), area)


def areas_under_roc(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Areas under the curve, float64 (b,), where image j counts ``weights[i, j]`` times in the i-th.

    Args:
        scores: (n,), the higher the more likely positive.
        positive: (n,), whether it is.
        weights: (b, n), not negative.
    """
    order = np.argsort(scores, kind="stable")
    _, first = np.unique(scores[order], return_index=True)
    if not len(first):
        return np.full(len(weights), np.nan)
    ordered, is_positive = weights[:, order], positive[order]
    caught = np.add.reduceat(np.where(is_positive, ordered, 0.0), first, axis=1)
    missed = np.add.reduceat(np.where(is_positive, 0.0, ordered), first, axis=1)
    below = np.cumsum(missed, axis=1) - missed / 2
    return _ratio((caught * below).sum(1), caught.sum(1) * missed.sum(1))


def brier(predictions: Predictions) -> NDArray[np.float64]:
    """(n,), each image's squared distance from the truth, 0 to 2 (Brier 1950); its mean is the score.

    An image without a cell scores as knowing nothing: all classes alike.
    """
    rows = _knowing_nothing_where_lost(predictions)
    true = np.eye(len(predictions.classes))[predictions.truth]
    return np.asarray(((rows - true) ** 2).sum(axis=1))


def log_loss(predictions: Predictions) -> NDArray[np.float64]:
    """(n,), each image's negative log-likelihood in nats; its mean is the loss.

    Probabilities are kept above the float64 epsilon. An image without a cell scores as knowing nothing.
    """
    rows = _knowing_nothing_where_lost(predictions)
    of_truth = rows[np.arange(len(predictions)), predictions.truth]
    return np.asarray(-np.log(np.clip(of_truth, np.finfo(np.float64).eps, 1)))


@dataclass(frozen=True, slots=True, eq=False)
class Photographs:
    """One answer for each source photograph, from all of its copies.

    Attributes:
        groups: (g,), the photographs, sorted; one that carries two classes stands once with each.
        truth: int64 (g,), true class.
        predicted: int64 (g,), what most copies say, ``NO_CELL`` where most hold none.
        images: int64 (g,), copies of each.
    """

    groups: tuple[str, ...]
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    images: NDArray[np.int64]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(g,), whether most copies are right."""
        return np.asarray(self.predicted == self.truth)


def photographs(predictions: Predictions) -> Photographs:
    """The majority of each photograph's copies; a tie goes to the higher mean probability.

    A copy without a cell votes for that, with no probability, so it loses every tie against a class.
    """
    width = len(predictions.classes)
    keys = sorted(set(zip(predictions.groups, predictions.truth.tolist(), strict=True)))
    position = {key: index for index, key in enumerate(keys)}
    member = np.array(
        [position[key] for key in zip(predictions.groups, predictions.truth.tolist(), strict=True)],
        dtype=np.int64,
    )
    votes, belief = np.zeros((len(keys), width + 1)), np.zeros((len(keys), width + 1))
    column = np.where(predictions.predicted == NO_CELL, width, predictions.predicted)
    np.add.at(votes, (member, column), 1)
    np.add.at(belief[:, :width], member, np.nan_to_num(predictions.probabilities))
    # Belief breaks ties between equal votes only: scaled, it stays below one vote.
    copies = votes.sum(axis=1)
    winner = (votes + belief / (2 * np.maximum(copies, 1))[:, None]).argmax(axis=1) if keys else copies
    return Photographs(
        tuple(group for group, _ in keys),
        np.array([label for _, label in keys], dtype=np.int64),
        np.where(winner == width, NO_CELL, winner).astype(np.int64),
        copies.astype(np.int64),
    )


def _right(confusion: Counts) -> Counts:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def _ratio(part: ArrayLike, whole: ArrayLike) -> Counts:
    below = np.asarray(whole, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, np.asarray(part) / below, np.nan)


def _knowing_nothing_where_lost(predictions: Predictions) -> NDArray[np.float64]:
    return np.nan_to_num(predictions.probabilities, nan=1 / max(len(predictions.classes), 1))
