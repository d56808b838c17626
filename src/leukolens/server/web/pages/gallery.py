"""The gallery of a sample: its cells by class, and the differential beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.errors import Missing
from leukolens.server.intake import samples
from leukolens.server.jobs import queue
from leukolens.server.review import counted, gallery
from leukolens.server.review.blind import BLIND, is_hidden
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Cell, Field, Sample
from leukolens.server.web import machine_words
from leukolens.server.web.context import Acting, Reading
from leukolens.server.web.pages.frame import frame, in_reach, place_of
from leukolens.server.web.pages.images import shown_as
from leukolens.server.web.pages.kinds import Kind, blind_kind, kinds, kinds_data, words
from leukolens.server.web.pages.tally import shown
from leukolens.server.web.rendering import language_of, render
from leukolens.server.web.text import translate
from leukolens.taxonomy import UNSURE, cell_class

router = APIRouter(include_in_schema=False)
REFERENCES = 5
CERTAIN = 0.95
"""Least probability of a cell that shows what its class looks like."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One cell in the gallery.

    Attributes:
        id: The cell's.
        machine: The machine's most probable class; empty where nobody asked it.
        letter: Its letter.
        sure: The machine's probability of that class, whole per cent.
        order: What tiles of a group are ordered by, the least certain first.
        place: Its field's.
        reviewed: Whether a person has said what it is.
        at_edge: Whether the field's edge cuts it.
        pictured: Whether its picture is there yet.
        reason: Why the machine is unsure, in words; empty where it is not.
        words: All of that as a screen reader says it.
    """

    id: int
    machine: str
    letter: str
    sure: int
    order: float
    place: int
    reviewed: bool
    at_edge: bool
    pictured: bool
    reason: str
    words: str


@dataclass(frozen=True, slots=True)
class Group:
    """The cells of one class, which may be none.

    Attributes:
        kind: The class.
        tiles: Its cells.
        references: Ids of cells that show what the class looks like.
    """

    kind: Kind
    tiles: tuple[Tile, ...]
    references: tuple[int, ...]


@router.get("/samples/{key}/gallery")
def page(key: str, request: Request, actor: Acting, session: Reading) -> Response:
    """The gallery."""
    actor.must_have("samples:read")
    sample = samples.find(session, key)
    language = language_of(request)
    head = frame(session, actor, sample)
    groups = _groups(language, gallery.groups(session, sample, head.seen))
    return render(
        request, "gallery.html", actor=actor, part="gallery", sample=head, groups=groups,
        counts={group.kind.key: len(group.tiles) for group in groups}, total=sum(len(group.tiles) for group in groups),
        kinds=tuple(kinds(language).values()), kinds_data=kinds_data(language), words=words(language),
        locked=translate(language, head.lock) if head.lock else "", progress=queue.progress(session, sample),
        tally=tally(request, session, sample, head.seen),
    )  # fmt: skip


@router.get("/samples/{key}/differential")
def differential(key: str, request: Request, actor: Acting, session: Reading) -> Response:
    """The differential as it stands now, a part of the page."""
    actor.must_have("samples:read")
    sample = samples.find(session, key)
    seen, _, _ = place_of(session, actor, sample)
    return render(request, "differential.html", actor=actor, tally=tally(request, session, sample, seen))


@router.get("/samples/{key}/cells/{cell_id}")
def one(key: str, cell_id: int, request: Request, actor: Acting, session: Reading) -> Response:
    """What is known of one cell, for the large view; nothing of the machine's where that is hidden.

    Raises:
        Missing: Where the sample has no such cell.
    """
    actor.must_have("samples:read")
    sample = samples.find(session, key)
    row = session.execute(
        select(Cell, Field).join(Field, Field.id == Cell.field_id)
        .where(Cell.id == in_reach(cell_id), Cell.sample_id == sample.id, Cell.deleted.is_(False))
    ).one_or_none()  # fmt: skip
    if row is None:
        raise Missing("there is no such cell", "Load the page again")
    cell, field = row
    seen, _, _ = place_of(session, actor, sample)
    unseen = is_hidden(session, cell, seen)
    files: Files = request.app.state.context.files
    viewable = shown_as(files, field.image_sha256) is not None
    return JSONResponse(
        {
            "id": cell.id,
            "place": field.place,
            "box": [cell.x0, cell.y0, cell.x1, cell.y1],
            "image": f"/samples/{sample.key}/fields/{field.place}/image" if viewable else None,
            "crop": f"/cells/{cell.id}/crop.jpg",
            "at_edge": cell.at_edge,
            "blind": unseen,
            "machine_class": None if unseen else cell.machine_class,
            "probabilities": None if unseen else cell.probabilities,
            "reason": "" if unseen else machine_words.said(language_of(request), "reason", cell.reason),
            "distance": None if unseen else cell.distance,
            "class_set": None if unseen else cell.class_set,
        }
    )


def tally(request: Request, session: Session, sample: Sample, seen: int) -> Any:
    """The differential of the answers that are seen."""
    live = counted.live(session, sample, request.app.state.context.files, turn=seen)
    return shown(live, language_of(request))


def _groups(language: str, found: Sequence[gallery.Group]) -> list[Group]:
    cells = {group.label: group.cells for group in found}
    known = kinds(language)
    if BLIND in cells:
        known = {BLIND: blind_kind(language), **known}
    return [
        Group(
            kind=kind,
            tiles=tuple(_tile(language, cell, known) for cell in cells.get(key, ())),
            references=_references(cells.get(key, ())),
        )
        for key, kind in known.items()
    ]


def _tile(language: str, cell: gallery.GalleryCell, known: dict[str, Kind]) -> Tile:
    return Tile(
        id=cell.id,
        machine=cell.machine_class or "",
        letter=known[cell.machine_class].letter if cell.machine_class else "",
        sure=int(100 * cell.sure),  # down: 99.6 is not certain
        order=round(cell.probability, 4),
        place=cell.field,
        reviewed=cell.reviewed,
        at_edge=cell.at_edge,
        pictured=cell.pictured,
        reason=machine_words.said(language, "reason", cell.reason) if cell.label == UNSURE else "",
        words=_words(language, cell, known),
    )


def _words(language: str, cell: gallery.GalleryCell, known: dict[str, Kind]) -> str:
    """What the page's script says of it too, once it has another name."""
    if cell.label == BLIND:
        return translate(language, "script.tile_blind", place=cell.field)
    said = "tile_person" if cell.reviewed else "tile_machine"
    return translate(
        language, f"script.{said if cell.machine_class else 'tile_drawn'}", name=known[cell.label].name,
        machine=known[cell.machine_class].name if cell.machine_class else "", place=cell.field,
        sure=int(100 * cell.sure),
    )  # fmt: skip


def _references(cells: Sequence[gallery.GalleryCell]) -> tuple[int, ...]:
    """The most certain of a group, seen by persons before others."""
    sure = [cell for cell in cells if _shows_its_class(cell)]
    best = sorted(sure, key=lambda cell: (not cell.reviewed, -cell.probability, cell.id))
    return tuple(cell.id for cell in best[:REFERENCES])


def _shows_its_class(cell: gallery.GalleryCell) -> bool:
    if cell.at_edge or not cell.pictured or cell.label in {UNSURE, BLIND}:
        return False
    # Of a class that only a person names, the machine cannot be certain.
    return cell.probability >= CERTAIN or (cell.reviewed and cell_class(cell.label).form_of is not None)
