"""Pictures: the crop of a cell, a field as a browser can show it, what spoke for a class; and the classes' colours."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.errors import Missing
from leukolens.imaging.framing import Box
from leukolens.server.intake import samples
from leukolens.server.jobs.pictures import Pictures
from leukolens.server.review.blind import is_hidden
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Cell, Crop, Field, Sample
from leukolens.server.web.context import Acting, Reading, context_of
from leukolens.server.web.pages.frame import in_reach, place_of
from leukolens.server.web.pages.kinds import kinds_style
from leukolens.server.web.pages.media import JPEG, media_type_of, needs_view

router = APIRouter(include_in_schema=False)
FOR_GOOD = "private, max-age=31536000, immutable"
AN_HOUR = "public, max-age=3600"
NO_PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 80"><rect width="80" height="80" fill="#9aa5af"/>'
    '<circle cx="40" cy="40" r="18" fill="none" stroke="#e9edf0" stroke-width="4" stroke-dasharray="7 6"/></svg>'
)
READ = ("ok", "no_cell")


@router.get("/cells/{cell_id}/crop.jpg")
def crop(cell_id: int, actor: Acting, session: Reading) -> Response:
    """A cell's picture; a placeholder with 404 where there is none yet."""
    actor.must_have("samples:read")
    alive = (
        select(Crop.jpeg)
        .join(Cell, Cell.id == Crop.cell_id)
        .join(Sample, Sample.id == Cell.sample_id)
        .where(Crop.cell_id == in_reach(cell_id), Sample.deleted.is_(None))
    )
    jpeg = session.scalar(alive)
    if jpeg is None:
        return Response(NO_PICTURE, 404, media_type="image/svg+xml", headers={"Cache-Control": "no-store"})
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": FOR_GOOD})


@router.get("/samples/{key}/fields/{place}/image")
def field_image(key: str, place: int, request: Request, actor: Acting) -> Response:
    """A field's image: as it was sent, with the type that its first bytes say, or the view that was made of it.

    Raises:
        Missing: Where there is no such field, or nothing of it that a browser could show.
        Unfit: Where no view can be made of it.
        Conflict: Where too many are asked for at once.
    """
    actor.must_have("samples:read")
    context = context_of(request)
    with context.database.reading() as session:
        field = _field(session, key, place)
    media_type = shown_as(context.files, field.image_sha256)
    if media_type is None:
        raise Missing("a browser cannot show this kind of image", "Look at its cells in the gallery")
    path: Path = context.files.path(field.image_sha256)
    if is_viewed(context.files, field.image_sha256):
        # What could not be decoded once would only end the process again.
        path = _pictures(request, read=field.state in READ).view(field.image_sha256)
    headers = {
        "Cache-Control": FOR_GOOD,
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "inline",
    }
    return FileResponse(path, media_type=media_type, headers=headers)


@router.get("/samples/{key}/cells/{cell_id}/evidence")
def evidence(key: str, cell_id: int, request: Request, actor: Acting, label: str = "") -> Response:
    """What spoke for and against a class in a cell, as JSON; for the class that the machine named, where none is.

    Raises:
        Missing: Where there is no such cell, the machine said nothing of that class in it, or its answer is hidden.
        Unfit: Where its bundle tells of no evidence.
        Conflict: Where too many are asked for at once.
    """
    actor.must_have("samples:read")
    with context_of(request).database.reading() as session:
        sample = samples.find(session, key)
        row = session.execute(
            select(Cell, Field).join(Field, Field.id == Cell.field_id)
            .where(Cell.id == in_reach(cell_id), Cell.sample_id == sample.id, Cell.deleted.is_(False))
        ).one_or_none()  # fmt: skip
        bundle = sample.bundle_sha256
        seen, _, _ = place_of(session, actor, sample)
        unseen = row is not None and is_hidden(session, row[0], seen)
    if row is None:
        raise Missing("there is no such cell", "Load the page again")
    if unseen:
        raise Missing("the machine's answer is hidden until somebody has named this cell", "Name it first")
    cell, field = row
    wanted = label or cell.machine_class
    if wanted is None or wanted not in (cell.probabilities or {}):
        raise Missing("the machine said nothing of that class here", "Ask for one that it named")
    box = Box(cell.x0, cell.y0, cell.x1, cell.y1)
    pictures = _pictures(request, read=field.state in READ)
    found = pictures.evidence(field.image_sha256, field.bundle_sha256 or bundle, box, wanted)
    return Response(found, media_type="application/json")


@router.get("/classes.css")
def classes_style() -> Response:
    """The colours of the classes, from the taxonomy."""
    return Response(kinds_style(), media_type="text/css", headers={"Cache-Control": AN_HOUR})


def shown_as(files: Files, sha256: str) -> str | None:
    """The media type that an image is shown with, of its own or of its view; None of what is gone, or no image."""
    try:
        with files.open(sha256) as stream:
            media_type = media_type_of(stream)
    except Missing:
        return None
    return JPEG if is_viewed(files, sha256) else media_type


def is_viewed(files: Files, sha256: str) -> bool:
    """Whether a view is shown in an image's place."""
    try:
        with files.open(sha256) as stream:
            return needs_view(stream)
    except Missing:
        return False


def _field(session: Session, key: str, place: int) -> Field:
    sample = samples.find(session, key)
    field = session.scalars(
        select(Field).where(Field.sample_id == sample.id, Field.place == in_reach(place))
    ).one_or_none()
    if field is None:
        raise Missing("there is no such field", "Look for it on the sample's page")
    return field


def _pictures(request: Request, *, read: bool) -> Pictures:
    pictures = context_of(request).pictures
    if pictures is None or not read:
        raise Missing(
            "there is no picture of this field", "Look at the sample's page for what is wrong with it"
        )
    return pictures
