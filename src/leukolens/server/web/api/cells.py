"""Cells of a sample: listed, one of them, and its picture."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from pydantic import Field
from sqlalchemy import select

from leukolens.errors import Missing
from leukolens.server.intake import samples
from leukolens.server.review import listing
from leukolens.server.store import tables
from leukolens.server.web.api.door import PAGE, After, Limit, Seeing, Short, Told
from leukolens.server.web.context import Reading
from leukolens.server.web.pages.frame import LARGEST, place_of

router = APIRouter(prefix="/samples/{key}/cells", tags=["cells"], route_class=Short)
CellId = Annotated[int, Path(ge=1, le=LARGEST)]
Box = Annotated[list[int], Field(min_length=4, max_length=4)]
"""``[x0, y0, x1, y1]``, half open."""


class Machine(Told):
    """What the machine says of a cell."""

    label: str
    """As the differential counts it: a class's key, or `unsure`."""
    most_probable: str
    """The most probable class, however sure."""
    probability: float
    """Of that class."""
    probabilities: dict[str, float]
    """Of every class that the bundle knows."""
    decision: Literal["accept", "review", "unknown"]
    reason: str
    """Why, in words."""
    distance: float | None
    """To what the model has learned; null where nobody knows."""
    class_set: list[str] | None
    """The classes that cannot be excluded; null where nobody knows."""


class Cell(Told):
    """A white cell, found by the machine or drawn by a person."""

    id: int
    field: int
    """Its field's place in the sample, from 1."""
    box: Box
    """`[x0, y0, x1, y1]` in pixels of the field's image as displayed, half open."""
    label: str | None
    """What it is shown as to whoever asks: a class's key, or `unsure`; null where `blind`."""
    reviewed: bool
    """Whether a person has said what it is."""
    drawn: bool
    """Whether a person drew it."""
    at_edge: bool
    """Whether the field's edge cuts it: it isn't counted."""
    blind: bool
    """Whether the machine's answer is hidden until somebody has named it."""
    machine: Machine | None
    """Null where nobody asked the machine, and where `blind`."""


class Cells(Told):
    """A page of cells; `next` is null on the last one."""

    cells: list[Cell]
    next: int | None


PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture",
        "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("", summary="List cells")
def listed(
    key: str,
    actor: Seeing,
    session: Reading,
    label: Annotated[str | None, Query(max_length=40, description="A class's key, or `unsure`.")] = None,
    field: Annotated[int | None, Query(ge=1, le=LARGEST, description="A field's place.")] = None,
    after: After = None,
    limit: Limit = PAGE,
) -> Cells:
    """The cells that were not struck out, as whoever asks is shown them: a second reader sees no first's."""
    sample = samples.find(session, key)
    seen, _, _ = place_of(session, actor, sample)
    # PostgreSQL takes no zero byte; what is no key is no cell's.
    wanted = label if label is None or label.isidentifier() else ""
    rows = listing.listed(session, sample, seen, label=wanted, field=field, after_id=after, limit=limit)
    more = len(rows) == limit and listing.listed(
        session, sample, seen, label=wanted, field=field, after_id=rows[-1].id, limit=1
    )
    return Cells(cells=[cell_told(row) for row in rows], next=rows[-1].id if more else None)


@router.get("/{cell}", summary="Get a cell")
def one(key: str, cell: CellId, actor: Seeing, session: Reading) -> Cell:
    """What it is shown as, and what the machine says of it."""
    sample = samples.find(session, key)
    seen, _, _ = place_of(session, actor, sample)
    rows = listing.listed(session, sample, seen, only=cell, limit=1)
    if not rows:
        raise Missing("there is no such cell", "Look at the list of cells")
    return cell_told(rows[0])


@router.get("/{cell}/picture", summary="A cell's picture", responses=PICTURE, response_class=Response)
def picture(key: str, cell: CellId, actor: Seeing, session: Reading) -> Response:
    """Cut out of the field; a drawn cell has one after a moment."""
    sample = samples.find(session, key)
    jpeg = session.scalar(
        select(tables.Crop.jpeg)
        .join(tables.Cell, tables.Cell.id == tables.Crop.cell_id)
        .where(tables.Cell.id == cell, tables.Cell.sample_id == sample.id)
    )
    if jpeg is None:
        raise Missing("there is no picture of such a cell", "Look at the list of cells, or wait a moment")
    return Response(jpeg, media_type="image/jpeg")


def cell_told(row: listing.Listed) -> Cell:
    """A cell as it is answered."""
    box = row.box
    return Cell(
        id=row.id, field=row.field, box=[box.x0, box.y0, box.x1, box.y1], label=row.label, reviewed=row.reviewed,
        drawn=row.drawn, at_edge=row.at_edge, blind=row.blind,
        machine=Machine.model_validate(row.machine) if row.machine is not None else None,
    )  # fmt: skip
