"""The figures of a set of predictions, each with its interval over source photographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leukolens.evaluation import metrics
from leukolens.evaluation.intervals import (
    FEWEST_GROUPS,
    Groups,
    Interval,
    groups_of,
    percentile_interval,
    resample,
)
from leukolens.evaluation.predictions import NO_CELL, Predictions


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure.

    Attributes:
        value: NaN where it has no denominator.
        interval: 95 %; None where fewer than nine groups stand behind it.
    """

    value: float
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Headline:
    """What one looks at first.

    Attributes:
        images: Images asked.
        groups: Source photographs that they come from.
        lost: Images in which no cell was found; wrong in every figure.
        accuracy: Share of right images.
        balanced_accuracy: Mean share of right images over the classes.
        photograph_accuracy: Share of photographs of which most copies are right.
    """

    images: int
    groups: int
    lost: int
    accuracy: Measure
    balanced_accuracy: Measure
    photograph_accuracy: Measure


def headline(predictions: Predictions) -> Headline:
    """Accuracy in its three forms."""
    values, draws = _headline_values(predictions), headline_draws(predictions)
    groups = len(set(predictions.groups))
    accuracy, balanced, whole = (
        Measure(float(value), interval_of(draws[:, column], groups)) for column, value in enumerate(values)
    )
    return Headline(len(predictions), groups, int((~predictions.found).sum()), accuracy, balanced, whole)


def headline_draws(predictions: Predictions) -> NDArray[np.float64]:
    """Accuracy, balanced accuracy and photograph accuracy of each resample, float64 (resamples, 3).

    The draws depend on the images alone, so those of several models on the same images belong together.
    """
    groups = groups_of(predictions)
    if not len(predictions):
        return np.zeros((0, 3))
    cells = groups.sums(_one_hot_confusion(predictions))
    whole = _photographs_by_group(predictions, groups)

    def figures(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        confusion = np.tensordot(weights, cells, axes=1)
        right, all_of_them = (weights @ whole).T
        return np.stack(
            [metrics.accuracy(confusion), metrics.balanced_accuracy(confusion), right / all_of_them], axis=1
        )

    return resample(groups, figures)


@dataclass(frozen=True, slots=True)
class ClassMeasures:
    """One class against the rest.

    Attributes:
        key: The class.
        images: Images of it.
        groups: Photographs of it; below nine no figure of it has an interval.
        right_groups: Photographs of it of which most copies are right.
        precision: Share of what was called so that is so.
        recall: Share of its images that were called so.
        f1: Their harmonic mean.
        area: Area under its ROC curve against the rest.
    """

    key: str
    images: int
    groups: int
    right_groups: int
    precision: Measure
    recall: Measure
    f1: Measure
    area: Measure


def class_measures(predictions: Predictions) -> tuple[ClassMeasures, ...]:
    """The figures of every class, in the order of the predictions."""
    groups = groups_of(predictions)
    width = len(predictions.classes)
    confusion = confusion_of(predictions)
    cells = groups.sums(_one_hot_confusion(predictions))
    scores = [metrics.class_scores(predictions, label) for label in range(width)]
    whole = metrics.photographs(predictions)

    def areas(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        # Classes that get no interval anyway are not worth the sorting.
        per_image = weights[:, groups.member]
        return np.stack(
            [
                metrics.areas_under_roc(scores[label], predictions.truth == label, per_image)
                if groups.of_class(label) >= FEWEST_GROUPS
                else np.full(len(weights), np.nan)
                for label in range(width)
            ],
            axis=1,
        )

    def figures(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        drawn = np.tensordot(weights, cells, axes=1)
        parts = [metrics.precision(drawn), metrics.recall(drawn), metrics.f1(drawn), areas(weights)]
        return np.stack(parts, axis=1)

    draws = resample(groups, figures) if len(predictions) else np.zeros((0, 4, width))
    values = [
        metrics.precision(confusion),
        metrics.recall(confusion),
        metrics.f1(confusion),
        np.array(
            [metrics.roc_curve(scores[label], predictions.truth == label).area for label in range(width)]
        ),
    ]
    found = []
    for label, key in enumerate(predictions.classes):
        behind = groups.of_class(label)
        precision, recall, f1, area = (
            Measure(float(value[label]), interval_of(draws[:, row, label], behind))
            for row, value in enumerate(values)
        )
        right = int((whole.correct & (whole.truth == label)).sum())
        images = int((predictions.truth == label).sum())
        found.append(ClassMeasures(key, images, behind, right, precision, recall, f1, area))
    return tuple(found)


def confusion_of(predictions: Predictions) -> NDArray[np.float64]:
    """(classes, classes + 1), see ``metrics``."""
    return metrics.confusion_matrix(predictions.truth, predictions.predicted, len(predictions.classes))


def _headline_values(predictions: Predictions) -> tuple[float, float, float]:
    confusion, whole = confusion_of(predictions), metrics.photographs(predictions)
    return (
        float(metrics.accuracy(confusion)),
        float(metrics.balanced_accuracy(confusion)),
        mean_of(whole.correct.astype(np.float64)),
    )


def _one_hot_confusion(predictions: Predictions) -> NDArray[np.float64]:
    width = len(predictions.classes)
    column = np.where(predictions.predicted == NO_CELL, width, predictions.predicted)
    cells = np.zeros((len(predictions), width, width + 1))
    cells[np.arange(len(predictions)), predictions.truth, column] = 1
    return cells


def _photographs_by_group(predictions: Predictions, groups: Groups) -> NDArray[np.float64]:
    """(groups, 2): photographs that are right, and photographs; two where a group carries two classes."""
    whole, position = metrics.photographs(predictions), {key: row for row, key in enumerate(groups.keys)}
    table = np.zeros((len(groups.keys), 2))
    rows = [position[key] for key in whole.groups]
    np.add.at(table, rows, np.column_stack([whole.correct, np.ones(len(rows))]))
    return table


def interval_of(draws: NDArray[np.float64], groups: int) -> Interval | None:
    """The interval of resampled figures, (resamples,), behind which so many groups stand."""
    return percentile_interval(draws) if groups >= FEWEST_GROUPS else None


def mean_of(values: NDArray[np.float64]) -> float:
    """The mean; NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")
