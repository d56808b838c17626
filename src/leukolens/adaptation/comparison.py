"""Two bundles on the same cells: before, after, and the difference, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from leukolens.evaluation.intervals import FEWEST_GROUPS, groups_of, percentile_interval, resample
from leukolens.evaluation.measures import Measure
from leukolens.evaluation.metrics import balanced_accuracy, confusion_matrix, recall
from leukolens.evaluation.predictions import Predictions

Verdict = Literal["better", "no worse", "worse"]

_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Change:
    """One figure before and after.

    Attributes:
        before: Its value before.
        after: Its value after.
        difference: After less before, from the same resamples.
    """

    before: Measure
    after: Measure
    difference: Measure


@dataclass(frozen=True, slots=True)
class ClassChange:
    """Share of one class's cells that is named rightly.

    Attributes:
        key: The class.
        cells: How many there are, those without a found cell included.
        groups: Independent groups that they come from; below nine there is no interval.
        recall: The share.
    """

    key: str
    cells: int
    groups: int
    recall: Change


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that is compared.

    Attributes:
        accuracy: Share of cells named rightly.
        balanced: The same with every class at hand weighing the same; the verdict rests on it.
        classes: Each class at hand.
    """

    accuracy: Change
    balanced: Change
    classes: tuple[ClassChange, ...]

    @property
    def harmed(self) -> tuple[ClassChange, ...]:
        """Classes that fell by more than chance explains."""
        return tuple(
            line
            for line in self.classes
            if line.recall.difference.interval and line.recall.difference.interval.high < 0
        )

    @property
    def verdict(self) -> Verdict:
        """*better* where the whole interval is above 0; *worse* where the value is below, or a class was harmed."""
        difference = self.balanced.difference
        if difference.value < 0 or self.harmed:
            return "worse"
        return "better" if difference.interval and difference.interval.low > 0 else "no worse"


def compare(before: Predictions, after: Predictions) -> Comparison:
    """Compares two sets of answers about the same images, with 95 % intervals over groups drawn within their class."""
    groups = groups_of(before)
    width = len(before.classes)
    truth = before.truth
    answers = [
        groups.sums(_one_hot(truth, answered.predicted, width)) for answered in (before, after)
    ]  # each (groups, classes, classes + 1)

    def figures(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
        right = np.trace(confusion[..., :-1], axis1=-2, axis2=-1) / confusion.sum(axis=(-1, -2))
        return np.concatenate(
            [np.stack([right, balanced_accuracy(confusion)], axis=-1), recall(confusion)], axis=-1
        )

    def both(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([figures(np.tensordot(weights, one, axes=1)) for one in answers], axis=1)

    draws = resample(groups, both)
    values = [figures(confusion_matrix(truth, one.predicted, width)) for one in (before, after)]

    def change(column: int, behind: int) -> Change:
        def measure(value: float, drawn: NDArray[np.float64]) -> Measure:
            return Measure(float(value), percentile_interval(drawn) if behind >= FEWEST_GROUPS else None)

        old, new = draws[:, 0, column], draws[:, 1, column]
        first, second = values[0][column], values[1][column]
        # Sums of equal recalls in another order differ in the last digit, which is no loss.
        apart = np.round([second - first, *(new - old)], _DIGITS)
        return Change(measure(first, old), measure(second, new), measure(apart[0], apart[1:]))

    total = len(groups.keys)
    return Comparison(
        change(0, total),
        change(1, total),
        tuple(
            ClassChange(
                key,
                int((truth == label).sum()),
                groups.of_class(label),
                change(2 + label, groups.of_class(label)),
            )
            for label, key in enumerate(before.classes)
            if (truth == label).any()
        ),
    )


def _one_hot(truth: NDArray[np.int64], predicted: NDArray[np.int64], width: int) -> NDArray[np.float64]:
    cells = np.zeros((len(truth), width, width + 1))
    cells[np.arange(len(truth)), truth, predicted] = 1  # NO_CELL, -1, is the last column
    return cells


def worse(comparison: Comparison) -> str:
    """What is worse, in words."""
    balanced = comparison.balanced
    interval = balanced.difference.interval
    limits = f", 95 % {100 * interval.low:+.1f} to {100 * interval.high:+.1f}" if interval else ""
    text = (
        f"the adapted bundle would be worse on cells that it had not learned from: balanced accuracy "
        f"{100 * balanced.before.value:.1f} % before, {100 * balanced.after.value:.1f} % after "
        f"({100 * balanced.difference.value:+.1f} points{limits})"
    )
    harmed = ", ".join(
        f"{line.key} from {100 * line.recall.before.value:.0f} to {100 * line.recall.after.value:.0f} %"
        for line in comparison.harmed
    )
    return f"{text}, {harmed}" if harmed else text
