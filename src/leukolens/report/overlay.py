"""Draws what was found on the image: numbered boxes in the class's colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell
from leukolens.reading.trust import percent
from leukolens.report.captions import caption_place
from leukolens.taxonomy import cell_class

SMALLEST_SIDE = 720
LARGEST_ENLARGEMENT = 4
DARK, LIGHT, GREY = (22, 24, 29), (255, 255, 255), (96, 99, 107)

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Mark:
    """A box to draw, with its caption.

    Attributes:
        box: In pixels of the image; may reach over its edge.
        caption: What stands beside it.
        colour: sRGB of box and caption.
        sure: Drawn with a whole line where True, a broken one where not.
    """

    box: Box
    caption: str
    colour: Colour
    sure: bool = True


def marks_of(cells: Sequence[Cell]) -> tuple[Mark, ...]:
    """A mark for each cell, numbered from 1; a broken line where not accepted, grey where unknown."""
    return tuple(
        Mark(
            cell.box,
            f"{number}  Unknown"
            if cell.decision == "unknown"
            else f"{number}  {cell_class(cell.label).name} {percent(cell.probabilities[cell.label])}",
            GREY if cell.decision == "unknown" else cell_class(cell.label).rgb,
            sure=cell.decision == "accept",
        )
        for number, cell in enumerate(cells, start=1)
    )


def overlay(
    rgb: NDArray[np.uint8], marks: Sequence[Mark], *, smallest_side: int = SMALLEST_SIDE
) -> Image.Image:
    """The image with the marks on it.

    Args:
        rgb: (h, w, 3).
        marks: What to draw; captions are placed so that they stand inside and off one another.
        smallest_side: An image whose longer side has fewer pixels is enlarged by a whole factor, up to
            4, so that captions can be read.
    """
    height, width = rgb.shape[:2]
    factor = min(LARGEST_ENLARGEMENT, max(1, -(-smallest_side // max(width, height))))
    image = Image.fromarray(rgb)
    if factor > 1:
        image = image.resize((width * factor, height * factor), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    unit = max(1, round(max(image.size) / 480))
    font = ImageFont.load_default(9 * unit)
    frames = [_enlarged(mark.box, factor).within(*image.size) for mark in marks]
    places: list[Box] = []
    for mark, frame in zip(marks, frames, strict=True):
        taken = [*places, *frames]
        size = int(draw.textlength(mark.caption, font)) + 6 * unit, 13 * unit
        place = caption_place(frame, size, taken, image.size)
        draw.rectangle(_corners(place, 1), fill=LIGHT)
        places.append(place)
    for mark, frame in zip(marks, frames, strict=True):
        outline(draw, frame, mark, unit)
    for mark, place in zip(marks, places, strict=True):
        draw.rectangle(_corners(place, 0), fill=mark.colour)
        middle = (place.x0 + 3 * unit, (place.y0 + place.y1) / 2)
        draw.text(middle, mark.caption, fill=ink_on(mark.colour), font=font, anchor="lm")
    return image


def ink_on(colour: Colour) -> Colour:
    """White or near-black, whichever contrasts more with this ground (WCAG 2.2, relative luminance)."""
    return max((LIGHT, DARK), key=lambda ink: contrast(ink, colour))


def contrast(first: Colour, second: Colour) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    brighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(colour: Colour) -> float:
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (level / 255 for level in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _enlarged(box: Box, factor: int) -> Box:
    return Box(box.x0 * factor, box.y0 * factor, box.x1 * factor, box.y1 * factor)


def _corners(box: Box, wider: int) -> tuple[int, int, int, int]:
    """As Pillow takes them: both ends belong to the rectangle."""
    return box.x0 - wider, box.y0 - wider, max(box.x1 - 1, box.x0) + wider, max(box.y1 - 1, box.y0) + wider


def outline(draw: ImageDraw.ImageDraw, frame: Box, mark: Mark, unit: int) -> None:
    """Draws a mark's box, cased in white so that it shows on dark cells too.

    Args:
        draw: Where.
        frame: The mark's box in pixels of what is drawn on.
        mark: Its colour, and whether its line is whole.
        unit: About two thirds of the line's thickness, pixels.
    """
    thick = max(2, round(1.4 * unit))
    draw.rectangle(_corners(frame, 1), outline=LIGHT, width=thick + 2)
    if mark.sure:
        draw.rectangle(_corners(frame, 0), outline=mark.colour, width=thick)
        return
    x0, y0, x1, y1 = _corners(frame, 0)
    dash = 5 * unit
    for x in range(x0, x1 + 1, 2 * dash):
        end = min(x + dash, x1)
        draw.rectangle((x, y0, end, y0 + thick - 1), fill=mark.colour)
        draw.rectangle((x, y1 - thick + 1, end, y1), fill=mark.colour)
    for y in range(y0, y1 + 1, 2 * dash):
        end = min(y + dash, y1)
        draw.rectangle((x0, y, x0 + thick - 1, end), fill=mark.colour)
        draw.rectangle((x1 - thick + 1, y, x1, end), fill=mark.colour)
