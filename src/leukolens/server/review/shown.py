"""Which class a cell is shown as: what a person says, else what the machine does."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, null
from sqlalchemy.orm import InstrumentedAttribute, aliased

from leukolens.errors import Unfit
from leukolens.server.store.tables import Answer, Cell
from leukolens.taxonomy import UNSURE, cell_class

SEEN: dict[int, tuple[int, ...]] = {0: (), 1: (1,), 2: (2,), 3: (3, 1)}
"""Whose answers are seen in which turn, the first that there is before the others: a reader sees no other's.

Turn 1 is the first reader's, 2 the second's, 3 settles; 0 is the machine's, before anybody read.
"""
SETTLED = 3
"""The turn whose view is what counts in the end, in a sample of one reader too."""


class Answers:
    """The answers that are seen in a turn, to be joined to a query of cells.

    Args:
        turn: One of `SEEN`.

    Raises:
        Unfit: Where there is no such turn.
    """

    def __init__(self, turn: int) -> None:
        if turn not in SEEN:
            raise Unfit(f"there is no turn {turn}", "Ask for turn 1, 2 or 3")
        self._of = [(number, aliased(Answer)) for number in SEEN[turn]]

    def joined(self, query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
        """The query with them; a cell without an answer stays in it."""
        for number, answer in self._of:
            query = query.outerjoin(answer, and_(answer.cell_id == Cell.id, answer.turn == number))
        return query

    def first(self, column: InstrumentedAttribute[Any]) -> ColumnElement[Any]:
        """A column of the answer that counts; NULL where a cell has none."""
        columns = [getattr(answer, column.key) for _, answer in self._of]
        return func.coalesce(*columns, null()) if columns else null()


def machine_label(machine_class: str | None, decision: str | None) -> str:
    """What the machine says of a cell, as the differential counts it: a class's key, or ``unsure``.

    Args:
        machine_class: The most probable one; None where nobody asked the machine.
        decision: As `leukolens.reading.cell.Cell` has it.
    """
    if machine_class is None:
        return UNSURE
    # What is most probably no leukocyte is counted as none, however sure: see report.sample.counted_as.
    sure = decision == "accept" or not cell_class(machine_class).leukocyte
    return machine_class if sure else UNSURE
