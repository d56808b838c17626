"""A page's gallery: every cell cut out, class by class, the least certain first; the unsure on top."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from leukolens.report.listing import Listed, field_name
from leukolens.report.markup import badge, chance, counted, name_of, picture, shown_as, text
from leukolens.report.page_pictures import CLOSE_CROP_SIDE, CROP_SIDE
from leukolens.taxonomy import ALL_CLASSES, cell_class

OUTSIDE = {"at_edge": "At the edge of a field", "not_leukocyte": "Not leukocytes"}
EXPLAINED = {
    "unsure": "In no class: a person should look at each. The limits allow for any of them in any class.",
    "at_edge": "Cut by the edge of their field, and so not counted.",
    "not_leukocyte": "Found, but not counted.",
}


@dataclass(frozen=True, slots=True)
class Cut:
    """A cell with its crop.

    Attributes:
        item: The cell.
        jpeg: Its crop; None where its field could not be shown.
    """

    item: Listed
    jpeg: bytes | None = field(repr=False)


def crop_side(item: Listed) -> int:
    """How large a cell is cut out, pixels: those that a person should look at are larger."""
    return CLOSE_CROP_SIDE if item.counted_as == "unsure" else CROP_SIDE


def gallery(cuts: Sequence[Cut]) -> Iterator[str]:
    """The gallery in pieces: unsure, the classes, cells at the edge, and those that are no leukocytes."""
    for group, cells in groups(cuts):
        yield from _group(group, cells)
    if not cuts:
        yield '<p class="none">No white cell was found.</p>'


def groups(cuts: Sequence[Cut]) -> Iterator[tuple[str, list[Cut]]]:
    """The cells by what they were counted as, groups in the gallery's order and without the empty ones."""
    order = ("unsure", *(kind.key for kind in ALL_CLASSES if kind.leukocyte), "at_edge", "not_leukocyte")
    for group in order:
        cells = [cut for cut in cuts if cut.item.counted_as == group]
        cells.sort(key=lambda cut: (cut.item.certainty, cut.item.field, cut.item.number))
        if cells:
            yield group, cells


def _group(group: str, cells: Sequence[Cut]) -> Iterator[str]:
    known = group not in EXPLAINED
    name = cell_class(group).name if known else OUTSIDE.get(group, "Unsure")
    sign = badge(group) + " " if known or group == "unsure" else ""
    yield f'<section class="group {group}" data-group="{group}" aria-label="{name}">'
    yield f'<h3>{sign}{name} <span class="count">{counted(len(cells), "cell")}</span></h3>'
    if not known:
        yield f'<p class="quiet">{EXPLAINED[group]}</p>'
    yield '<ul class="crops">'
    for cut in cells:
        yield _crop(cut, close=group == "unsure") + "\n"
    yield "</ul></section>\n"


def _crop(cut: Cut, *, close: bool) -> str:
    item, cell = cut.item, cut.item.cell
    name = name_of(item.label)
    place = f"{field_name(item.field)}-{item.number}"
    side = crop_side(item)
    spoken = f"{name}, field {item.field} cell {item.number}"
    shown = (
        picture(cut.jpeg, spoken, (side, side)) if cut.jpeg else '<span class="gone">picture not there</span>'
    )
    described = f'<span class="name">{name}</span> ' if close or item.counted_as != item.label else ""
    reason = f'<span class="reason">{text(cell.reason)}</span>' if close else ""
    return (
        f'<li data-cell="{item.field}-{item.number}" data-class="{item.label}" '
        f'data-decision="{cell.decision}"><a href="#{place}">{shown}</a>'
        f'<span class="caption"><span class="place">{item.field}·{item.number}</span> '
        f"{badge(shown_as(item))} {described}{told(item)}{reason}</span></li>"
    )


def told(item: Listed) -> str:
    """The probability of a cell's class, or that a person named it and what the machine had said."""
    if item.cell.reviewed is None:
        return chance(item)
    if item.machine_label is None:
        return '<span class="by">by a person</span>'
    if item.machine_label == item.cell.reviewed:
        return f'{chance(item)} <span class="by">confirmed</span>'
    return f'<span class="by">by a person; machine {name_of(item.machine_label)}</span> {chance(item)}'
