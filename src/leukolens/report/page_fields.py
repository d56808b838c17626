"""A page's fields: each picture with its numbered boxes, the fields that failed, and all their checksums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from leukolens.imaging.framing import Box
from leukolens.reading.cell import FieldReading
from leukolens.report.captions import caption_place
from leukolens.report.listing import Listed, field_name, nameless_reason
from leukolens.report.markup import (
    NOTHING,
    badge,
    counted,
    figure,
    letter,
    name_of,
    picture,
    shown_as,
    table,
    text,
)
from leukolens.report.page_gallery import told
from leukolens.report.sample import SampleReport
from leukolens.taxonomy import UNSURE

LARGE_MICROMETRES, LARGE_PIXELS = 250, 2700  # beyond it a cell would be too small beside another field
WIDE, NARROW = 1000, 490  # how wide a field is shown, CSS pixels
LETTERS = 11.5  # height of a caption's letters, CSS pixels
DECISIONS = {"accept": "accepted", "review": "to review", "unknown": "unknown"}
PLACES = {"at_edge": "at the edge, not counted", "not_leukocyte": "not a leukocyte"}


def field_figure(
    field: FieldReading, place: int, cells: Sequence[Listed], jpeg: bytes | None, *, names: bool
) -> str:
    """One field: its picture with a numbered box for each cell, and what they are.

    Args:
        field: The field.
        place: Its number, from 1.
        cells: Its cells.
        jpeg: Its picture; None where there is none to show.
        names: Whether its path is told.
    """
    wide = _is_large(field)
    width = WIDE if wide else NARROW
    if jpeg is None:
        shown = '<p class="gone">The picture was not there any more, or not the one that was read.</p>'
    else:
        size = width, max(1, round(width * field.height / max(field.width, 1)))
        shown = picture(jpeg, _spoken(place, cells), size) + _boxes(field, cells, width)
    path = f'<br><span class="path">{text(str(field.path))}</span>' if names else ""
    return (
        f'<figure class="field{" wide" if wide else ""}" id="{field_name(place)}" data-field="{place}">'
        f'<div class="picture">{shown}</div><figcaption><p><b>{field_name(place)}</b> '
        f"{_facts(field)}{path}</p>{_answers(cells)}</figcaption></figure>\n"
    )


def _is_large(field: FieldReading) -> bool:
    side = max(field.width, field.height)
    if field.pixels_per_micrometre:
        return side / field.pixels_per_micrometre > LARGE_MICROMETRES
    return side > LARGE_PIXELS


def _spoken(place: int, cells: Sequence[Listed]) -> str:
    kinds = Counter("unknown" if shown_as(item) == UNSURE else _name(item).lower() for item in cells)
    found = ", ".join(f"{number} {name}" for name, number in kinds.items())
    return f"Field {place}, {counted(len(cells), 'white cell')}{f': {found}' if found else ''}"


def _facts(field: FieldReading) -> str:
    scale = field.pixels_per_micrometre
    facts = (
        f"{field.width}\u202f×\u202f{field.height} px",
        counted(field.red_cells, "red cell"),
        counted(field.platelets, "platelet"),
        "" if scale is None else f"{scale:.1f} px/µm",
    )
    return " · ".join(filter(None, facts))


def _answers(cells: Sequence[Listed]) -> str:
    if not cells:
        return '<p class="none">No white cell found.</p>'
    return f'<ul class="answers">{"".join(_answer(item) for item in cells)}</ul>'


def _answer(item: Listed) -> str:
    doubts = [PLACES.get(item.counted_as, "")]
    if item.cell.reviewed is None and item.cell.decision != "accept":
        doubts.insert(0, DECISIONS[item.cell.decision])
    doubt = ", ".join(filter(None, doubts))
    return (
        f"<li><b>{item.number}</b> {badge(shown_as(item))} {_name(item)} {told(item)}"
        f"{f' <i>{doubt}</i>' if doubt else ''}</li>"
    )


def _name(item: Listed) -> str:
    return name_of(item.label)


def _boxes(field: FieldReading, cells: Sequence[Listed], width: int) -> str:
    """The boxes as SVG over the picture, in pixels of the field, so that they stay sharp in print."""
    unit = max(1, round(LETTERS * field.width / width))
    room = field.width, field.height
    frames = [item.cell.box.within(*room) for item in cells]
    places: list[Box] = []
    pieces = []
    for item, frame in zip(cells, frames, strict=True):
        words = f"{item.number}\u2009{letter(shown_as(item))}"
        size = round(unit * (0.62 * len(words) + 0.5)), round(unit * 1.35)
        place = caption_place(frame, size, [*places, *frames], room)
        places.append(place)
        pieces.append(_box(item, frame, place, words, unit))
    return (
        f'<svg viewBox="0 0 {field.width} {field.height}" font-size="{unit}" aria-hidden="true">'
        f"{''.join(pieces)}</svg>"
    )


def _box(item: Listed, frame: Box, place: Box, words: str, unit: int) -> str:
    corners = f'x="{frame.x0}" y="{frame.y0}" width="{frame.width}" height="{frame.height}"'
    tag = f'x="{place.x0}" y="{place.y0}" width="{place.width}" height="{place.height}" rx="{unit / 6:.1f}"'
    middle = f'x="{(place.x0 + place.x1) / 2}" y="{(place.y0 + place.y1) / 2}"'
    accepted = item.cell.decision == "accept" if item.cell.reviewed is None else item.label != UNSURE
    sure = "sure" if accepted else "unsure"
    aside = " aside" if item.counted_as in PLACES else ""
    return (
        f'<g class="c-{shown_as(item)} {sure}{aside}" id="{field_name(item.field)}-{item.number}">'
        f'<rect class="casing" {corners}/><rect class="box" {corners}/>'
        f'<rect class="tag" {tag}/><text {middle}>{words}</text></g>'
    )


def failed_fields(report: SampleReport, *, names: bool) -> Iterator[str]:
    """The fields that could not be read, each with the reason; nothing where there is none."""
    failed = [
        (place, field) for place, field in enumerate(report.fields, start=1) if field.status == "failed"
    ]
    if not failed:
        return
    rows = (
        f'<tr data-field="{place}"><th scope="row">{_row_name(place, field, names)}</th>'
        f"<td>{text((field.reason if names else nameless_reason(field)) or NOTHING)}</td></tr>\n"
        for place, field in failed
    )
    yield '<section aria-labelledby="failed"><h2 id="failed">Fields that could not be read</h2>'
    yield from table("failed", "Fields that could not be read, with the reason", ("field", "reason"), rows)
    yield "</section>"


def field_index(report: SampleReport, *, names: bool) -> Iterable[str]:
    """Every field in a row: what was found in it, and the checksum of its image."""
    rows = (
        f'<tr data-field="{place}"><th scope="row">{_row_name(place, field, names)}</th>'
        f"<td>{'failed' if field.status == 'failed' else f'{field.width}×{field.height}'}</td>"
        f"<td>{len(field.cells)}</td><td>{field.red_cells}</td><td>{field.platelets}</td>"
        f"<td>{figure(field.pixels_per_micrometre, 2)}</td>"
        f"<td><code>{text(field.sha256) or NOTHING}</code></td></tr>\n"
        for place, field in enumerate(report.fields, start=1)
    )
    head = ("field", "pixels", "white cells", "red cells", "platelets", "px/µm", "sha256 of the image")
    return table("index", "Every field with the checksum of its image", head, rows)


def _row_name(place: int, field: FieldReading, names: bool) -> str:
    shown = f'<a href="#{field_name(place)}">{field_name(place)}</a>'
    name = field_name(place) if field.status == "failed" else shown
    return f'{name}<br><span class="path">{text(str(field.path))}</span>' if names else name
