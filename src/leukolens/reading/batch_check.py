"""Does a whole sample look like anything that the model has learned? Asked before a differential is trusted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from leukolens.card import Judgement
from leukolens.differential.limits import exact_limits
from leukolens.reading.cell import Cell
from leukolens.taxonomy import cell_class

FEWEST_CELLS = 20
LEVEL = 0.998  # of two-sided limits: the lower one is passed by chance once in a thousand
WORTH_LABELLING = 60


@dataclass(frozen=True, slots=True)
class BatchCheck:
    """How a sample's cells lie to what was learned.

    Attributes:
        cells: How many were asked: white cells that no edge cuts.
        outside: How many of them lie farther than 95 % of known cells do.
        usual: Share of cells outside in the known laboratory where it is largest.
        unlike: Whether clearly more lie outside than that.
    """

    cells: int
    outside: int
    usual: float
    unlike: bool

    @property
    def share(self) -> float:
        """Share of the cells that lie outside."""
        return self.outside / self.cells

    @property
    def message(self) -> str:
        """What a person should know and do, in a sentence or two; empty where there is nothing."""
        if not self.unlike:
            return ""
        return (
            f"This stain is new to the model: {100 * self.share:.0f} % of {self.cells} cells lie outside what it "
            f"has learned, {100 * self.usual:.0f} % at most in the laboratories that it knows. Label about "
            f"{WORTH_LABELLING} cells and run `leukolens adapt` before trusting this."
        )


def asked_of(cells: Iterable[Cell]) -> list[float]:
    """The distances that a sample is judged by."""
    return [
        cell.distance
        for cell in cells
        if cell.distance is not None and not cell.at_edge and cell_class(cell.label).leukocyte
    ]


def check(distances: Iterable[float], judgement: Judgement) -> BatchCheck | None:
    """Whether a sample is unlike anything learned; None with fewer than 20 cells, or where nobody knows.

    It is where the lower limit (exact, Clopper & Pearson, Biometrika 1934; one in a thousand) of the share of cells
    outside is above the share that is usual in the known laboratory that is hardest to recognise. A few strange
    cells in a sample are no reason; nor are re-encoded, resized or slightly dimmed images.

    Args:
        distances: Of `Familiarity.distance`, a cell each.
        judgement: The bundle's.
    """
    known = list(distances)
    within = judgement.usual_within
    outside = 0 if within is None else sum(distance > within for distance in known)
    return check_counted(outside, len(known), judgement)


def check_counted(outside: int, cells: int, judgement: Judgement) -> BatchCheck | None:
    """The same, where it is known how many of the cells lie outside."""
    if judgement.usual_within is None or judgement.outside_share is None or cells < FEWEST_CELLS:
        return None
    least, _ = exact_limits(outside, cells, level=LEVEL)
    return BatchCheck(cells, outside, judgement.outside_share, least > judgement.outside_share)
