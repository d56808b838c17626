"""Fields of a sample: sent, listed, looked at, and read again where that failed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Path, Request, UploadFile
from fastapi.responses import FileResponse, Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leukolens.errors import Missing
from leukolens.server.intake import samples
from leukolens.server.intake.uploads import Upload, receive
from leukolens.server.jobs import queue
from leukolens.server.store import tables
from leukolens.server.web.api.door import PAGE, After, Limit, Seeing, Sending, Short, Told, wake
from leukolens.server.web.context import Reading, Writing, context_of
from leukolens.server.web.pages.frame import LARGEST
from leukolens.server.web.pages.media import media_type_of

router = APIRouter(prefix="/samples/{key}/fields", tags=["fields"], route_class=Short)
uploading = APIRouter(prefix="/samples/{key}/fields", tags=["fields"])
ANY_BYTES = "application/octet-stream"
Place = Annotated[int, Path(ge=1, le=LARGEST, description="The field's place in the sample, from 1.")]


class Field(Told):
    """A field."""

    place: int
    """In the sample, from 1, in the order of arrival."""
    state: Literal["waiting", "ok", "no_cell", "failed"]
    """*waiting* to be read, *ok*, *no_cell* where there is no white cell in it, *failed* to be read."""
    reason: str | None
    """Why it failed, or why there is no cell; null else."""
    width: int
    """Pixels as displayed; 0 until it is read, and so are the next three."""
    height: int
    red_cells: int
    platelets: int
    cells: int
    """White cells that are there."""
    image_sha256: str
    """Digest of the image file."""
    read_at: datetime | None


class Fields(Told):
    """A page of fields in their order; `next` is null on the last one."""

    fields: list[Field]
    next: int | None


class RefusedFile(Told):
    """A file that was not taken, as the client called it, and why."""

    name: str
    reason: str


class Received(Told):
    """What became of the files of one request."""

    taken: int
    """Images that are kept for good and wait to be read."""
    known: int
    """Images that the sample had already."""
    refused: list[RefusedFile]
    """The others."""


class Again(Told):
    """How many fields wait to be read once more."""

    fields: int


IMAGE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The image's file",
        "content": {
            name: {"schema": {"type": "string", "format": "binary"}}
            for name in ("image/jpeg", "image/png", "image/webp", ANY_BYTES)
        },
    }
}


@uploading.post("", summary="Send fields")
def upload(
    key: str,
    request: Request,
    actor: Sending,
    files: Annotated[list[UploadFile], File(description="Images, or zips.")],
) -> Received:
    """Takes images, and zips of them. What is counted as taken is on the disk, and is read whatever happens next."""
    context = context_of(request)
    sent = (Upload(file.filename or "", file.file) for file in files)
    received = receive(context.database, context.files, actor, key, sent, context.settings.limits)
    if received.taken:
        wake(request)
    return Received.model_validate(received)


@router.get("", summary="List fields")
def listed(key: str, actor: Seeing, session: Reading, after: After = None, limit: Limit = PAGE) -> Fields:
    """The fields of a sample in their order, page by page."""
    sample = samples.find(session, key)
    rows = session.scalars(
        select(tables.Field)
        .where(tables.Field.sample_id == sample.id, tables.Field.place > (after or 0))
        .order_by(tables.Field.place)
        .limit(limit + 1)
    ).all()
    cells = _cells(session, sample)
    told = [_told(row, cells.get(row.id, 0)) for row in rows[:limit]]
    return Fields(fields=told, next=told[-1].place if len(rows) > limit else None)


@router.post("/again", summary="Read failed fields again")
def again(key: str, request: Request, actor: Sending, session: Writing) -> Again:
    """Has the failed fields of an open sample read once more."""
    count = queue.again(session, actor, samples.find(session, key))
    session.commit()
    wake(request)
    return Again(fields=count)


@router.get("/{place}/image", summary="A field's image", responses=IMAGE, response_class=Response)
def image(key: str, place: Place, request: Request, actor: Seeing, session: Reading) -> FileResponse:
    """The file as it was sent."""
    sample = samples.find(session, key)
    field = session.scalars(
        select(tables.Field).where(tables.Field.sample_id == sample.id, tables.Field.place == place)
    ).one_or_none()
    if field is None:
        raise Missing("there is no such field", "Look at the list of fields")
    files = context_of(request).files
    # Never the type that a client said: what is no picture to a browser is bytes, to be kept.
    with files.open(field.image_sha256) as stream:
        media_type = media_type_of(stream) or ANY_BYTES
    headers = {"Content-Disposition": f'attachment; filename="{sample.key}-field-{place}"'}
    return FileResponse(files.path(field.image_sha256), media_type=media_type, headers=headers)


def _cells(session: Session, sample: tables.Sample) -> dict[int, int]:
    counted = (
        select(tables.Cell.field_id, func.count())
        .where(tables.Cell.sample_id == sample.id, tables.Cell.deleted.is_(False))
        .group_by(tables.Cell.field_id)
    )
    return dict(session.execute(counted).all())


def _told(row: tables.Field, cells: int) -> Field:
    return Field(
        state=row.state,  # type: ignore[arg-type]
        place=row.place, reason=row.reason, width=row.width, height=row.height,
        red_cells=row.red_cells, platelets=row.platelets, cells=cells, image_sha256=row.image_sha256,
        read_at=row.read_at,
    )  # fmt: skip
