"""Who asks, and what the server as a whole is doing: jobs, bundles, the end of the audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request
from sqlalchemy import select

from leukolens.server.actor import Role
from leukolens.server.intake import bundles
from leukolens.server.learning import activation
from leukolens.server.store import tables, trail
from leukolens.server.web.api.door import PAGE, Activating, After, Known, Limit, Seeing, Short, Told
from leukolens.server.web.context import Reading, Writing, context_of

router = APIRouter(tags=["server"], route_class=Short)
JobState = Literal["waiting", "running", "done", "failed"]


class Me(Told):
    """Who asks."""

    name: str
    role: Role
    scopes: list[str] | None
    """What the token may be used for; null for a person who is signed in at the page."""


class Job(Told):
    """Something that the worker does."""

    id: int
    """Its number."""
    kind: str
    """`read` a field, `crop` a drawn cell, `erase` a deleted sample's images, or another."""
    state: JobState
    sample: str | None
    """The sample's key; null where it is about none."""
    field: int | None
    """The field's place in the sample, from 1; null where it is about none."""
    problem: str | None
    """Why it failed; null where it did not."""
    attempts: int
    """How often it was begun."""
    created: datetime
    ended: datetime | None


class Jobs(Told):
    """A page of jobs, the newest first; `next` is null on the last one."""

    jobs: list[Job]
    next: int | None


class Bundle(Told):
    """A bundle; samples that are created from now on are read with the active one."""

    sha256: str
    name: str
    added: datetime
    active: bool


class Bundles(Told):
    """The bundles that are or were in use, or can be, the newest first."""

    bundles: list[Bundle]


class TrailEnd(Told):
    """The end of the audit trail: how many entries, and the newest one's hash."""

    entries: int
    hash: str


@router.get("/me", summary="Who I am")
def me(actor: Known) -> Me:
    """The person whose token or login it is, the role, and the token's scopes."""
    scopes = None if actor.scopes is None else sorted(actor.scopes)
    return Me(name=actor.name, role=actor.role, scopes=scopes)


@router.get("/jobs", summary="What the worker does")
def jobs(
    actor: Seeing, session: Reading, state: JobState | None = None, after: After = None, limit: Limit = PAGE
) -> Jobs:
    """Jobs of samples that were not deleted, and those of none, the newest first."""
    wanted = (
        select(tables.Job, tables.Sample.key, tables.Field.place)
        .outerjoin(tables.Sample, tables.Sample.id == tables.Job.sample_id)
        .outerjoin(tables.Field, tables.Field.id == tables.Job.field_id)
        .where(tables.Sample.deleted.is_(None))
        .order_by(tables.Job.id.desc())
        .limit(limit + 1)
    )
    if state is not None:
        wanted = wanted.where(tables.Job.state == state)
    if after is not None:
        wanted = wanted.where(tables.Job.id < after)
    told = [
        Job(
            state=job.state,  # type: ignore[arg-type]
            id=job.id, kind=job.kind, sample=key, field=place, problem=job.problem, attempts=job.attempts,
            created=job.created, ended=job.ended,
        )
        for job, key, place in session.execute(wanted)
    ]  # fmt: skip
    return Jobs(jobs=told[:limit], next=told[limit - 1].id if len(told) > limit else None)


@router.get("/bundles", summary="The bundles")
def all_bundles(actor: Seeing, session: Reading) -> Bundles:
    """Every bundle that is or was in use, and those that were adapted to this laboratory."""
    rows = session.scalars(
        select(tables.BundleFile).order_by(tables.BundleFile.added.desc(), tables.BundleFile.sha256)
    ).all()
    return Bundles(bundles=[Bundle.model_validate(row) for row in rows])


@router.get("/bundles/active", summary="The active bundle")
def active_bundle(actor: Seeing, session: Reading) -> Bundle:
    """What new samples are read with."""
    return Bundle.model_validate(bundles.active(session))


@router.post("/bundles/{sha256}/activate", summary="Activate a bundle")
def activate(sha256: str, request: Request, actor: Activating, session: Writing) -> Bundle:
    """Samples that are created from now on are read with it; an administrator's. Older ones keep theirs."""
    return Bundle.model_validate(activation.activate(session, actor, context_of(request).files, sha256))


@router.get("/audit-trail/newest", summary="The audit trail's newest hash")
def newest(actor: Seeing, session: Reading) -> TrailEnd:
    """To be kept elsewhere: `leukolens audit-trail verify --hash` finds it again, or says that the end was cut."""
    # Both of one entry: another may be added between two questions.
    last = session.execute(
        select(tables.TrailEntry.id, tables.TrailEntry.hash).order_by(tables.TrailEntry.id.desc()).limit(1)
    ).one_or_none()
    return TrailEnd(entries=last.id, hash=last.hash) if last else TrailEnd(entries=0, hash=trail.FIRST)
