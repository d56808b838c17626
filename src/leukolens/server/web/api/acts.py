"""What is done to cells: named, struck out, drawn, undone, done again. The acts are those of the pages."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field

from leukolens.server.web.api.cells import Box
from leukolens.server.web.api.door import Asked, Naming, Short, Told
from leukolens.server.web.context import Writing
from leukolens.server.web.pages import acts
from leukolens.server.web.pages.frame import LARGEST

router = APIRouter(prefix="/samples/{key}", tags=["cells"], route_class=Short)
Ids = Annotated[list[int], Field(min_length=1, max_length=acts.MOST_CELLS)]


class Named(Asked):
    """Cells by their ids, and what they are: a class's key, or `unsure`."""

    cells: Ids
    label: str = Field(max_length=40)


class Struck(Asked):
    """False finds by their ids."""

    cells: Ids


class Drawn(Asked):
    """A cell that was missed."""

    field: int = Field(ge=1, le=LARGEST)
    """The field's place in the sample, from 1."""
    box: Box
    """`[x0, y0, x1, y1]` in pixels of the field's image as displayed, half open."""


class Changed(Told):
    """A cell as it is shown now."""

    id: int
    label: str | None
    """A class's key, or `unsure`; null where it was struck out, or the machine's answer is hidden."""
    by: Literal["person", "machine"]
    """Who says so."""
    blind: bool = False
    """Whether the machine's answer is hidden until somebody has named it."""


class Done(Told):
    """What an act changed."""

    act: int | None
    """Its number; null where there was nothing to do."""
    changed: list[Changed]


@router.post("/labels", summary="Name cells")
def label(key: str, body: Named, request: Request, actor: Naming, session: Writing) -> Done:
    """Says what one cell is, or several at once: one act, which can be undone."""
    asked = acts.Labelled(cells=body.cells, label=body.label)
    return Done(**acts.label(key, asked, request, actor, session))


@router.post("/strikes", summary="Strike out cells")
def strike(key: str, body: Struck, request: Request, actor: Naming, session: Writing) -> Done:
    """Strikes out false finds: they leave the list and the counts."""
    return Done(**acts.strike(key, acts.Cells(cells=body.cells), request, actor, session))


@router.post("/cells", summary="Draw a missed cell", status_code=201)
def draw(key: str, body: Drawn, request: Request, actor: Naming, session: Writing) -> Done:
    """Adds a cell that the machine missed; it is unsure until somebody names it."""
    x0, y0, x1, y1 = body.box
    asked = acts.Drawn(place=body.field, box=(x0, y0, x1, y1))
    return Done(**acts.draw(key, asked, request, actor, session))


@router.post("/undo", summary="Undo")
def undo(key: str, request: Request, actor: Naming, session: Writing) -> Done:
    """Takes back this person's last act on the sample."""
    return Done(**acts.undo(key, request, actor, session))


@router.post("/redo", summary="Redo")
def redo(key: str, request: Request, actor: Naming, session: Writing) -> Done:
    """Does again what was taken back last."""
    return Done(**acts.redo(key, request, actor, session))
