"""What is done to cells from gallery and field: each act answers at once with what has changed.

The differential is asked for once a burst of keys is over: counting it anew costs more than the act.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leukolens.errors import Conflict, Missing
from leukolens.imaging.framing import Box
from leukolens.server.actor import Actor
from leukolens.server.intake import samples
from leukolens.server.review import labels
from leukolens.server.review.blind import hidden
from leukolens.server.review.shown import Answers, machine_label
from leukolens.server.store.tables import Act, Answer, Cell, Sample
from leukolens.server.store.tables import Field as FieldRow
from leukolens.server.web.context import Acting, Writing
from leukolens.server.web.pages.frame import LARGEST, place_of
from leukolens.server.web.rendering import language_of
from leukolens.server.web.text import translate

router = APIRouter(prefix="/samples/{key}", include_in_schema=False)
MOST_CELLS = 20_000
AT_ONCE = 500

Said = dict[str, Any]
"""An act's answer as JSON: ``act`` (its id, None where nothing was done) and ``changed`` (id, label, by; ``blind``
of a cell whose machine's answer is hidden)."""


class Cells(BaseModel):
    """The cells that an act is about."""

    cells: list[int] = Field(min_length=1, max_length=MOST_CELLS)


class Labelled(Cells):
    """Cells, and what they are."""

    label: str = Field(max_length=40)


class Drawn(BaseModel):
    """A cell that was missed: its field's place, and its box in pixels of the image as displayed."""

    place: int = Field(ge=1, le=LARGEST)
    box: tuple[int, int, int, int]


@router.post("/label")
def label(key: str, body: Labelled, request: Request, actor: Acting, session: Writing) -> Said:
    """Names cells."""
    sample, turn = _opened(request, session, actor, key)
    act = labels.label(session, actor, sample, _known(body.cells), body.label, turn=turn)
    return _said(session, actor, sample, act)


@router.post("/strike")
def strike(key: str, body: Cells, request: Request, actor: Acting, session: Writing) -> Said:
    """Strikes out false finds."""
    sample, _ = _opened(request, session, actor, key)
    return _said(session, actor, sample, labels.strike(session, actor, sample, _known(body.cells)))


@router.post("/undo")
def undo(key: str, request: Request, actor: Acting, session: Writing) -> Said:
    """Takes back this person's last act."""
    sample, _ = _opened(request, session, actor, key)
    return _said(session, actor, sample, labels.undo(session, actor, sample))


@router.post("/redo")
def redo(key: str, request: Request, actor: Acting, session: Writing) -> Said:
    """Does again what was taken back last."""
    sample, _ = _opened(request, session, actor, key)
    return _said(session, actor, sample, labels.redo(session, actor, sample))


@router.post("/draw")
def draw(key: str, body: Drawn, request: Request, actor: Acting, session: Writing) -> Said:
    """Adds a missed cell."""
    sample, _ = _opened(request, session, actor, key)
    row = select(FieldRow).where(FieldRow.sample_id == sample.id, FieldRow.place == body.place)
    field = session.scalars(row).one_or_none()
    if field is None:
        raise Missing("there is no such field", "Load the page again")
    box = Box(*(min(max(edge, -LARGEST), LARGEST) for edge in body.box))
    cell = labels.draw(session, actor, sample, field, box)
    drawn = select(func.max(Act.id)).where(Act.sample_id == sample.id, Act.user_id == actor.user_id)
    said = _answer(session, actor, sample, [cell.id], session.scalar(drawn))
    session.commit()
    worker = request.app.state.context.worker
    if worker is not None:
        worker.wake()  # it cuts out the picture
    return said


def _opened(request: Request, session: Session, actor: Actor, key: str) -> tuple[Sample, int]:
    sample = samples.find(session, key)
    _, turn, lock = place_of(session, actor, sample)
    if lock:
        language = language_of(request)
        raise Conflict(translate(language, lock).rstrip("."), translate(language, "gallery.load_again"))
    return sample, turn


def _known(cells: list[int]) -> list[int]:
    if any(not 0 < cell <= LARGEST for cell in cells):
        raise Missing("there is no such cell", "Load the page again")
    return cells


def _said(session: Session, actor: Actor, sample: Sample, act: Act | None) -> Said:
    cells = [] if act is None else [change["cell"] for change in act.changes]
    return _answer(session, actor, sample, cells, None if act is None else act.id)


def _answer(session: Session, actor: Actor, sample: Sample, cells: list[int], act: int | None) -> Said:
    seen, _, _ = place_of(session, actor, sample)
    return {"act": act, "changed": _changed(session, cells, seen)}


def _changed(session: Session, cells: list[int], seen: int) -> list[dict[str, Any]]:
    """Of each cell what it is shown as now, None where it was struck out or is hidden, and who says so."""
    answers = Answers(seen)
    columns = (
        Cell.id,
        Cell.deleted,
        Cell.machine_class,
        Cell.decision,
        answers.first(Answer.label),
        hidden(seen),
    )
    found = []
    for start in range(0, len(cells), AT_ONCE):
        query = select(*columns).where(Cell.id.in_(cells[start : start + AT_ONCE]))
        for cell, deleted, machine_class, decision, said, unseen in session.execute(answers.joined(query)):
            shown = said or machine_label(machine_class, decision)
            by = "person" if said else "machine"
            gone = deleted or unseen
            found.append(
                {"id": cell, "label": None if gone else shown, "by": by}
                | ({"blind": True} if unseen and not deleted else {})
            )
    return found
