"""The samples: their list, a new one, and one sample with its fields as they arrive and are read."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, RedirectResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.errors import Unfit
from leukolens.server.actor import Actor
from leukolens.server.intake import samples
from leukolens.server.intake.uploads import Refusal, Upload, receive
from leukolens.server.intake.watched import NotTaken
from leukolens.server.jobs import queue
from leukolens.server.store.tables import Cell, Field, Sample
from leukolens.server.web.context import Acting, Reading, Writing
from leukolens.server.web.pages.frame import LARGEST, frame
from leukolens.server.web.pages.kinds import words
from leukolens.server.web.rendering import language_of, render
from leukolens.server.web.spoken import spoken
from leukolens.server.web.text import translate

router = APIRouter(include_in_schema=False)
PAGE = 50
PICTURES = 4
"""Cells that stand for a field in the list."""
SEE_OTHER = 303
EMPTY = {"identifier": "", "white_count": "", "notes": "", "two_readers": ""}
Text = Annotated[str, Form()]


@router.get("/")
def listed(
    request: Request,
    actor: Acting,
    session: Reading,
    words: str = "",
    state: str = "",
    after: int | None = None,
) -> Response:
    """The list of samples, and the form of a new one."""
    actor.must_have("samples:read")
    return _list(request, actor, session, words=words, state=state, after=after)


@router.post("/samples")
def create(
    request: Request,
    actor: Acting,
    session: Writing,
    identifier: Text = "",
    white_count: Text = "",
    notes: Text = "",
    two_readers: Text = "",
) -> Response:
    """A new sample; the list again with what is wrong where it cannot be made."""
    try:
        count = number(language_of(request), white_count)
        made = samples.create(
            session,
            actor,
            identifier=identifier,
            notes=notes,
            white_count=count,
            two_readers=bool(two_readers),
        )
    except Unfit as error:
        session.rollback()
        given = {
            "identifier": identifier,
            "white_count": white_count,
            "notes": notes,
            "two_readers": two_readers,
        }
        return _list(request, actor, session, problem=error, given=given, status=422)
    return RedirectResponse(f"/samples/{made.key}", SEE_OTHER)


@router.get("/samples/{key}")
def one(key: str, request: Request, actor: Acting, session: Reading) -> Response:
    """One sample."""
    actor.must_have("samples:read")
    return _sample(request, actor, session, samples.find(session, key))


@router.get("/samples/{key}/progress")
def progress(key: str, request: Request, actor: Acting, session: Reading) -> Response:
    """How far it is read: the part of the page that looks again by itself."""
    actor.must_have("samples:read")
    sample = samples.find(session, key)
    return render(
        request, "sample_progress.html", actor=actor, sample=frame(session, actor, sample),
        **_fields(session, sample),
    )  # fmt: skip


@router.post("/samples/{key}/fields")
def upload(key: str, request: Request, actor: Acting, files: Annotated[list[UploadFile], File()]) -> Response:
    """Takes fields: as JSON where a script asks, else as a page."""
    context = request.app.state.context
    sent = (Upload(file.filename or "", file.file) for file in files)
    received = receive(context.database, context.files, actor, key, sent, context.settings.limits)
    if received.taken and context.worker is not None:
        context.worker.wake()
    if "application/json" in request.headers.get("accept", ""):
        language = language_of(request)
        refused = [{"name": one.name, "reason": spoken(language, one.reason)} for one in received.refused]
        return JSONResponse({"taken": received.taken, "known": received.known, "refused": refused})
    if not received.refused:
        return RedirectResponse(f"/samples/{key}", SEE_OTHER)
    with context.database.reading() as session:
        return _sample(request, actor, session, samples.find(session, key), refused=received.refused)


@router.post("/samples/{key}/change")
def change(
    key: str,
    request: Request,
    actor: Acting,
    session: Writing,
    identifier: Text = "",
    white_count: Text = "",
    notes: Text = "",
) -> Response:
    """Changes what is known of a sample."""
    try:
        samples.change(
            session, actor, samples.find(session, key), identifier=identifier, notes=notes,
            white_count=number(language_of(request), white_count),
        )  # fmt: skip
    except Unfit as error:
        session.rollback()
        return _sample(request, actor, session, samples.find(session, key), problem=error, status=422)
    return RedirectResponse(f"/samples/{key}", SEE_OTHER)


@router.post("/samples/{key}/again")
def again(key: str, request: Request, actor: Acting, session: Writing) -> Response:
    """Has the failed fields read once more."""
    queue.again(session, actor, samples.find(session, key))
    session.commit()
    if request.app.state.context.worker is not None:
        request.app.state.context.worker.wake()
    return RedirectResponse(f"/samples/{key}", SEE_OTHER)


@router.post("/samples/{key}/delete")
def delete(
    key: str, request: Request, actor: Acting, session: Writing, confirm: Text = "", why: Text = ""
) -> Response:
    """Erases whose smear it is and its pictures, where the sample's key was typed to confirm it."""
    sample = samples.find(session, key)
    try:
        if confirm.strip().upper() != sample.key:
            raise Unfit(translate(language_of(request), "delete.not_confirmed", key=sample.key), "")
        samples.delete(session, actor, sample, why)
    except Unfit as error:
        session.rollback()
        return _sample(request, actor, session, samples.find(session, key), problem=error, status=422)
    session.commit()
    if request.app.state.context.worker is not None:
        request.app.state.context.worker.wake()  # it removes the images
    return RedirectResponse("/", SEE_OTHER)


def number(language: str, said: str) -> float | None:
    """A number that was typed, with a point or a comma; None where nothing was.

    Raises:
        Unfit: Where it is none.
    """
    said = said.strip()
    if not said:
        return None
    try:
        return float(said.replace(",", "."))
    except ValueError:
        raise Unfit(translate(language, "samples.no_number", value=said[:20]), "") from None


def _list(
    request: Request,
    actor: Actor,
    session: Session,
    *,
    words: str = "",
    state: str = "",
    after: int | None = None,
    problem: Unfit | None = None,
    given: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    state = state if state in {"open", "signed"} else ""
    after = None if after is None else min(max(after, 0), LARGEST)
    rows = samples.listed(session, words=words, state=state or None, after_id=after, limit=PAGE + 1)
    wanted = {"words": words, "state": state}
    more = f"/?{urlencode({**wanted, 'after': rows[PAGE - 1].id})}" if len(rows) > PAGE else ""
    here = f"/?{urlencode(wanted if after is None else {**wanted, 'after': after})}"
    return render(
        request, "samples.html", actor=actor, status=status, rows=rows[:PAGE], more=more, here=here, wanted=wanted,
        busy=any(row.waiting for row in rows), problem=problem, given=given or EMPTY, not_taken=_not_taken(request),
    )  # fmt: skip


def _not_taken(request: Request) -> tuple[NotTaken, ...]:
    """What lies in the watched folder and cannot be taken."""
    watcher = request.app.state.context.watcher
    return () if watcher is None else watcher.not_taken


def _sample(
    request: Request,
    actor: Actor,
    session: Session,
    sample: Sample,
    *,
    problem: Unfit | None = None,
    refused: tuple[Refusal, ...] = (),
    status: int = 200,
) -> Response:
    return render(
        request, "sample.html", actor=actor, status=status, part="sample", sample=frame(session, actor, sample),
        problem=problem, refused=refused, may_delete=actor.role in {"reviewer", "administrator"},
        words=words(language_of(request)), **_fields(session, sample),
    )  # fmt: skip


def _fields(session: Session, sample: Sample) -> dict[str, Any]:
    rows = session.scalars(select(Field).where(Field.sample_id == sample.id).order_by(Field.place)).all()
    cells: dict[int, list[int]] = {row.id: [] for row in rows}
    present = select(Cell.field_id, Cell.id).where(Cell.sample_id == sample.id, Cell.deleted.is_(False))
    for field, cell in session.execute(present.order_by(Cell.id)):
        cells[field].append(cell)
    fields = [
        {
            "place": row.place, "state": row.state, "reason": row.reason, "cells": len(cells[row.id]),
            "pictures": cells[row.id][:PICTURES],
        }
        for row in rows
    ]  # fmt: skip
    return {
        "fields": fields,
        "cells": sum(map(len, cells.values())),
        "progress": queue.progress(session, sample),
    }
