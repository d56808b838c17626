"""The turns of a sample that two persons read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from sqlalchemy.orm import Session

from leukolens.server.intake import samples
from leukolens.server.review import turns
from leukolens.server.store import tables
from leukolens.server.web.api.door import Naming, Seeing, Short, Told
from leukolens.server.web.context import Reading, Writing
from leukolens.server.web.pages.frame import readings

router = APIRouter(prefix="/samples/{key}/turns", tags=["two readers"], route_class=Short)
Turn = Annotated[
    int, Path(ge=turns.FIRST, le=turns.SETTLING, description="1 and 2 read without each other, 3 settles.")
]


class TurnOfReading(Told):
    """A turn of reading that somebody has begun."""

    turn: int
    reader: str
    """The person's name."""
    done: datetime | None
    """When it was ended; null while it goes on."""


class Difference(Told):
    """A cell that two readers call differently."""

    cell_id: int
    field: int
    """Its field's place in the sample, from 1."""
    first: str
    second: str
    settled: str | None
    """What the third person says; null where that is still to be said."""
    at_edge: bool


class Turns(Told):
    """The turns that were begun, and what came of them."""

    turns: list[TurnOfReading]
    kappa: float | None
    """Cohen's kappa of the two readers; null until both are done."""
    differences: list[Difference] | None
    """Null until both are done."""


@router.get("", summary="List turns")
def listed(key: str, actor: Seeing, session: Reading) -> Turns:
    """Who reads; once both are done, how far they agree and where they do not."""
    return _told(session, samples.find(session, key))


@router.post("/{turn}/begin", summary="Begin a turn")
def begin(key: str, turn: Turn, actor: Naming, session: Writing) -> Turns:
    """Makes a turn this person's. To settle, name the cells that differ in turn 3."""
    sample = samples.find(session, key)
    turns.begin(session, actor, sample, turn)
    return _told(session, sample)


@router.post("/{turn}/end", summary="End a turn")
def end(key: str, turn: Turn, actor: Naming, session: Writing) -> Turns:
    """Ends this person's turn: what is shown now is the reader's answer."""
    sample = samples.find(session, key)
    turns.done(session, actor, sample, turn)
    return _told(session, sample)


def _told(session: Session, sample: tables.Sample) -> Turns:
    begun = readings(session, sample)
    told = [
        TurnOfReading(turn=row.turn, reader=user.name, done=row.done)
        for row in begun.values()
        if (user := session.get(tables.User, row.user_id)) is not None
    ]
    both = all(turn in begun and begun[turn].done for turn in (turns.FIRST, turns.SECOND))
    found = turns.differences(session, sample) if both else ()
    return Turns(
        turns=told,
        kappa=turns.kappa(session, sample),
        differences=[Difference.model_validate(one) for one in found] if both else None,
    )
