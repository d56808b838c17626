"""One field of a sample: its image with a box around every cell."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.errors import Missing
from leukolens.server.intake import samples
from leukolens.server.review.blind import BLIND, hidden
from leukolens.server.review.shown import Answers, machine_label
from leukolens.server.store.tables import Answer, Cell, Field
from leukolens.server.web.context import Acting, Reading
from leukolens.server.web.pages.frame import frame
from leukolens.server.web.pages.images import READ, is_viewed, shown_as
from leukolens.server.web.pages.kinds import Kind, blind_kind, kinds, kinds_data, words
from leukolens.server.web.rendering import language_of, render
from leukolens.server.web.text import translate

router = APIRouter(include_in_schema=False)


@router.get("/samples/{key}/fields/{place}")
def page(
    key: str, place: int, request: Request, actor: Acting, session: Reading, cell: int | None = None
) -> Response:
    """The field view.

    Raises:
        Missing: Where the sample has no such field.
    """
    actor.must_have("samples:read")
    sample = samples.find(session, key)
    language = language_of(request)
    places = session.scalars(
        select(Field.place).where(Field.sample_id == sample.id).order_by(Field.place)
    ).all()
    if place not in places:
        raise Missing("there is no such field", "Look for it on the sample's page")
    row = session.scalars(select(Field).where(Field.sample_id == sample.id, Field.place == place)).one()
    head = frame(session, actor, sample)
    cells = _cells(session, row, head.seen, {BLIND: blind_kind(language), **kinds(language)})
    at = places.index(place)
    files = request.app.state.context.files
    viewable = shown_as(files, row.image_sha256) is not None
    if is_viewed(files, row.image_sha256):
        viewable = row.state in READ
    return render(
        request, "field.html", actor=actor, part="field", sample=head, field=row, places=places,
        before=places[at - 1] if at else None, after=places[at + 1] if at + 1 < len(places) else None,
        picture=f"/samples/{sample.key}/fields/{place}/image" if viewable else None, cells=cells, chosen=cell,
        cells_data=[{key: one[key] for key in ("id", "box", "label", "at_edge")} for one in cells],
        kinds_data=kinds_data(language), words=words(language),
        locked=translate(language, head.lock) if head.lock else "",
    )  # fmt: skip


def _cells(session: Session, field: Field, seen: int, known: dict[str, Kind]) -> list[dict[str, Any]]:
    answers = Answers(seen)
    query = select(Cell, answers.first(Answer.label), hidden(seen)).where(
        Cell.field_id == field.id, Cell.deleted.is_(False)
    )
    found = []
    for cell, said, unseen in session.execute(answers.joined(query).order_by(Cell.y0, Cell.x0, Cell.id)):
        label = BLIND if unseen else said or machine_label(cell.machine_class, cell.decision)
        found.append(
            {
                "id": cell.id, "box": [cell.x0, cell.y0, cell.x1, cell.y1], "label": label, "at_edge": cell.at_edge,
                "name": known[label].name, "letter": known[label].letter,
                "sure": "" if unseen or cell.probability is None else int(100 * cell.probability),
            }
        )  # fmt: skip
    return found
