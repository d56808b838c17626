"""Looking over a sample and signing it: comments, two readers, what was changed, the signature, and its versions."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.errors import Conflict, ServerError, Unfit
from leukolens.server.actor import Actor
from leukolens.server.intake import samples
from leukolens.server.jobs import queue
from leukolens.server.review import comments, gallery, labels, turns
from leukolens.server.signing import formats, sign
from leukolens.server.store.tables import Report, Sample, User
from leukolens.server.web.context import Acting, Reading, Writing
from leukolens.server.web.errors import status_of
from leukolens.server.web.pages.frame import LARGEST, frame, in_reach, readings
from leukolens.server.web.pages.gallery import tally
from leukolens.server.web.pages.kinds import Kind, kinds, words
from leukolens.server.web.rendering import language_of, render
from leukolens.server.web.text import translate

router = APIRouter(prefix="/samples/{key}", include_in_schema=False)
SEE_OTHER = 303
PARTS = {"red cells": "red_cells", "platelets": "platelets"}
TURNS: dict[int, str] = {turns.FIRST: "first", turns.SECOND: "second", turns.SETTLING: "third"}
Text = Annotated[str, Form()]


@router.get("/sign")
def page(key: str, request: Request, actor: Acting, session: Reading) -> Response:
    """The page to look over and sign."""
    actor.must_have("samples:read")
    return _page(request, actor, session, samples.find(session, key))


@router.post("/sign")
def put_name(
    key: str, request: Request, actor: Acting, session: Writing, accept_unsure: Text = ""
) -> Response:
    """Signs the sample."""
    sample = samples.find(session, key)
    try:
        context = request.app.state.context
        told = context.messenger is not None
        sign.sign(session, context.files, actor, sample, accept_unsure=bool(accept_unsure), announce=told)
    except Conflict as error:
        return _again(request, actor, session, key, error)
    return RedirectResponse(f"/samples/{key}/sign", SEE_OTHER)


@router.post("/reopen")
def reopen(key: str, request: Request, actor: Acting, session: Writing, why: Text = "") -> Response:
    """Opens a signed sample again."""
    try:
        sign.reopen(session, actor, samples.find(session, key), why)
    except (Conflict, Unfit) as error:
        return _again(request, actor, session, key, error)
    return RedirectResponse(f"/samples/{key}/sign", SEE_OTHER)


async def _form(request: Request) -> dict[str, str]:
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


@router.post("/comments")
def comment(
    key: str, actor: Acting, session: Writing, form: Annotated[dict[str, str], Depends(_form)]
) -> Response:
    """Says what a person saw of red cells and platelets; an empty grade says nothing of a finding."""
    sample = samples.find(session, key)
    for finding in comments.FINDINGS:
        said = form.get(finding.key)
        if said:
            comments.grade(session, actor, sample, finding.key, said)
        elif said is not None:
            comments.clear(session, actor, sample, finding.key)
    return RedirectResponse(f"/samples/{key}/sign", SEE_OTHER)


@router.post("/turns/begin")
def begin(key: str, actor: Acting, session: Writing, turn: Annotated[int, Form()]) -> Response:
    """Begins a turn of reading."""
    turns.begin(session, actor, samples.find(session, key), turn)
    return RedirectResponse(f"/samples/{key}/{'sign' if turn == turns.SETTLING else 'gallery'}", SEE_OTHER)


@router.post("/turns/end")
def end(
    key: str, request: Request, actor: Acting, session: Writing, turn: Annotated[int, Form()]
) -> Response:
    """Ends a turn of reading."""
    try:
        turns.done(session, actor, samples.find(session, key), turn)
    except Conflict as error:
        return _again(request, actor, session, key, error)
    return RedirectResponse(f"/samples/{key}/sign", SEE_OTHER)


@router.post("/turns/settle")
def settle(
    key: str, actor: Acting, session: Writing, cell: Annotated[int, Form(ge=1, le=LARGEST)], label: Text
) -> Response:
    """Says what a cell is that two readers differ on."""
    labels.label(session, actor, samples.find(session, key), [cell], label, turn=turns.SETTLING)
    return RedirectResponse(f"/samples/{key}/sign", SEE_OTHER)


@router.get("/reports/{number}")
def download(
    key: str,
    number: int,
    request: Request,
    actor: Acting,
    session: Reading,
    kind: Annotated[str, Query(alias="format")] = "",
    identifier: str = "",
) -> Response:
    """A signed version's file, to be kept; with the patient's identifier only where that is asked for."""
    actor.must_have("samples:read")
    sample = samples.find(session, key)
    signed = sign.version(session, sample, in_reach(number))
    name = formats.file_name(signed, kind)
    whose = samples.identity(session, sample).identifier if identifier == "yes" else None
    content = formats.write(signed, kind, request.app.state.context.files, identifier=whose)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=formats.FORMATS[kind].media_type, headers=headers)


def _again(request: Request, actor: Actor, session: Session, key: str, error: ServerError) -> Response:
    """The page once more, with what is in the way."""
    session.rollback()
    return _page(request, actor, session, samples.find(session, key), problem=error, status=status_of(error))


def _page(
    request: Request,
    actor: Actor,
    session: Session,
    sample: Sample,
    *,
    problem: ServerError | None = None,
    status: int = 200,
) -> Response:
    language = language_of(request)
    head = frame(session, actor, sample)
    known = kinds(language)
    said = comments.said(session, sample)
    return render(
        request, "sign.html", actor=actor, status=status, part="sign", sample=head, problem=problem,
        progress=queue.progress(session, sample), tally=tally(request, session, sample, head.seen),
        comments=_findings(language, {finding.key: grade for finding, grade in said}),
        said=[(_finding_name(language, finding), _grade_name(language, grade)) for finding, grade in said],
        changes=_changes(session, sample, head.seen, known), turns=_turns(session, actor, sample, known),
        may_sign=actor.role in {"reviewer", "administrator"}, versions=_versions(session, sample),
        formats=tuple(formats.FORMATS), words=words(language),
        obstacles=sign.obstacles(session, sample) if sample.state == "open" else (),
    )  # fmt: skip


def _findings(language: str, chosen: dict[str, str]) -> list[tuple[str, list[dict[str, Any]]]]:
    return [
        (
            part,
            [
                {
                    "key": finding.key, "name": _finding_name(language, finding), "chosen": chosen.get(finding.key, ""),
                    "grades": [(grade, _grade_name(language, grade)) for grade in finding.grades],
                }
                for finding in comments.FINDINGS
                if finding.of == of
            ],
        )
        for of, part in PARTS.items()
    ]  # fmt: skip


def _finding_name(language: str, finding: comments.Finding) -> str:
    return translate(language, f"finding.{finding.key}")


def _grade_name(language: str, grade: str) -> str:
    return translate(language, f"grade.{grade.strip('+')}")


def _changes(session: Session, sample: Sample, seen: int, known: dict[str, Kind]) -> list[dict[str, Any]]:
    """What persons called otherwise than the machine: from what, to what, and how many cells."""
    moved = Counter(
        (cell.machine, cell.label)
        for group in gallery.groups(session, sample, seen)
        for cell in group.cells
        if cell.reviewed and cell.label != cell.machine
    )
    return [
        {"before": known[before], "after": known[after], "count": count}
        for (before, after), count in moved.most_common()
    ]


def _turns(session: Session, actor: Actor, sample: Sample, known: dict[str, Kind]) -> dict[str, Any] | None:
    if not sample.two_readers:
        return None
    begun = readings(session, sample)
    names = {row.turn: user.full_name for row in begun.values() if (user := session.get(User, row.user_id))}
    shown = [
        {"which": which, "name": names.get(turn, ""), "done": turn in begun and begun[turn].done is not None}
        for turn, which in TURNS.items()
    ]
    both = all(one["done"] for one in shown[:2])
    kappa = turns.kappa(session, sample)
    settling = begun.get(turns.SETTLING)
    return {
        "readings": shown,
        "kappa": None if kappa is None else f"{kappa:.2f}",
        "settling": sample.state == "open" and settling is not None and settling.user_id == actor.user_id,
        "differences": [
            {"cell": one.cell_id, "said": (known[one.first], known[one.second]), "settled": one.settled}
            for one in turns.differences(session, sample)
        ]
        if both
        else None,
    }


def _versions(session: Session, sample: Sample) -> list[dict[str, Any]]:
    """The newest first."""
    rows = session.execute(
        select(Report, User.full_name).join(User, User.id == Report.signed_by)
        .where(Report.sample_id == sample.id).order_by(Report.version.desc())
    )  # fmt: skip
    return [
        {
            "version": row.version, "status": row.status, "signed_by": name, "trail_hash": row.trail_hash,
            "signed_at": row.signed_at.strftime("%Y-%m-%d %H:%M"), "reopened_why": row.reopened_why,
        }
        for row, name in rows
    ]  # fmt: skip
