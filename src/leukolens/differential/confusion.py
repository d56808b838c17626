"""What a classifier answers for cells of each true class, counted on cells that it had not learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from leukolens.taxonomy import in_order


class Confusion(BaseModel):
    """Answers counted by true class, and how much evidence the counts are.

    Copies of one photograph tend to be answered alike, so a row of a thousand images may say no more than
    fifty independent cells would. ``effective`` is that number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: tuple[str, ...] = Field(min_length=1, description="class keys, in taxonomy order")
    answers: tuple[tuple[int, ...], ...] = Field(
        description="one row a true class; cells answered as each class, and in the last column as unsure"
    )
    groups: tuple[int, ...] = Field(description="independent groups behind each row")
    effective: tuple[float, ...] = Field(
        description="how many independent cells each row is worth, by its design effect"
    )
    labs: tuple[str, ...] = Field((), description="laboratories that the cells come from")
    measured_on: str = Field("", description="the cells it was counted on, in words")

    @model_validator(mode="after")
    def _holds_together(self) -> Confusion:
        rows, columns = len(self.classes), len(self.classes) + 1
        if self.classes != in_order(set(self.classes)):
            raise ValueError(f"classes {list(self.classes)} are not in taxonomy order, or one stands twice")
        if len(self.answers) != rows or any(len(row) != columns for row in self.answers):
            raise ValueError(f"answers want {rows} rows of {columns} counts, the last for unsure")
        if len(self.groups) != rows or len(self.effective) != rows:
            raise ValueError(f"groups and effective want {rows} numbers each")
        for key, row, groups, effective in zip(
            self.classes, self.answers, self.groups, self.effective, strict=True
        ):
            cells = sum(row)
            if min(row) < 0 or not 0 <= groups <= cells or not 0 <= effective <= cells + 1e-9:
                raise ValueError(f"{key}: {groups} groups and {effective} effective cells for answers {row}")
            if cells and not (groups and effective):
                raise ValueError(f"{key}: answers without a group or without weight")
        return self

    @property
    def source(self) -> str:
        """The labs and cells it was counted on, for a reader."""
        return ": ".join(part for part in (", ".join(self.labs), self.measured_on) if part)


def confusion_of(
    classes: Sequence[str],
    truth: NDArray[np.int64],
    answered: NDArray[np.int64],
    groups: Sequence[str] | NDArray[Any],
    *,
    labs: Sequence[str] = (),
    measured_on: str = "",
) -> Confusion:
    """Counts a classifier's answers by true class.

    The answers must be given as a differential counts them: an accepted leukocyte as its class, any cell
    whose most probable class is no leukocyte as that class, everything else as unsure.

    Args:
        classes: Class keys in taxonomy order.
        truth: (n,), index into ``classes``.
        answered: (n,), index into ``classes``; ``len(classes)`` for unsure.
        groups: (n,), the photograph, slide or cluster of each cell.
        labs: Laboratories that the cells come from.
        measured_on: The cells, in words.

    Raises:
        ValueError: Where lengths disagree or an index is none.
    """
    width = len(classes)
    if not truth.shape == answered.shape == (len(groups),):
        raise ValueError(f"truth {truth.shape}, answers {answered.shape} and {len(groups)} groups disagree")
    if len(truth) and not (
        truth.min() >= 0 and truth.max() < width and 0 <= answered.min() <= answered.max() <= width
    ):
        raise ValueError(f"an index is outside the {width} classes")
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    # A group that holds cells of two classes is a group of each.
    units, unit = np.unique(np.stack([truth, member.reshape(truth.shape)]), axis=1, return_inverse=True)
    counts = np.zeros((units.shape[1], width + 1), dtype=np.int64)
    np.add.at(counts, (unit.reshape(truth.shape), answered), 1)
    return confusion_of_counts(classes, units[0], counts, labs=labs, measured_on=measured_on)


def confusion_of_counts(
    classes: Sequence[str],
    truth: NDArray[np.int64],
    counts: NDArray[np.int64],
    *,
    labs: Sequence[str] = (),
    measured_on: str = "",
) -> Confusion:
    """The same from answers that are counted by group already.

    Args:
        classes: Class keys in taxonomy order.
        truth: (groups,), true class of each group's cells.
        counts: (groups, classes + 1), answers in each group, at least one.
        labs: As for ``confusion_of``.
        measured_on: As for ``confusion_of``.
    """
    alike = answers_alike(truth, counts)
    cells = counts.sum(axis=1)
    rows = [np.flatnonzero(truth == index) for index in range(len(classes))]
    return Confusion(
        classes=tuple(classes),
        answers=tuple(tuple(int(cell) for cell in counts[row].sum(axis=0)) for row in rows),
        groups=tuple(len(row) for row in rows),
        effective=tuple(_effective(cells[row], alike) for row in rows),
        labs=tuple(labs),
        measured_on=measured_on,
    )


def answers_alike(truth: NDArray[np.int64], counts: NDArray[np.int64]) -> float:
    """How alike the answers within a group are: 0 as unlike as between groups, 1 all the same.

    The intraclass correlation of answers as categories: one less the chance that two cells of a group are
    answered differently, over the same chance for two cells of one class from different groups (Landis &
    Koch, Biometrics 1977; 33:671, with disagreement as the distance). Pooled over the classes, as a class with
    few groups cannot tell it alone. Without a single disagreement, or a pair to compare, it is taken to be 1.

    Args:
        truth: (groups,), true class of each group's cells.
        counts: (groups, classes + 1), answers in each group.
    """
    within = between = 0.0
    for index in np.unique(truth):
        of_class = counts[truth == index].astype(np.float64)
        cells = of_class.sum(axis=1)
        total, paired = cells.sum(), cells > 1
        far_pairs = total**2 - (cells**2).sum()
        if not paired.any() or far_pairs <= 0:
            continue
        same = (of_class[paired] * (of_class[paired] - 1)).sum(axis=1)
        unlike = 1 - same / (cells[paired] * (cells[paired] - 1))
        far_same = (of_class.sum(axis=0) ** 2).sum() - (of_class**2).sum()
        within += total * float(np.average(unlike, weights=cells[paired]))
        between += total * float(1 - far_same / far_pairs)
    return float(np.clip(1 - within / between, 0, 1)) if between > 0 else 1.0


def _effective(cells: NDArray[np.int64], alike: float) -> float:
    """Kish's effective number for groups of these sizes (Survey Sampling, 1965, 5.4)."""
    total = float(cells.sum())
    return min(total, total**2 / float((cells * (1 + (cells - 1) * alike)).sum())) if total else 0.0
