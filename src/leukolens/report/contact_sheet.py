"""One picture of many single-cell images: what each holds, what was found, and whether the two agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, ImageReading
from leukolens.reading.trust import percent
from leukolens.report.overlay import Colour, Mark, marks_of, outline
from leukolens.taxonomy import CLASSES, cell_class

# Drawn at twice its size and halved, which smooths what Pillow draws jagged.
FINER = 2
COLUMNS = 5
CARD, PICTURE, GAP, MARGIN = (372, 446), (372, 279), 24, 48
PAPER, CARD_GROUND, LINE = (246, 246, 243), (255, 255, 255), (222, 222, 217)
INK, QUIET = (28, 30, 36), (104, 107, 114)
AGREES, DIFFERS = (0, 135, 98), (196, 78, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """One image with what it is known to hold and what was read.

    Attributes:
        rgb: (h, w, 3).
        label: Class key of the cell that it holds.
        reading: What was found in it.
    """

    rgb: NDArray[np.uint8] = field(repr=False)
    label: str
    reading: ImageReading

    @property
    def found(self) -> Cell | None:
        """The best cell, None where none was found."""
        return self.reading.cells[0] if self.reading.cells else None

    @property
    def agrees(self) -> bool:
        """Whether what was found is what it holds."""
        return self.found is not None and self.found.label == self.label


def contact_sheet(
    compared: Sequence[Compared], *, title: str, subtitle: str, note: str, known: str = "drawn"
) -> Image.Image:
    """The sheet: a card for each image, a heading, and the classes' colours below.

    Args:
        compared: The images, in reading order.
        title: Heading.
        subtitle: The line below it.
        note: The line at the foot; says what the picture is and is not.
        known: What the known class is called on the cards: "drawn", "label".
    """
    columns = min(COLUMNS, max(len(compared), 3))
    rows = -(-len(compared) // columns)
    width = 2 * MARGIN + columns * CARD[0] + (columns - 1) * GAP
    height = 146 + rows * (CARD[1] + GAP) + 60
    sheet = _Sheet(width, height)
    sheet.text((MARGIN, 52), title, 40)
    sheet.text((MARGIN, 104), subtitle, 20, QUIET)
    agreeing = sum(item.agrees for item in compared)
    sheet.text((width - MARGIN, 52), f"{agreeing} of {len(compared)}", 40, anchor="rm")
    sheet.text((width - MARGIN, 104), f"found as {known}", 20, QUIET, anchor="rm")
    for number, item in enumerate(compared):
        row, column = divmod(number, columns)
        x, y = MARGIN + column * (CARD[0] + GAP), 146 + row * (CARD[1] + GAP)
        _card(sheet, (x, y), number + 1, item, known)
    _foot(sheet, compared, width, height, note)
    return sheet.finished()


def _card(sheet: _Sheet, corner: tuple[int, int], number: int, item: Compared, known: str) -> None:
    x, y = corner
    found = item.found
    sheet.rectangle((x, y, x + CARD[0], y + CARD[1]), CARD_GROUND, LINE, 1)
    sheet.picture(x, y, item.rgb, marks_of([found])[0] if found else None)
    left, right, below = x + 20, x + CARD[0] - 20, y + PICTURE[1]
    sheet.text((left, below + 32), known, 17, QUIET)
    sheet.name((left + 68, below + 32), cell_class(item.label).name, cell_class(item.label).rgb)
    sheet.text((left, below + 66), "found", 17, QUIET)
    if found:
        sheet.name((left + 68, below + 66), cell_class(found.label).name, cell_class(found.label).rgb)
        sheet.text((left + 68, below + 102), percent(found.probabilities[found.label]), 17, QUIET)
        sheet.text((right, below + 102), found.decision, 17, QUIET, anchor="rm")
        sheet.bar((left, below + 126, right, below + 138), found)
    else:
        said = "no cell" if item.reading.status == "no_cell" else "not read"
        sheet.text((left + 68, below + 66), said, 22)
    sheet.text((left, below + 102), f"{number}", 17, QUIET)
    sheet.verdict((right - 19, below + 49), 19, item.agrees)


def _foot(sheet: _Sheet, compared: Sequence[Compared], width: int, height: int, note: str) -> None:
    shown = {item.label for item in compared}
    for item in compared:
        shown |= set(item.found.probabilities) if item.found else set()
    sheet.text((MARGIN, height - 44), note, 18, QUIET)
    x = float(width - MARGIN)
    for kind in reversed([kind for kind in CLASSES if kind.key in shown]):
        x -= sheet.length(kind.name, 18)
        sheet.text((x, height - 44), kind.name, 18)
        sheet.disc((x - 15, height - 44), 7, kind.rgb)
        x -= 46


class _Sheet:
    """A page to draw on in its final pixels, kept finer."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width * FINER, height * FINER), PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def finished(self) -> Image.Image:
        return self._image.reduce(FINER)

    def text(
        self,
        place: tuple[float, float],
        words: str,
        size: int,
        colour: Colour = INK,
        *,
        anchor: str = "lm",
    ) -> None:
        where = (place[0] * FINER, place[1] * FINER)
        self._draw.text(where, words, fill=colour, font=_font(size), anchor=anchor)

    def length(self, words: str, size: int) -> float:
        return self._draw.textlength(words, _font(size)) / FINER

    def rectangle(
        self,
        corners: tuple[float, float, float, float],
        fill: Colour | None,
        outline: Colour | None = None,
        thick: float = 0,
    ) -> None:
        x0, y0, x1, y1 = (round(value * FINER) for value in corners)
        self._draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill, outline, round(thick * FINER))

    def disc(self, centre: tuple[float, float], radius: float, colour: Colour) -> None:
        x, y = centre[0] * FINER, centre[1] * FINER
        self._draw.circle((x, y), radius * FINER, fill=colour)

    def name(self, place: tuple[float, float], name: str, colour: Colour) -> None:
        """A class's name after a disc of its colour."""
        self.disc((place[0] + 7, place[1]), 7, colour)
        self.text((place[0] + 24, place[1]), name, 22)

    def verdict(self, centre: tuple[float, float], radius: float, agrees: bool) -> None:
        """A tick or a cross on a disc."""
        self.disc(centre, radius, AGREES if agrees else DIFFERS)
        tick = [[(-0.42, 0.02), (-0.10, 0.34), (0.44, -0.30)]]
        cross = [[(-0.32, -0.32), (0.32, 0.32)], [(-0.32, 0.32), (0.32, -0.32)]]
        for line in tick if agrees else cross:
            points = [((centre[0] + x * radius) * FINER, (centre[1] + y * radius) * FINER) for x, y in line]
            self._draw.line(points, fill=(255, 255, 255), width=3 * FINER, joint="curve")
            for point in points:
                self._draw.circle(point, 1.5 * FINER - 0.5, fill=(255, 255, 255))

    def bar(self, corners: tuple[float, float, float, float], cell: Cell) -> None:
        """The probabilities as one bar, in taxonomy order."""
        x0, y0, x1, y1 = corners
        at = x0
        for key, probability in cell.probabilities.items():
            end = at + probability * (x1 - x0)
            if round(end * FINER) > round(at * FINER):
                self.rectangle((at, y0, end, y1), cell_class(key).rgb)
            at = end

    def picture(self, x: int, y: int, rgb: NDArray[np.uint8], mark: Mark | None) -> None:
        """The image fitted into the card's upper part, with the square that was framed."""
        room_x, room_y = PICTURE[0] * FINER, PICTURE[1] * FINER
        height, width = rgb.shape[:2]
        scale = min(room_x / width, room_y / height)
        size = round(width * scale), round(height * scale)
        piece = Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC)
        if mark:
            inside = mark.box.within(width, height)
            corners = (round(value * scale) for value in (inside.x0, inside.y0, inside.x1, inside.y1))
            outline(ImageDraw.Draw(piece), Box(*corners), mark, 2 * FINER)
        self._image.paste(piece, (x * FINER + (room_x - size[0]) // 2, y * FINER + (room_y - size[1]) // 2))


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size * FINER)
