"""What a classifier answers for cells of each true class, counted on cells that it had not learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from leukolens.taxonomy import in_order

DIGITS = 4  # of a count of groups, so that cards stay small
ROUNDING = 0.01  # how far a row of rounded counts may lie from its groups


class Confusion(BaseModel):
    """Independent groups counted by true class and by what their cells were answered as.

    Ninety copies of one photograph tell of one cell, however alike they are answered. So each group
    counts one, however many cells it holds, dealt over their answers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: tuple[str, ...] = Field(min_length=1, description="class keys, in taxonomy order")
    answers: tuple[tuple[float, ...], ...] = Field(
        description="one row a true class; groups answered as each class, and in the last column as unsure"
    )
    groups: tuple[int, ...] = Field(description="independent groups behind each row, which is its sum")
    labs: tuple[str, ...] = Field((), description="laboratories that the cells come from")
    measured_on: str = Field("", description="the cells it was counted on, in words")

    @model_validator(mode="after")
    def _holds_together(self) -> Confusion:
        rows, columns = len(self.classes), len(self.classes) + 1
        if self.classes != in_order(set(self.classes)):
            raise ValueError(f"classes {list(self.classes)} are not in taxonomy order, or one stands twice")
        if len(self.answers) != rows or any(len(row) != columns for row in self.answers):
            raise ValueError(f"answers want {rows} rows of {columns} counts, the last for unsure")
        if len(self.groups) != rows:
            raise ValueError(f"groups wants {rows} numbers")
        for key, row, groups in zip(self.classes, self.answers, self.groups, strict=True):
            if not min(row) >= 0 or not abs(sum(row) - groups) <= ROUNDING:
                raise ValueError(f"{key}: answers {row} are not those of {groups} groups")
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
    of, _, shares = by_group(len(classes), truth, answered, groups)
    return confusion_of_groups(classes, of, shares, labs=labs, measured_on=measured_on)


def by_group(
    width: int, truth: NDArray[np.int64], answered: NDArray[np.int64], groups: Sequence[str] | NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.float64]]:
    """How the cells of each group were answered; a group that holds cells of two classes is a group of each.

    Args:
        width: How many classes there are.
        truth: As for `confusion_of`.
        answered: As for `confusion_of`.
        groups: As for `confusion_of`.

    Returns:
        (units,), true class; (units,), the group's name; (units, classes + 1), shares of its cells' answers.

    Raises:
        ValueError: Where lengths disagree or an index is none.
    """
    if not truth.shape == answered.shape == (len(groups),):
        raise ValueError(f"truth {truth.shape}, answers {answered.shape} and {len(groups)} groups disagree")
    if len(truth) and not (
        truth.min() >= 0 and truth.max() < width and 0 <= answered.min() <= answered.max() <= width
    ):
        raise ValueError(f"an index is outside the {width} classes")
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    units, unit = np.unique(np.stack([truth, member.reshape(truth.shape)]), axis=1, return_inverse=True)
    counts = np.zeros((units.shape[1], width + 1))
    np.add.at(counts, (unit.reshape(truth.shape), answered), 1)
    return units[0], names[units[1]], counts / counts.sum(axis=1, keepdims=True)


def confusion_of_groups(
    classes: Sequence[str],
    truth: NDArray[np.int64],
    shares: NDArray[np.float64],
    *,
    labs: Sequence[str] = (),
    measured_on: str = "",
) -> Confusion:
    """The same from groups whose answers are counted already.

    Args:
        classes: Class keys in taxonomy order.
        truth: (groups,), true class of each group's cells.
        shares: (groups, classes + 1), share of its cells answered as each class and as unsure.
        labs: As for `confusion_of`.
        measured_on: As for `confusion_of`.
    """
    rows = [shares[truth == index] for index in range(len(classes))]
    return Confusion(
        classes=tuple(classes),
        answers=tuple(tuple(np.round(row.sum(axis=0), DIGITS).tolist()) for row in rows),
        groups=tuple(len(row) for row in rows),
        labs=tuple(labs),
        measured_on=measured_on,
    )
