"""One picture of a drawn sample: its fields with what was found in them, and the differential, drawn and found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from leukolens.differential.counts import Differential, Share
from leukolens.imaging.framing import Box
from leukolens.report.drawn_and_found import Compared, Pair, drawn_counts, score
from leukolens.report.overlay import GREY, Colour, Mark, ink_on, outline
from leukolens.taxonomy import cell_class

# Drawn at twice its size and halved, which smooths what Pillow draws jagged.
FINER = 2
COLUMNS, MOST_FIELDS = 5, 10
CARD_WIDTH, PICTURE, GAP, MARGIN = 372, (372, 279), 24, 48
HEADING, ROW, CHART_HEADING, CHART_ROW, FOOT = 146, 30, 60, 46, 76
PAPER, CARD_GROUND, LINE = (246, 246, 243), (255, 255, 255), (222, 222, 217)
INK, QUIET = (28, 30, 36), (104, 107, 114)
AGREES, DIFFERS = (0, 135, 98), (196, 78, 0)


def contact_sheet(
    compared: Sequence[Compared], differential: Differential, *, title: str, subtitle: str, note: str
) -> Image.Image:
    """The sheet: a card for each of the first `MOST_FIELDS` fields, and below them the whole differential.

    Args:
        compared: The fields, in reading order.
        differential: What was found in all of them.
        title: Heading.
        subtitle: The line below it.
        note: The line at the foot; says what the picture is and is not.
    """
    cards = compared[:MOST_FIELDS]
    columns = min(COLUMNS, max(len(cards), 3))
    height = PICTURE[1] + 52 + ROW * max((len(item.pairs) for item in cards), default=0)
    width = 2 * MARGIN + columns * CARD_WIDTH + (columns - 1) * GAP
    chart = HEADING + -(-len(cards) // columns) * (height + GAP)
    foot = chart + CHART_HEADING + CHART_ROW * len(differential.classes) + 12
    sheet = _Sheet(width, foot + FOOT)
    sheet.text((MARGIN, 52), title, 40)
    sheet.text((MARGIN, 104), subtitle, 20, QUIET)
    came_to = score(compared)
    sheet.text((width - MARGIN, 52), f"{came_to.as_drawn} of {came_to.drawn}", 40, anchor="rm")
    sheet.text((width - MARGIN, 104), "cells found as drawn", 20, QUIET, anchor="rm")
    for number, item in enumerate(cards):
        row, column = divmod(number, columns)
        corner = MARGIN + column * (CARD_WIDTH + GAP), HEADING + row * (height + GAP)
        _card(sheet, corner, height, item)
    _chart(sheet, (MARGIN, chart, width - MARGIN, foot), compared, differential)
    sheet.text((MARGIN, foot + FOOT / 2), note, 18, QUIET)
    return sheet.finished()


def _card(sheet: _Sheet, corner: tuple[int, int], height: int, item: Compared) -> None:
    x, y = corner
    sheet.rectangle((x, y, x + CARD_WIDTH, y + height), CARD_GROUND, LINE, 1)
    sheet.picture(x, y, item.field.rgb, [_mark(number, pair) for number, pair in enumerate(item.pairs, 1)])
    for place, heading in ((x + 36, "drawn"), (x + 178, "found")):
        sheet.text((place, y + PICTURE[1] + 24), heading, 16, QUIET)
    for number, pair in enumerate(item.pairs, start=1):
        middle = y + PICTURE[1] + 40 + ROW * (number - 0.5)
        sheet.text((x + 16, middle), f"{number}", 16, QUIET)
        if pair.drawn:
            sheet.name((x + 36, middle), cell_class(pair.drawn.label).name, cell_class(pair.drawn.label).rgb)
        if pair.found:
            kind, sure = cell_class(pair.found.label), pair.found.decision == "accept"
            sheet.name((x + 178, middle), kind.name if sure else f"{kind.name}?", kind.rgb)
        else:
            sheet.text((x + 200, middle), "not found", 18, QUIET)
        sheet.verdict((x + CARD_WIDTH - 24, middle), 10, pair.agrees)


def _mark(number: int, pair: Pair) -> Mark:
    """Around what was found; around what was missed in grey, with a broken line."""
    if pair.found:
        kind = cell_class(pair.found.label)
        return Mark(pair.found.box, f"{number}", kind.rgb, sure=pair.found.decision == "accept")
    assert pair.drawn, "a pair has a drawn cell or a found one"
    return Mark(pair.drawn.box, f"{number}", GREY, sure=False)


def _chart(
    sheet: _Sheet, corners: tuple[int, int, int, int], compared: Sequence[Compared], found: Differential
) -> None:
    """A row a class: found as a bar with its limits, drawn as an upright stroke, and both as figures."""
    x0, y0, x1, _ = corners
    sheet.rectangle(corners, CARD_GROUND, LINE, 1)
    sheet.text((x0 + 20, y0 + 32), "Differential", 22)
    sheet.text((x0 + 250, y0 + 32), "bar: found, line: its 95 % limits, upright stroke: drawn", 16, QUIET)
    columns = (x1 - 340, x1 - 190, x1 - 20)
    for place, heading in zip(columns, ("drawn", "found", "95 % limits"), strict=True):
        sheet.text((place, y0 + 32), heading, 18, QUIET, anchor="rm")
    counts = drawn_counts(compared)
    highest = max((kind.share.high for kind in found.classes), default=100)
    for row, kind in enumerate(found.classes):
        middle = y0 + CHART_HEADING + CHART_ROW * (row + 0.5)
        drawn, share = 100 * counts[kind.key] / max(counts.total(), 1), kind.share
        sheet.name((x0 + 20, middle), cell_class(kind.key).name, cell_class(kind.key).rgb)
        span = x0 + 250, x0 + 250 + (x1 - x0 - 730) * 100 / max(highest, drawn, 1)
        _bar(sheet, span, middle, share, drawn, cell_class(kind.key).rgb)
        figures = (f"{drawn:.1f} %", f"{share.percent:.1f} %", f"{share.low:.1f} to {share.high:.1f} %")
        for place, figure in zip(columns, figures, strict=True):
            sheet.text((place, middle), figure, 18, anchor="rm")


def _bar(
    sheet: _Sheet, span: tuple[float, float], middle: float, share: Share, drawn: float, colour: Colour
) -> None:
    def at(value: float) -> float:
        return span[0] + (span[1] - span[0]) * value / 100

    sheet.rectangle((at(0), middle - 9, at(share.percent), middle + 9), colour)
    for value in (share.low, share.high):
        sheet.rectangle((at(value) - 1, middle - 6, at(value) + 1, middle + 6), QUIET)
    sheet.rectangle((at(share.low), middle - 1, at(share.high), middle + 1), QUIET)
    sheet.rectangle((at(drawn) - 3, middle - 17, at(drawn) + 3, middle + 17), CARD_GROUND)
    sheet.rectangle((at(drawn) - 2, middle - 16, at(drawn) + 2, middle + 16), INK)


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

    def rectangle(
        self,
        corners: tuple[float, float, float, float],
        fill: Colour | None,
        outline: Colour | None = None,
        thick: float = 0,
    ) -> None:
        x0, y0, x1, y1 = (round(value * FINER) for value in corners)
        if x1 > x0 and y1 > y0:
            self._draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill, outline, round(thick * FINER))

    def disc(self, centre: tuple[float, float], radius: float, colour: Colour) -> None:
        x, y = centre[0] * FINER, centre[1] * FINER
        self._draw.circle((x, y), radius * FINER, fill=colour)

    def name(self, place: tuple[float, float], name: str, colour: Colour) -> None:
        """A class's name after a disc of its colour."""
        self.disc((place[0] + 7, place[1]), 7, colour)
        self.text((place[0] + 22, place[1]), name, 18)

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

    def picture(self, x: int, y: int, rgb: NDArray[np.uint8], marks: Sequence[Mark]) -> None:
        """The image fitted into the card's upper part, with numbered boxes on it."""
        room_x, room_y = PICTURE[0] * FINER, PICTURE[1] * FINER
        height, width = rgb.shape[:2]
        scale = min(room_x / width, room_y / height)
        size = round(width * scale), round(height * scale)
        piece = Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC)
        draw = ImageDraw.Draw(piece)
        for mark in marks:
            inside = mark.box.within(width, height)
            corners = (round(value * scale) for value in (inside.x0, inside.y0, inside.x1, inside.y1))
            frame = Box(*corners)
            outline(draw, frame, mark, FINER)
            self._tag(draw, frame, mark)
        self._image.paste(piece, (x * FINER + (room_x - size[0]) // 2, y * FINER + (room_y - size[1]) // 2))

    def _tag(self, draw: ImageDraw.ImageDraw, frame: Box, mark: Mark) -> None:
        """The mark's number on top of its box, inside of it where there is no room."""
        side = 18 * FINER
        top = frame.y0 - side if frame.y0 >= side else frame.y0
        draw.rectangle((frame.x0, top, frame.x0 + side, top + side), fill=mark.colour)
        middle = frame.x0 + side / 2, top + side / 2
        draw.text(middle, mark.caption, fill=ink_on(mark.colour), font=_font(13), anchor="mm")


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size * FINER)
