"""Pictures: the crop of a cell, and a field's image where a browser can show it; and the colours of the classes."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response
from sqlalchemy import select

from leukolens.errors import Missing
from leukolens.server.intake import samples
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Cell, Crop, Field, Sample
from leukolens.server.web.context import Acting, Reading
from leukolens.server.web.pages.frame import in_reach
from leukolens.server.web.pages.kinds import kinds_style

router = APIRouter(include_in_schema=False)
FOR_GOOD = "private, max-age=31536000, immutable"
AN_HOUR = "public, max-age=3600"
NO_PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 80"><rect width="80" height="80" fill="#9aa5af"/>'
    '<circle cx="40" cy="40" r="18" fill="none" stroke="#e9edf0" stroke-width="4" stroke-dasharray="7 6"/></svg>'
)
_KINDS = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"))


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
def field_image(key: str, place: int, request: Request, actor: Acting, session: Reading) -> Response:
    """A field's image as it was sent, with the type that its first bytes say, where a browser can show it.

    Raises:
        Missing: Where there is no such field, or it is of another type.
    """
    actor.must_have("samples:read")
    sample = samples.find(session, key)
    field = session.scalars(
        select(Field).where(Field.sample_id == sample.id, Field.place == in_reach(place))
    ).one_or_none()
    if field is None:
        raise Missing("there is no such field", "Look for it on the sample's page")
    files: Files = request.app.state.context.files
    media_type = shown_as(files, field.image_sha256)
    if media_type is None:
        raise Missing("a browser cannot show this kind of image", "Look at its cells in the gallery")
    headers = {
        "Cache-Control": FOR_GOOD,
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "inline",
    }
    path: Path = files.path(field.image_sha256)
    return FileResponse(path, media_type=media_type, headers=headers)


@router.get("/classes.css")
def classes_style() -> Response:
    """The colours of the classes, from the taxonomy."""
    return Response(kinds_style(), media_type="text/css", headers={"Cache-Control": AN_HOUR})


def shown_as(files: Files, sha256: str) -> str | None:
    """The media type of an image that browsers show; None of another, or one that is gone."""
    try:
        with files.open(sha256) as stream:
            return media_type_of(stream)
    except Missing:
        return None


def media_type_of(stream: BinaryIO) -> str | None:
    """The media type that a file's first bytes say: JPEG, PNG or WebP; None for all else."""
    head = stream.read(16)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    return next((name for sign, name in _KINDS if head.startswith(sign)), None)
