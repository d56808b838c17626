"""Blind cells: a random share is named with the machine's answer hidden, so that it can be told how often it is right.

Whoever sees an answer first tends to agree with it. A cell that was chosen when it was read shows nothing of the
machine's until somebody has named it; what is said of it first is kept for good, whatever is said of it later.
It is hidden from each of two readers until that reader has named it. Once both have ended their turns, or the sample
is signed, nothing is hidden any more: what has no name then counts as the machine says, as any other cell does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, and_, exists, false, func, select
from sqlalchemy.orm import Session, aliased

from leukolens.errors import Conflict
from leukolens.imaging.framing import Box
from leukolens.server.review.shown import SETTLED
from leukolens.server.store.columns import now
from leukolens.server.store.tables import BlindAnswer, Cell, Report

BLIND = "blind"
"""What a hidden cell is shown as, in the place of a class's key."""
AT_ONCE = 500
_CHANCES = 2**64


def is_chosen(sample_key: str, image_sha256: str, box: Box, share: float) -> bool:
    """Whether a cell is to be named blind: the same answer whenever it is read, and at random over cells.

    Args:
        sample_key: The sample's, which is random: so that the same image differs from sample to sample.
        image_sha256: Digest of the field's image.
        box: Of the cell.
        share: How many of all cells, from 0 to 1.
    """
    what = f"{sample_key} {image_sha256} {box.x0} {box.y0} {box.x1} {box.y1}"
    drawn = int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big")
    return drawn < share * _CHANCES


def hidden(turn: int) -> ColumnElement[bool]:
    """Whether what the machine says of a cell is hidden, for a query of `Cell`.

    Args:
        turn: Whose answers are shown, as `turns.seen_by` says.
    """
    if turn == SETTLED:
        return false()
    named = exists().where(BlindAnswer.cell_id == Cell.id, BlindAnswer.turn == turn)
    signed = exists().where(Report.sample_id == Cell.sample_id)
    return and_(Cell.blind, ~named, ~signed)


def said_first() -> ColumnElement[bool]:
    """What joins a cell with what was said of it while it was hidden; of two readers' answers the first reader's."""
    each = aliased(BlindAnswer)
    earliest = select(func.min(each.turn)).where(each.cell_id == Cell.id).scalar_subquery()
    return and_(BlindAnswer.cell_id == Cell.id, BlindAnswer.turn == earliest)


def is_hidden(session: Session, cell: Cell, turn: int) -> bool:
    """The same of one cell."""
    return bool(among(session, [cell.id], turn))


def among(session: Session, cell_ids: Sequence[int], turn: int) -> frozenset[int]:
    """Those of the cells that are hidden."""
    found: set[int] = set()
    for start in range(0, len(cell_ids), AT_ONCE):
        query = select(Cell.id).where(Cell.id.in_(cell_ids[start : start + AT_ONCE]), hidden(turn))
        found.update(session.scalars(query))
    return frozenset(found)


def apart(cell_ids: Sequence[int], among_them: Collection[int]) -> bool:
    """Whether cells are named blind by an act: all of them, or none.

    Args:
        cell_ids: That the act names.
        among_them: Those of them that are hidden.

    Raises:
        Conflict: Where some are hidden and some are not: nobody meant to sweep those along.
    """
    if among_them and len(among_them) != len(cell_ids):
        raise Conflict(
            f"cell {min(among_them)} is to be named before the machine's answer is shown",
            "Name such cells by themselves",
        )
    return bool(among_them)


def keep(session: Session, cell_ids: Collection[int], turn: int, label: str, user: int) -> None:
    """Keeps for good what was said of hidden cells; from now on they are hidden no more in that turn."""
    at = now()
    session.add_all(
        BlindAnswer(cell_id=cell, turn=turn, label=label, user_id=user, at=at) for cell in cell_ids
    )
    session.flush()
