"""Samples: listed, made, changed, deleted. Whose smear one is, is said only to whoever asks and may know."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leukolens.server.intake import samples
from leukolens.server.jobs import queue
from leukolens.server.people.tokens import IDENTIFIERS
from leukolens.server.store import tables
from leukolens.server.web.api.door import (
    PAGE,
    After,
    Asked,
    Identified,
    Limit,
    Seeing,
    Sending,
    Short,
    Told,
    wake,
)
from leukolens.server.web.context import Reading, Writing

router = APIRouter(prefix="/samples", tags=["samples"], route_class=Short)
State = Literal["open", "signed"]
Identifier = Annotated[str, Field(min_length=1, max_length=samples.LONGEST_IDENTIFIER)]
Notes = Annotated[str, Field(max_length=samples.LONGEST_NOTES)]
WhiteCount = Annotated[
    float, Field(gt=0, le=samples.HIGHEST_WHITE_COUNT, allow_inf_nan=False, description="10^9/L.")
]


class NewSample(Asked):
    """A sample to be made: its identifier on one line, and what else is known of it."""

    identifier: Identifier
    notes: Notes = ""
    white_count: WhiteCount | None = None
    two_readers: bool = False


class SampleChange(Asked):
    """What is to be known of a sample from now on; what is left out stays as it is."""

    identifier: Identifier | None = None
    notes: Notes | None = None
    white_count: WhiteCount | None = None


class Deletion(Asked):
    """Why a sample is deleted; stands in the audit trail for ever, so it must not say whose it is."""

    why: str = Field(min_length=1, max_length=samples.LONGEST_WHY)


class Progress(Told):
    """How far the reading of a sample is, in fields."""

    waiting: int
    running: int
    done: int
    failed: int
    ended: bool
    """Whether none is left to read."""


class Identity(Told):
    """Whose smear it is."""

    identifier: str
    notes: str


class Sample(Told):
    """A sample."""

    key: str
    """What it is called in every address and file."""
    created: datetime
    state: State
    white_count: float | None
    """10^9/L; null where it isn't known."""
    two_readers: bool
    bundle: str
    bundle_sha256: str
    progress: Progress
    cells: int
    """White cells that are there."""
    identity: Identity | None
    """Null unless it was asked for."""


class SampleRow(Told):
    """A sample in the list."""

    key: str
    created: datetime
    state: State
    white_count: float | None
    two_readers: bool
    fields: int
    waiting: int
    """How many of its fields are still to be read."""
    failed: int
    """How many could not be."""
    cells: int
    identifier: str | None
    """Null unless it was asked for."""


class Samples(Told):
    """A page of samples, the newest first; `next` is null on the last one."""

    samples: list[SampleRow]
    next: int | None


@router.get("", summary="List samples")
def listed(
    actor: Seeing,
    session: Reading,
    identified: Identified,
    words: Annotated[
        str,
        Query(
            max_length=200,
            description="Each word must stand in the identifier, or begin the key. Finding a patient is knowing one: "
            f"a token needs the scope `{IDENTIFIERS}`.",
        ),
    ] = "",
    state: State | None = None,
    after: After = None,
    limit: Limit = PAGE,
) -> Samples:
    """Samples that were not deleted, the newest first, page by page."""
    if words:
        actor.must_have(IDENTIFIERS)
    # One page's limit is the list's own, so that whether there is a next one is asked apart.
    rows = samples.listed(session, words=words, state=state, after_id=after, limit=limit)
    more = len(rows) == limit and samples.listed(
        session, words=words, state=state, after_id=rows[-1].id, limit=1
    )
    told = [SampleRow.model_validate(row) for row in rows]
    if not identified:
        told = [row.model_copy(update={"identifier": None}) for row in told]
    return Samples(samples=told, next=rows[-1].id if more else None)


@router.post("", summary="Create a sample", status_code=201)
def create(body: NewSample, actor: Sending, session: Writing) -> Sample:
    """A new sample, to be read with the active bundle. Send its fields next."""
    made = samples.create(session, actor, **body.model_dump())
    return told(session, made)


@router.get("/{key}", summary="Get a sample")
def one(key: str, actor: Seeing, session: Reading, identified: Identified) -> Sample:
    """What is known of it, and how far it is read."""
    return told(session, samples.find(session, key), identified=identified)


@router.patch("/{key}", summary="Change a sample")
def change(key: str, body: SampleChange, actor: Sending, session: Writing) -> Sample:
    """Changes what is known of an open sample; a white cell count of null takes it away."""
    sample = samples.find(session, key)
    count = body.white_count if "white_count" in body.model_fields_set else samples.KEEP
    samples.change(session, actor, sample, identifier=body.identifier, notes=body.notes, white_count=count)
    return told(session, sample)


@router.post("/{key}/deletion", summary="Delete a sample", status_code=204)
def delete(key: str, body: Deletion, request: Request, actor: Sending, session: Writing) -> None:
    """Erases whose smear it is and its pictures, for good; a reviewer's. The audit trail stays whole."""
    samples.delete(session, actor, samples.find(session, key), body.why)
    session.commit()
    wake(request)


def told(session: Session, sample: tables.Sample, *, identified: bool = False) -> Sample:
    """A sample as it is answered."""
    identity = samples.identity(session, sample) if identified else None
    present = select(func.count()).where(tables.Cell.sample_id == sample.id, tables.Cell.deleted.is_(False))
    bundle = session.get(tables.BundleFile, sample.bundle_sha256)
    return Sample(
        key=sample.key,
        created=sample.created,
        state=sample.state,  # type: ignore[arg-type]
        white_count=sample.white_count,
        two_readers=sample.two_readers,
        bundle=bundle.name if bundle else "",
        bundle_sha256=sample.bundle_sha256,
        progress=Progress.model_validate(queue.progress(session, sample)),
        cells=session.scalar(present) or 0,
        identity=Identity.model_validate(identity) if identity else None,
    )
