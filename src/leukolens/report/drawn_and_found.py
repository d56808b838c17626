"""Drawn fields beside what was read of them: which found cell is which drawn one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import hypot

from leukolens.datasets.synthetic import DrawnCell, DrawnField
from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, FieldReading


@dataclass(frozen=True, slots=True)
class Pair:
    """A drawn cell and the one that was found there; where one is None, the other stands alone."""

    drawn: DrawnCell | None
    found: Cell | None

    @property
    def agrees(self) -> bool:
        """Whether a cell was drawn, found and called by its class."""
        return bool(self.drawn and self.found and self.drawn.label == self.found.label)


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """One drawn field with its reading.

    Attributes:
        field: As drawn.
        reading: What was read of it.
        pairs: Every cell that was drawn or found, drawn ones first, each part from top to bottom.
    """

    field: DrawnField
    reading: FieldReading
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """What a comparison comes to.

    Attributes:
        drawn: Cells drawn.
        found: Those of them that were found.
        as_drawn: Those of them that were called by their class.
        extra: Cells found where none was drawn.
    """

    drawn: int
    found: int
    as_drawn: int
    extra: int


def compare(field: DrawnField, reading: FieldReading) -> Compared:
    """Pairs a field's drawn cells with those found, nearest first.

    A found cell is a drawn one's if its centre lies within the drawn box.
    """
    near = sorted(
        (distance, one, other)
        for one, drawn in enumerate(field.cells)
        for other, found in enumerate(reading.cells)
        if (distance := _distance(drawn.box, found.box)) is not None
    )
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for _, one, other in near:
        if one not in partner and other not in taken:
            partner[one] = other
            taken.add(other)
    from_top = sorted(range(len(field.cells)), key=lambda one: _place(field.cells[one].box))
    pairs = [
        Pair(field.cells[one], reading.cells[partner[one]] if one in partner else None) for one in from_top
    ]
    alone = [Pair(None, cell) for other, cell in enumerate(reading.cells) if other not in taken]
    return Compared(field, reading, (*pairs, *alone))


def score(compared: Iterable[Compared]) -> Score:
    """Counts over fields."""
    pairs = [pair for item in compared for pair in item.pairs]
    return Score(
        drawn=sum(pair.drawn is not None for pair in pairs),
        found=sum(pair.drawn is not None and pair.found is not None for pair in pairs),
        as_drawn=sum(pair.agrees for pair in pairs),
        extra=sum(pair.drawn is None for pair in pairs),
    )


def drawn_counts(compared: Iterable[Compared]) -> Counter[str]:
    """Class key to the number of cells drawn of it."""
    return Counter(cell.label for item in compared for cell in item.field.cells)


def _distance(drawn: Box, found: Box) -> float | None:
    """Between the centres, pixels; None where the found one's lies outside of the drawn box."""
    x, y = (found.x0 + found.x1) / 2, (found.y0 + found.y1) / 2
    if not (drawn.x0 <= x < drawn.x1 and drawn.y0 <= y < drawn.y1):
        return None
    return hypot(x - (drawn.x0 + drawn.x1) / 2, y - (drawn.y0 + drawn.y1) / 2)


def _place(box: Box) -> tuple[int, int]:
    return box.y0, box.x0
