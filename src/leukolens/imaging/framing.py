"""From a field to one canonical crop: find the nucleus, put a square around it, resample."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from leukolens.bundle import Framing
from leukolens.imaging.color import WHITE_LEVEL, balance, black_border, nuclear_density, white_point

SEARCH_SIDE = 160
DENSEST = 0.8
FAINTEST = 0.12
FAINTEST_NUCLEUS = 0.2
SMALLEST_SHARE = 0.002
PEAK_SHARE = 0.01
TIGHTENING = 1.4
STABLE_EXTENT = 0.6
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


@dataclass(frozen=True, slots=True)
class Nucleus:
    """The most conspicuous nucleus of an image, all its lobes together.

    Attributes:
        x: Centre, in pixels from the left edge.
        y: Centre, in pixels from the top edge.
        extent: Diameter of the disc with the same spread, in pixels.
        density: Mean of `nuclear_density` over it, optical density.
    """

    x: float
    y: float
    extent: float
    density: float


@dataclass(frozen=True, slots=True, eq=False)
class Slide:
    """A small copy of an image with what is known of its ground.

    Attributes:
        small: uint8 (h, w, 3), at most 160 pixels long.
        border: (h, w), True where there is no slide.
        white: float32 (3,), the empty ground's colour.
        scale: Pixels of the copy per pixel of the image.
    """

    small: NDArray[np.uint8]
    border: NDArray[np.bool_]
    white: NDArray[np.float32]
    scale: float

    def border_of(
        self, corners: tuple[int, int, int, int], size: tuple[int, int]
    ) -> NDArray[np.bool_] | None:
        """The border in a rectangle of the image, resampled; None where it has none.

        Args:
            corners: x0, y0, x1, y1 in pixels of the image; inside it.
            size: Width and height wanted, pixels.
        """
        if not self.border.any():
            return None
        height, width = self.border.shape
        x = (np.linspace(corners[0], corners[2], size[0], endpoint=False) * self.scale).astype(np.int64)
        y = (np.linspace(corners[1], corners[3], size[1], endpoint=False) * self.scale).astype(np.int64)
        chosen = np.ix_(np.minimum(y, height - 1), np.minimum(x, width - 1))
        return np.asarray(self.border[chosen], dtype=np.bool_)


def slide_of(rgb: NDArray[np.uint8]) -> Slide:
    """What is known of an image's ground, from a small copy.

    Args:
        rgb: (h, w, 3).
    """
    height, width = rgb.shape[:2]
    scale = min(1.0, SEARCH_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    border = black_border(small)
    return Slide(small, border, white_point(small, border), scale)


def find_nucleus(rgb: NDArray[np.uint8]) -> Nucleus | None:
    """The nucleus of the white cell in this image.

    Args:
        rgb: (h, w, 3), of any size; black corners and borders are never taken for a nucleus.

    Returns:
        None where nothing is dense and large enough: an empty field, red cells alone, no blood at all.
    """
    return _nucleus_on(slide_of(rgb))


def _nucleus_on(slide: Slide, elsewhere: NDArray[np.bool_] | None = None) -> Nucleus | None:
    """The nucleus on a slide; one ``elsewhere``, (h, w), is seen but not taken."""
    if slide.border.all():
        return None
    density = np.minimum(nuclear_density(slide.small, slide.white), DENSEST)
    density[slide.border] = 0
    density = np.asarray(cv2.GaussianBlur(density, (0, 0), 1.2), dtype=np.float32)
    threshold = _threshold(density, slide.border)
    if elsewhere is not None:
        density[elsewhere] = 0
    nucleus = _densest_group(density, threshold, slide)
    stricter = _densest_group(density, TIGHTENING * threshold, slide)
    if nucleus and stricter and stricter.extent < STABLE_EXTENT * nucleus.extent:
        nucleus = stricter
    return nucleus if nucleus and nucleus.density >= FAINTEST_NUCLEUS else None


def _densest_group(density: NDArray[np.float32], threshold: float, slide: Slide) -> Nucleus | None:
    mask = (density > threshold).astype(np.uint8)
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), dtype=np.uint8)
    lobes = _lobes(mask, density)
    if lobes is None or np.count_nonzero(lobes) < SMALLEST_SHARE * np.count_nonzero(~slide.border):
        return None
    rows, columns = np.nonzero(lobes)
    extent = 4 * float(np.sqrt((rows.var() + columns.var()) / 2))
    return Nucleus(
        x=float(columns.mean() + 0.5) / slide.scale,
        y=float(rows.mean() + 0.5) / slide.scale,
        extent=max(extent, 1.0) / slide.scale,
        density=float(density[lobes].mean()),
    )


def _threshold(density: NDArray[np.float32], border: NDArray[np.bool_]) -> float:
    """Half of the densest hundredth, or what parts the image best, whichever is higher."""
    count = max(1, int(PEAK_SHARE * density.size))
    peak = float(np.partition(density.ravel(), density.size - count)[density.size - count :].mean())
    levels = np.clip(density[~border] * (255 / DENSEST), 0, 255).astype(np.uint8)
    parting, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return max(peak / 2, min(float(parting) * DENSEST / 255, 0.75 * peak), FAINTEST)


def _lobes(mask: NDArray[np.uint8], density: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """The heaviest component of the mask with the lobes that stand close to it, (h, w)."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return None
    mass = np.bincount(labels.ravel(), weights=density.ravel(), minlength=count)
    mass[0] = 0
    heaviest, *others = (int(index) for index in np.argsort(-mass))
    kept = [heaviest]
    x0, y0, width, height = (int(value) for value in boxes[heaviest, :4])
    x1, y1 = x0 + width, y0 + height
    for lobe in others:
        if mass[lobe] < 0.06 * mass[heaviest]:
            break
        a0, b0, width, height = (int(value) for value in boxes[lobe, :4])
        a1, b1 = a0 + width, b0 + height
        extent = max(x1 - x0, y1 - y0)
        gap = max(a0 - x1, x0 - a1, b0 - y1, y0 - b1, 0)
        together = max(max(x1, a1) - min(x0, a0), max(y1, b1) - min(y0, b0))
        if gap < 0.3 * extent and together < 1.7 * extent:
            kept.append(lobe)
            x0, y0, x1, y1 = min(x0, a0), min(y0, b0), max(x1, a1), max(y1, b1)
    return np.isin(labels, kept)


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
        nucleus = _nucleus_on(slide)
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
    around = _grown(found, SURROUNDINGS).within(width, height)
    scale = min(1.0, SEARCH_SIDE / max(around.width, around.height))
    size = max(1, round(around.width * scale)), max(1, round(around.height * scale))
    piece = rgb[around.y0 : around.y1, around.x0 : around.x1]
    small = np.asarray(cv2.resize(piece, size, interpolation=cv2.INTER_AREA), np.uint8)
    outside = np.ones(small.shape[:2], np.bool_)
    inner = _grown(found, LEEWAY)
    x0, x1 = (round((x - around.x0) * scale) for x in (inner.x0, inner.x1))
    y0, y1 = (round((y - around.y0) * scale) for y in (inner.y0, inner.y1))
    outside[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = False
    border = slide.border_of((around.x0, around.y0, around.x1, around.y1), size)
    if border is None:
        border = np.zeros(small.shape[:2], np.bool_)
    nucleus = _nucleus_on(Slide(small, border, slide.white, scale), outside)
    if nucleus is None:
        side = max(found.width, found.height) / CELL_OVER_NUCLEUS
        nucleus = Nucleus((found.x0 + found.x1) / 2, (found.y0 + found.y1) / 2, side, 0.0)
    else:
        nucleus = replace(nucleus, x=nucleus.x + around.x0, y=nucleus.y + around.y0)
    box = square(nucleus, framing.context)
    return _cut(rgb, box, framing, slide), box


def _grown(box: Box, times: float) -> Box:
    """The box enlarged about its middle, by a factor."""
    more_x, more_y = (round((times - 1) / 2 * side) for side in (box.width, box.height))
    return Box(box.x0 - more_x, box.y0 - more_y, box.x1 + more_x, box.y1 + more_y)


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
