"""A PDF's gallery: every cell as a small picture, class by class, the least certain first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO

from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable, Paragraph

from leukolens.report.listing import Listed
from leukolens.report.markup import counted, letter, name_of, shown_as
from leukolens.report.page_gallery import EXPLAINED, OUTSIDE, Cut, groups
from leukolens.report.pdf_fonts import BOLD, REGULAR, markup
from leukolens.report.pdf_parts import HEADING, HINT, MUTED, QUIET, RULE, WIDTH, colour_of

ACROSS = 10
STEP, SIDE, CAPTION = WIDTH / ACROSS, 16 * mm, 6.5 * mm


def gallery(cuts: Sequence[Cut]) -> Iterator[Flowable]:
    """The gallery: unsure first, then the classes, then what was not counted."""
    yield Paragraph("Gallery", HEADING)
    yield Paragraph(
        "Every cell, the least certain first. Below each: its field and number, its class's letter, and the "
        "probability that the machine gives its own class; then what a person said of it.",
        HINT,
    )
    empty = True
    for group, cells in groups(cuts):
        empty = False
        name = OUTSIDE.get(group) or name_of(group)
        yield Paragraph(f"{markup(name)}, {counted(len(cells), 'cell')}", HEADING)
        if group in EXPLAINED:
            yield Paragraph(EXPLAINED[group], HINT)
        for start in range(0, len(cells), ACROSS):
            yield Row(cells[start : start + ACROSS])
    if empty:
        yield Paragraph("No white cell was found.", QUIET)


def spoken(item: Listed) -> str:
    """What stands below a cell: the machine's probability, or that a person named it."""
    chance = "" if item.machine_label is None else f"{100 * item.certainty:.1f} %"
    if item.cell.reviewed is None:
        return chance
    if item.machine_label is None:
        return "by a person"
    if item.machine_label == item.cell.reviewed:
        return f"{chance} ✓"
    return f"was {letter(item.machine_label)} {chance}"


class Row(Flowable):  # type: ignore[misc]
    """Up to `ACROSS` cells beside each other."""

    def __init__(self, cuts: Sequence[Cut]) -> None:
        super().__init__()
        self.width, self.height = WIDTH, SIDE + CAPTION
        self._cuts = cuts

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """Its size, whatever room there is, points."""
        return self.width, self.height

    def draw(self) -> None:
        """Draws pictures and captions."""
        for place, cut in enumerate(self._cuts):
            self._cell(place * STEP, cut)

    def _cell(self, x: float, cut: Cut) -> None:
        canvas, item = self.canv, cut.item
        if cut.jpeg is None:
            canvas.setStrokeColor(RULE)
            canvas.rect(x, CAPTION, SIDE, SIDE)
            canvas.setFont(REGULAR, 5)
            canvas.setFillColor(MUTED)
            canvas.drawCentredString(x + SIDE / 2, CAPTION + SIDE / 2, "picture not there")
        else:
            canvas.drawImage(ImageReader(BytesIO(cut.jpeg)), x, CAPTION, SIDE, SIDE)
        key = shown_as(item)
        ground, ink = colour_of(key)
        canvas.setFillColor(ground)
        canvas.rect(x, CAPTION - 8, 8, 7, stroke=0, fill=1)
        canvas.setFillColor(ink)
        canvas.setFont(BOLD, 5.5)
        canvas.drawCentredString(x + 4, CAPTION - 6.5, letter(key))
        canvas.setFillColor(MUTED)
        canvas.setFont(REGULAR, 5.5)
        canvas.drawString(x + 10, CAPTION - 6.5, f"{item.field}·{item.number}")
        canvas.drawString(x, CAPTION - 14, spoken(item))
