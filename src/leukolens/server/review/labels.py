"""Naming cells, striking out what is none, and drawing what was missed: one act a call, each can be undone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.errors import Conflict, LeukolensError, Missing, Unfit
from leukolens.imaging.framing import Box
from leukolens.reading.fields import cut_by_edge
from leukolens.server.actor import Actor
from leukolens.server.review import blind, turns
from leukolens.server.review.acts import (
    CROP,
    Said,
    answers_of,
    have_cut_out,
    in_parts,
    opened,
    put,
    record,
    redo,
    undo,
)
from leukolens.server.store import trail
from leukolens.server.store.columns import now
from leukolens.server.store.tables import Act, Cell, Field, Sample
from leukolens.taxonomy import UNSURE, cell_class

__all__ = ["CROP", "SMALLEST", "draw", "label", "redo", "strike", "undo"]

SMALLEST = 4
"""Least width and height of a drawn cell, pixels."""
DRAWN = "drawn by a person"


def label(
    session: Session,
    actor: Actor,
    sample: Sample,
    cell_ids: Iterable[int],
    label: str,
    *,
    turn: int = 1,
) -> Act:
    """Says of cells what they are; several at once are marked as named by one act.

    Of cells whose machine's answer is hidden, that is kept for good besides, and they are hidden no more.

    In a sample of two readers the turn is begun by it, where nobody has yet.

    Args:
        session: In a writing transaction.
        actor: A reader at least.
        sample: Not signed.
        cell_ids: At least one, all of the sample.
        label: A class's key, or ``unsure``.
        turn: Whose turn it is said in.

    Raises:
        Unfit: Where no cell is given, or the label is none.
        Missing: Where a cell is not of the sample.
        Conflict: Where a cell was struck out, the sample is signed, the turn is another person's or done, or only
            some of the cells are hidden.
    """
    sample, user = opened(session, actor, sample, "name cells")
    _known(label)
    ids = _ids(cell_ids)
    _present(session, sample, ids)
    turns.take(session, actor, sample, turn)
    hidden = blind.among(session, ids, turn)
    unseen = blind.apart(ids, hidden)
    there = answers_of(session, ids, turn)
    said = Said(label, user, now(), len(ids) > 1, unseen)
    before = {cell: Said.of(there.get(cell)) for cell in ids}
    put(session, turn, dict.fromkeys(ids, said), there)
    blind.keep(session, hidden, turn, label, user)
    entry = said.entry()
    act = record(
        session,
        sample,
        user,
        "label",
        [
            {"cell": cell, "turn": turn, "before": one.entry() if one else None, "after": entry}
            for cell, one in before.items()
        ],
    )
    trail.append(
        session,
        actor,
        "label",
        f"sample {sample.key}",
        before={
            "turn": turn,
            "cells": {str(cell): one.label if one else None for cell, one in before.items()},
        },
        after={"turn": turn, "cells": {str(cell): label for cell in ids}}
        | ({"blind": True} if unseen else {}),
    )
    return act


def strike(session: Session, actor: Actor, sample: Sample, cell_ids: Iterable[int]) -> Act:
    """Strikes out finds that are no cells; they leave gallery and counts, in every turn.

    Args:
        session: In a writing transaction.
        actor: A reader at least.
        sample: Not signed.
        cell_ids: At least one, all of the sample.

    Raises:
        Unfit: Where no cell is given.
        Missing: Where a cell is not of the sample.
        Conflict: Where a cell was struck out already, the sample is signed, or the person's turn is done.
    """
    sample, user = opened(session, actor, sample, "strike out cells")
    ids = _ids(cell_ids)
    cells = _present(session, sample, ids)
    turns.hold(session, actor, sample, None)
    for cell in cells:
        cell.deleted = True
    act = record(
        session, sample, user, "delete", [{"cell": cell, "before": False, "after": True} for cell in ids]
    )
    trail.append(
        session,
        actor,
        "delete",
        f"sample {sample.key}",
        before={"deleted": {str(cell): False for cell in ids}},
        after={"deleted": {str(cell): True for cell in ids}},
    )
    return act


def draw(session: Session, actor: Actor, sample: Sample, field: Field, box: Box) -> Cell:
    """Adds a cell that the machine missed; it is unsure until somebody names it.

    Its picture is cut out by a job of kind `CROP`; until then it has none.

    Args:
        session: In a writing transaction.
        actor: A reader at least.
        sample: Not signed.
        field: A field of it that was read.
        box: Pixels of the field's image as displayed.

    Raises:
        Missing: Where the field is not of the sample.
        Unfit: Where the box is too small or not inside the field, or the field could not be read.
        Conflict: Where the field is still to be read, the sample is signed, or the person's turn is done.
    """
    sample, user = opened(session, actor, sample, "draw cells")
    if field.sample_id != sample.id:
        raise Missing("that field is not of this sample", "Draw in one of its own")
    _fits(field, box)
    turns.hold(session, actor, sample, None)
    cell = Cell(
        sample_id=sample.id,
        field_id=field.id,
        x0=box.x0,
        y0=box.y0,
        x1=box.x1,
        y1=box.y1,
        drawn_by=user,
        at_edge=cut_by_edge(box, field.width, field.height),
        reason=DRAWN,
    )
    session.add(cell)
    session.flush()
    have_cut_out(session, cell)
    record(session, sample, user, "draw", [{"cell": cell.id, "before": True, "after": False}])
    after = {"cell": cell.id, "field": field.place, "box": [box.x0, box.y0, box.x1, box.y1]}
    trail.append(session, actor, "draw", f"sample {sample.key}", after=after)
    return cell


def _known(label: str) -> None:
    try:
        if label != UNSURE:
            cell_class(label)
    except LeukolensError as error:
        raise Unfit(error.problem, error.remedy) from error


def _ids(cell_ids: Iterable[int]) -> list[int]:
    ids = list(dict.fromkeys(cell_ids))
    if not ids:
        raise Unfit("no cell is given", "Select at least one")
    return ids


def _present(session: Session, sample: Sample, ids: Sequence[int]) -> list[Cell]:
    found = {
        cell.id: cell
        for some in in_parts(ids)
        for cell in session.scalars(select(Cell).where(Cell.sample_id == sample.id, Cell.id.in_(some)))
    }
    if missing := [cell for cell in ids if cell not in found]:
        raise Missing(f"cell {missing[0]} is not of this sample", "Load the page again")
    if struck := [cell for cell in ids if found[cell].deleted]:
        raise Conflict(f"cell {struck[0]} was struck out", "Load the page again")
    return [found[cell] for cell in ids]


def _fits(field: Field, box: Box) -> None:
    if field.state == "waiting":
        raise Conflict("this field is still to be read", "Wait until it is")
    if field.state == "failed":
        raise Unfit("this field could not be read, so nothing can be drawn in it", "Draw in another")
    if min(box.width, box.height) < SMALLEST:
        raise Unfit(
            f"a cell of {box.width} x {box.height} pixels is none", f"Draw one of {SMALLEST} pixels and more"
        )
    if box != box.within(field.width, field.height):
        raise Unfit(
            f"a cell at {box.x0}, {box.y0} to {box.x1}, {box.y1} is not inside the field, "
            f"which has {field.width} x {field.height} pixels",
            "Draw it inside",
        )
