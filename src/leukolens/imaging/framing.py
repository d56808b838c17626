"""From a field to one canonical crop: find the nucleus, put a square around it, resample."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from leukolens.card import Framing
from leukolens.imaging.color import WHITE_LEVEL, balance
from leukolens.imaging.nucleus import SEARCH_SIDE, Nucleus, Slide, nucleus_on, slide_of

SURROUNDINGS = 2.8
LEEWAY = 1.1
CELL_OVER_NUCLEUS = 1.4


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the image as displayed; half open, so ``x1 - x0`` is its width."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Columns covered, in pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Rows covered, in pixels."""
        return self.y1 - self.y0

    def within(self, width: int, height: int) -> Box:
        """The part of it that lies inside an image of this size."""
        return Box(max(self.x0, 0), max(self.y0, 0), min(self.x1, width), min(self.y1, height))

    def grown(self, times: float) -> Box:
        """It enlarged about its middle, by a factor."""
        more_x, more_y = (round((times - 1) / 2 * side) for side in (self.width, self.height))
        return Box(self.x0 - more_x, self.y0 - more_y, self.x1 + more_x, self.y1 + more_y)

    def meets(self, other: Box) -> bool:
        """Whether the two share a pixel."""
        across = self.x0 < other.x1 and other.x0 < self.x1
        return across and self.y0 < other.y1 and other.y0 < self.y1


def frame(rgb: NDArray[np.uint8], framing: Framing) -> tuple[NDArray[np.uint8], Box] | None:
    """The canonical crop of the image's white cell.

    Args:
        rgb: (h, w, 3).
        framing: How the bundle wants to see cells.

    Returns:
        The crop, (size, size, 3), and the square that it came from, which may reach over the image's
        edge (what lies there is drawn as empty ground); None where no nucleus is found.
    """
    slide = slide_of(rgb)
    if framing.whole_image:
        box: Box | None = Box(0, 0, rgb.shape[1], rgb.shape[0])
    else:
        nucleus = nucleus_on(slide)
        box = square(nucleus, framing.context) if nucleus else None
    return None if box is None else (_cut(rgb, box, framing, slide), box)


def frame_within(
    rgb: NDArray[np.uint8], found: Box, framing: Framing, slide: Slide
) -> tuple[NDArray[np.uint8], Box]:
    """The canonical crop of a white cell that was found in a field.

    Its nucleus is looked for in the box alone, so that a neighbour's is never taken, by a threshold from
    as much around it as an image of one cell shows; where none stands out there, the square goes around
    the box's middle.

    Args:
        rgb: (h, w, 3), the field.
        found: The cell, in pixels of the field; may reach over its edge.
        framing: How the bundle wants to see cells.
        slide: Of the field.

    Returns:
        As `frame`.
    """
    if framing.whole_image:
        box = Box(0, 0, rgb.shape[1], rgb.shape[0])
        return _cut(rgb, box, framing, slide), box
    height, width = rgb.shape[:2]
    around = found.grown(SURROUNDINGS).within(width, height)
    scale = min(1.0, SEARCH_SIDE / max(around.width, around.height))
    size = max(1, round(around.width * scale)), max(1, round(around.height * scale))
    piece = rgb[around.y0 : around.y1, around.x0 : around.x1]
    small = np.asarray(cv2.resize(piece, size, interpolation=cv2.INTER_AREA), np.uint8)
    outside = np.ones(small.shape[:2], np.bool_)
    inner = found.grown(LEEWAY)
    x0, x1 = (round((x - around.x0) * scale) for x in (inner.x0, inner.x1))
    y0, y1 = (round((y - around.y0) * scale) for y in (inner.y0, inner.y1))
    outside[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = False
    border = slide.border_of((around.x0, around.y0, around.x1, around.y1), size)
    if border is None:
        border = np.zeros(small.shape[:2], np.bool_)
    nucleus = nucleus_on(Slide(small, border, slide.white, scale), outside)
    if nucleus is None:
        side = max(found.width, found.height) / CELL_OVER_NUCLEUS
        nucleus = Nucleus((found.x0 + found.x1) / 2, (found.y0 + found.y1) / 2, side, 0.0)
    else:
        nucleus = replace(nucleus, x=nucleus.x + around.x0, y=nucleus.y + around.y0)
    box = square(nucleus, framing.context)
    return _cut(rgb, box, framing, slide), box


def square(nucleus: Nucleus, context: float) -> Box:
    """The square around a nucleus, ``context`` times its extent wide, at least 2 pixels."""
    side = max(2, round(nucleus.extent * context))
    x0, y0 = round(nucleus.x - side / 2), round(nucleus.y - side / 2)
    return Box(x0, y0, x0 + side, y0 + side)


def _nearest(start: int, stop: int, small: int, full: int) -> NDArray[np.int64]:
    """Which of ``small`` places stands for each of ``start`` to ``stop`` of ``full``, as OpenCV's nearest."""
    places = np.floor(np.arange(start, stop) * (1 / (full / small))).astype(np.int64)
    return np.asarray(np.minimum(places, small - 1))


def _cut(rgb: NDArray[np.uint8], box: Box, framing: Framing, slide: Slide) -> NDArray[np.uint8]:
    """The box resampled to the crop's size, balanced, with border and outside as empty ground."""
    height, width = rgb.shape[:2]
    inside = box.within(width, height)
    white = slide.white if framing.white_balance else np.full(3, WHITE_LEVEL, np.float32)
    piece = rgb[inside.y0 : inside.y1, inside.x0 : inside.x1]
    if slide.border.any() and not framing.whole_image:
        rows = _nearest(inside.y0, inside.y1, slide.border.shape[0], height)
        columns = _nearest(inside.x0, inside.x1, slide.border.shape[1], width)
        piece = piece.copy()
        piece[slide.border[np.ix_(rows, columns)]] = white
    square_piece = cv2.copyMakeBorder(
        piece,
        inside.y0 - box.y0,
        box.y1 - inside.y1,
        inside.x0 - box.x0,
        box.x1 - inside.x1,
        cv2.BORDER_CONSTANT,
        value=[float(value) for value in white],
    )
    shrinks = box.width * box.height > framing.size**2
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    crop = np.asarray(
        cv2.resize(square_piece, (framing.size, framing.size), interpolation=method), dtype=np.uint8
    )
    return balance(crop, slide.white) if framing.white_balance else crop
