"""Figures and names as HTML: numbers with their exact value beside them, badges, tables. Escaped here."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

from leukolens.differential.counts import Concentration, Share
from leukolens.report.listing import Listed
from leukolens.report.overlay import GREY, Colour, ink_on
from leukolens.report.read_document import rounded
from leukolens.report.tables import printable
from leukolens.taxonomy import CLASSES, UNSURE, CellClass, cell_class

NOTHING = "–"


def text(value: str) -> str:
    """Text as HTML shows it: no markup, no control characters."""
    return escape(printable(value))


def figure(value: float | None, places: int = 1) -> str:
    """A number as a person reads it, the reports' exact value beside it for programs."""
    exact = rounded(value)
    return NOTHING if exact is None else f'<data value="{exact}">{exact:.{places}f}</data>'


def between(measure: Share | Concentration, places: int = 1) -> str:
    """A measure's limits."""
    return f"{figure(measure.low, places)} to {figure(measure.high, places)}"


def counted(number: int, one: str, many: str = "") -> str:
    """A number and its noun: ``1 cell``, ``2 cells``."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def badge(key: str) -> str:
    """A class's letter on its colour; `UNSURE` has a question mark on grey. The name stands beside it."""
    return f'<span class="badge c-{key}" aria-hidden="true">{letter(key)}</span>'


def letter(key: str) -> str:
    """What stands for a class where there is no room for its name."""
    return "?" if key == UNSURE else cell_class(key).abbreviation


def shown_as(item: Listed) -> str:
    """The class whose colour a cell is drawn in; nobody's where it is unknown and no person named it."""
    if item.cell.reviewed is None and item.cell.decision == "unknown":
        return UNSURE
    return item.label


def name_of(key: str) -> str:
    """A class's name; that of `UNSURE` too."""
    return "Unsure" if key == UNSURE else cell_class(key).name


def chance(item: Listed) -> str:
    """The probability of the machine's class, per cent; never rounded up to certainty or down to none.

    Nothing where nobody asked the machine.
    """
    if item.machine_label is None:
        return ""
    value, exact = item.certainty, round(item.certainty, 6)
    words = f"{100 * value:.1f}" if 0.001 <= value <= 0.999 or value in {0, 1} else _nearly(value)
    return f'<data class="chance" value="{exact}">{words}\u202f%</data>'


def _nearly(value: float) -> str:
    return "&gt;\u202f99.9" if value > 0.5 else "&lt;\u202f0.1"


def colours(classes: Sequence[CellClass] = CLASSES) -> str:
    """The style rules that give each class its colour, and the ink that can be read on it."""
    known: list[tuple[str, Colour]] = [(kind.key, kind.rgb) for kind in classes]
    return "\n".join(
        f".c-{key} {{ --class: {_hex(colour)}; --on-class: {_hex(ink_on(colour))}; }}"
        for key, colour in [*known, (UNSURE, GREY)]
    )


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{level:02x}" for level in colour)


def table(name: str, caption: str, head: Sequence[str], rows: Iterable[str]) -> Iterable[str]:
    """A table in pieces.

    Args:
        name: Its style class.
        caption: What it holds, which is text; read aloud, not shown.
        head: The columns' names, which are HTML.
        rows: HTML.
    """
    columns = "".join(f'<th scope="col">{column}</th>' for column in head)
    yield f'<div class="scroll"><table class="{name}"><caption>{text(caption)}</caption>'
    yield f"<thead><tr>{columns}</tr></thead><tbody>"
    yield from rows
    yield "</tbody></table></div>"


def picture(jpeg: bytes, alt: str, size: tuple[int, int]) -> str:
    """A picture inside the page.

    Args:
        jpeg: Its file.
        alt: What it shows, which is text.
        size: Width and height, CSS pixels.
    """
    return (
        f'<img alt="{text(alt)}" width="{size[0]}" height="{size[1]}" loading="lazy" decoding="async" '
        f'src="data:image/jpeg;base64,{b64encode(jpeg).decode()}">'
    )
