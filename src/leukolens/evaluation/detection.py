"""Found boxes against labelled boxes: who is whose, recall, precision, average precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leukolens.reading.peaks import overlaps

SAME = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """One field's finds of one kind beside what is labelled there.

    Attributes:
        scores: float64 (n,), of the finds, the highest first.
        right: bool (n,), whether a find is a labelled cell that no better find has taken.
        labelled: How many cells are labelled.
    """

    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    labelled: int


def matched(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    labelled: NDArray[np.float64],
    *,
    same: float = SAME,
) -> Matched:
    """Gives each find, the best first, the labelled cell that it overlaps most, once each.

    Args:
        boxes: (n, 4), x0, y0, x1, y1.
        scores: (n,).
        labelled: (m, 4).
        same: Intersection over union from which a find is that cell (Everingham et al., *The Pascal
            visual object classes challenge*, IJCV 2010).
    """
    order = np.argsort(-scores, kind="stable")
    shared = overlaps(boxes[order], labelled)
    free = np.ones(len(labelled), np.bool_)
    right = np.zeros(len(order), np.bool_)
    for place in range(len(order)):
        open_to = np.where(free, shared[place], -1.0)
        if len(open_to) and open_to.max() >= same:
            free[int(open_to.argmax())] = False
            right[place] = True
    return Matched(scores[order], right, len(labelled))


@dataclass(frozen=True, slots=True)
class Counted:
    """What finds from a score up come to.

    Attributes:
        found: Labelled cells that were found.
        missed: Labelled cells that were not.
        false: Finds that are no labelled cell.
    """

    found: int
    missed: int
    false: int

    @property
    def recall(self) -> float:
        """Share of the labelled cells that was found; NaN where none is labelled."""
        return self.found / (self.found + self.missed) if self.found + self.missed else float("nan")

    @property
    def precision(self) -> float:
        """Share of the finds that is a labelled cell; NaN where nothing was found."""
        return self.found / (self.found + self.false) if self.found + self.false else float("nan")


def counted(fields: Sequence[Matched], threshold: float) -> Counted:
    """Counts the finds with at least this score."""
    found = sum(int(field.right[field.scores >= threshold].sum()) for field in fields)
    every = sum(int((field.scores >= threshold).sum()) for field in fields)
    labelled = sum(field.labelled for field in fields)
    return Counted(found, labelled - found, every - found)


def average_precision(fields: Sequence[Matched]) -> float:
    """Area under precision against recall, every point used, precision made to fall (VOC since 2010).

    NaN where nothing is labelled.
    """
    labelled = sum(field.labelled for field in fields)
    if not labelled:
        return float("nan")
    scores = np.concatenate([field.scores for field in fields])
    right = np.concatenate([field.right for field in fields])[np.argsort(-scores, kind="stable")]
    found = np.cumsum(right)
    recall = np.concatenate([[0.0], found / labelled])
    precision = np.concatenate([found / np.arange(1, len(right) + 1), [0.0]])
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * falling[: len(right)]))


def best_threshold(fields: Sequence[Matched]) -> float:
    """The score from which finds are right most often: the highest F1, the middle of the best range.

    One half where nothing was found.
    """
    scores = np.unique(np.concatenate([field.scores for field in fields] or [np.zeros(0)]))
    if not len(scores):
        return 0.5
    counts = [counted(fields, float(score)) for score in scores]
    quality = np.array([2 * c.found / max(2 * c.found + c.missed + c.false, 1) for c in counts])
    best = np.flatnonzero(quality >= quality.max() - 1e-12)
    # Every threshold above the last score that is turned away, up to the last that is taken, does as well;
    # scores between two such ranges do worse, so the middle is that of the widest alone.
    ranges = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    ends = [(float(scores[r[0] - 1]) if r[0] else 0.0, float(scores[r[-1]])) for r in ranges]
    below, last = max(ends, key=lambda end: end[1] - end[0])
    return (below + last) / 2
