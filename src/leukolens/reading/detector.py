"""Finds the cells of a field: at the scale that its red cells give, in overlapping tiles where it is large."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from leukolens.bundle import Bundle
from leukolens.imaging.color import WHITE_LEVEL, balance
from leukolens.imaging.framing import Box
from leukolens.imaging.nucleus import Slide, slide_of
from leukolens.reading.engine import FindingEngine
from leukolens.reading.inputs import scaled
from leukolens.reading.nuclei import with_nucleus
from leukolens.reading.peaks import Finds, joined, read_off, suppressed

RED_CELL_MICROMETRES = 7.5
FIRST_LOOK = 256
"""Longest side of the first look at a field, pixels."""
NEAR_ENOUGH = 1.35
"""How far red cells may be from the bundle's size before a field is looked at anew at another scale."""
FEWEST_RED_CELLS = 5
"""Red cells from which their size is believed."""
FULL_LOOK = 0.2
"""Scale of the first look above which it stands where no red cells tell another.

Looked at closer, red cells of a stain that the network hardly knows are as large as white ones, and pass for them: of a
hundred raabin fields every second, by a detector that never saw that laboratory.
"""
CUT = 0.05
"""Distance from the edge, as a share of a cell's side, within which it passes for cut."""
CLOSEST_LOOK = 2.0
"""Largest scale at which red cells are looked for where the first look shows too few."""
MOST_LOOKED_AT = 3_000_000
"""Pixels of the closest look at a whole field whose scale no red cell tells: 4,000 x 3,000 at half size."""
WHITE_CELL = 1.2, 2.6
"""Smallest and largest diameter of a white cell, in red cells."""
NEARLY_BEST = 0.8
"""Share of the best white cell's score that the best of a coarser look must have to be preferred."""
TILE, OVERLAP = 768, 160
SEAM = 8
"""How far over a seam finds are kept, in pixels of a look; what both tiles keep is then one cell."""
COARSEST = 16
LEAST = 0.05
ONE_CELL = 0.3
"""Share of a field's threshold from which the best find counts where an image is taken to hold a cell."""
LARGEST_ENLARGEMENT = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a field holds.

    Attributes:
        finds: Every find that counts, in pixels of the field.
        scale: Pixels of the last look per pixel of the field.
        pixels_per_micrometre: By the red cells; None where too few were found.
        slide: What is known of the field's ground.
    """

    finds: Finds
    scale: float
    pixels_per_micrometre: float | None
    slide: Slide


class Detector:
    """Finds white cells, red cells and platelets.

    Args:
        bundle: Whose detector to use.
        threads: Threads that one look may use.

    Raises:
        BundleError: Where the bundle has no detector.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self._engine = FindingEngine(bundle, threads)
        finding = bundle.card.finding
        assert finding is not None  # the engine has refused a bundle without
        self.kinds = tuple(finding.kinds)
        self.red_cell, self.suppression = finding.red_cell, finding.suppression
        self._accept = np.array([finding.accept[kind] for kind in self.kinds])
        self._white, self._red = self.kinds.index("white_cell"), self.kinds.index("red_cell")

    def find(self, rgb: NDArray[np.uint8], *, least: float | None = None) -> Found:
        """The cells of a field of any size.

        Args:
            rgb: (h, w, 3).
            least: Score from which finds count, for all kinds, in place of the bundle's thresholds.
        """
        slide = slide_of(rgb)
        scale, finds = self._settled(rgb, slide)
        wanted = self._accept[finds.kinds] if least is None else np.full(len(finds), least)
        kept = self._sure(rgb, finds.only(finds.scores >= wanted), slide)
        red = kept.only(kept.kinds == self._red)
        measured = _diameter(red, (0, 0, rgb.shape[1], rgb.shape[0]))
        return Found(kept, scale, measured and measured / RED_CELL_MICROMETRES, slide)

    def white_cell(self, rgb: NDArray[np.uint8], slide: Slide) -> Box | None:
        """The most conspicuous white cell of an image that is taken to hold one, in its pixels.

        One look at the small copy, where less is asked of a find than in a field.

        Args:
            rgb: (h, w, 3).
            slide: Of the image.
        """
        height, width = slide.small.shape[:2]
        wanted = np.full(len(self.kinds), np.inf)
        wanted[self._white], wanted[self._red] = ONE_CELL * self._accept[self._white], self._accept[self._red]
        ground = replace(slide, scale=1.0)
        finds = self._sure(
            slide.small, self._tile(slide.small, ground, (0, 0, width, height), 1.0, wanted), slide
        )
        white = finds.only(finds.kinds == self._white)
        if not len(white):
            return None
        scales = width / rgb.shape[1], height / rgb.shape[0]
        best = white.only(np.array([white.scores.argmax()])).moved(scales, 0, 0)
        return Box(*(round(float(side)) for side in best.boxes[0]))

    def _sure(self, rgb: NDArray[np.uint8], finds: Finds, slide: Slide) -> Finds:
        """The finds without the white cells in which there is no nucleus."""
        taken = (finds.kinds == self._red) & (finds.scores >= self._accept[self._red])
        places = np.flatnonzero(finds.kinds == self._white)
        kept = np.ones(len(finds), np.bool_)
        sure = float(self._accept[self._white])
        kept[places] = with_nucleus(rgb, finds.only(places), finds.only(taken), slide.white, sure)
        return finds.only(kept)

    def _settled(self, rgb: NDArray[np.uint8], slide: Slide) -> tuple[float, Finds]:
        """The scale at which red cells have the bundle's size, and what is found there."""
        scale = _first_scale(rgb)
        finds = self._look(rgb, slide, scale)
        size = self._red_cell_size(finds, scale, (0, 0, rgb.shape[1], rgb.shape[0]))
        if size is None:
            scale, size = self._closer(rgb, slide, scale)
            if size is None:
                return self._by_white_cells(rgb, slide, finds)
        elif 1 / NEAR_ENOUGH <= size / self.red_cell <= NEAR_ENOUGH:
            return scale, finds
        better = min(scale * self.red_cell / size, LARGEST_ENLARGEMENT)
        return better, self._look(rgb, slide, better)

    def _red_cell_size(self, finds: Finds, scale: float, corners: tuple[int, int, int, int]) -> float | None:
        """Diameter of the red cells in pixels of a look at ``scale``; None where too few are there."""
        red = finds.only((finds.kinds == self._red) & (finds.scores >= self._accept[self._red]))
        measured = _diameter(red, corners)
        return measured and measured * scale

    def _closer(self, rgb: NDArray[np.uint8], slide: Slide, scale: float) -> tuple[float, float | None]:
        """The scale, of ever closer looks at the middle, that shows most red cells, and their size there."""
        best: tuple[int, float, float | None] = (0, scale, None)
        while scale < CLOSEST_LOOK:
            scale = min(2 * scale, CLOSEST_LOOK)
            height, width = rgb.shape[:2]
            half = round(FIRST_LOOK / scale)
            x0, y0 = max(0, width // 2 - half), max(0, height // 2 - half)
            x1, y1 = min(width, x0 + 2 * half), min(height, y0 + 2 * half)
            finds = self._tile(rgb, slide, (x0, y0, x1, y1), scale)
            size = self._red_cell_size(finds, scale, (x0, y0, x1, y1))
            if size is not None:
                count = int(((finds.kinds == self._red) & (finds.scores >= self._accept[self._red])).sum())
                best = max(best, (count, scale, size), key=lambda entry: entry[0])
        return best[1], best[2]

    def _by_white_cells(self, rgb: NDArray[np.uint8], slide: Slide, first: Finds) -> tuple[float, Finds]:
        """The scale at which white cells have their size, and what is found there.

        The whole field is looked at ever closer, and the coarsest of the looks with good white cells stands:
        white cells are the largest cells, and looked at too closely a lobe or a platelet passes for one. Where no
        look has any of the right size, ``first`` stands, as in a field that it shows well.
        """
        if _first_scale(rgb) > FULL_LOOK:
            return _first_scale(rgb), first
        scales = [_first_scale(rgb), *_whole_scales(rgb)]
        looks = [first, *(self._look(rgb, slide, scale) for scale in scales[1:])]
        best = [
            self._best_white(rgb, finds, slide, scale) for scale, finds in zip(scales, looks, strict=True)
        ]
        chosen = next(place for place, score in enumerate(best) if score >= NEARLY_BEST * max(best))
        scale, finds = scales[chosen], looks[chosen]
        if not max(best):
            return scale, finds
        # One that is here may have the largest size and another the smallest; what is smaller yet is none.
        least = WHITE_CELL[0] ** 2 / WHITE_CELL[1] * self.red_cell / scale
        return scale, finds.only((finds.kinds != self._white) | (finds.sides >= least))

    def _best_white(self, rgb: NDArray[np.uint8], finds: Finds, slide: Slide, scale: float) -> float:
        """The highest score of a white cell that has its size in a look; 0 where none counts."""
        sizes = finds.sides * scale / self.red_cell
        sized = (sizes >= WHITE_CELL[0]) & (sizes <= WHITE_CELL[1])
        white = (finds.kinds == self._white) & (finds.scores >= self._accept[self._white])
        return float(self._sure(rgb, finds.only(white & sized), slide).scores.max(initial=0))

    def _look(self, rgb: NDArray[np.uint8], slide: Slide, scale: float) -> Finds:
        """The finds in the whole field at a scale, one a cell across the tiles' seams."""
        height, width = rgb.shape[:2]
        parts = []
        for top, bottom, y0, y1 in _spans(height, scale):
            for left, right, x0, x1 in _spans(width, scale):
                finds = self._tile(rgb, slide, (x0, y0, x1, y1), scale)
                x, y = finds.centres.T
                # Tiles differ by a pixel on where a cell is; one on the seam must be neither's nor both's.
                over = SEAM / scale
                own = (left - over <= x) & (x < right + over) & (top - over <= y) & (y < bottom + over)
                parts.append(finds.only(own))
        return suppressed(joined(parts), self.suppression)

    def _tile(
        self,
        rgb: NDArray[np.uint8],
        slide: Slide,
        corners: tuple[int, int, int, int],
        scale: float,
        wanted: NDArray[np.float64] | None = None,
    ) -> Finds:
        """The finds in a rectangle of the field, looked at alone; pixels of the field.

        Those of a kind count from its score in ``wanted`` up; a lesser one would put none of them away.
        """
        x0, y0, x1, y1 = corners
        size = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        piece = np.asarray(cv2.resize(rgb[y0:y1, x0:x1], size, interpolation=method), np.uint8)
        piece = balance(piece, slide.white)
        border = slide.border_of(corners, size)
        if border is not None:
            piece[border] = round(WHITE_LEVEL)
        padded = cv2.copyMakeBorder(
            piece,
            0,
            -size[1] % COARSEST,
            0,
            -size[0] % COARSEST,
            cv2.BORDER_CONSTANT,
            value=(WHITE_LEVEL,) * 3,
        )
        heat, shape = self._engine.peaks(scaled(np.asarray(padded, np.uint8)[None])[0])
        finds = read_off(heat, shape, LEAST)
        if wanted is not None:
            finds = finds.only(finds.scores >= wanted[finds.kinds])
        # Beyond the piece there is padding, and no cell.
        inside = np.all((finds.centres >= 0) & (finds.centres < size), axis=1)
        finds = suppressed(finds.only(inside), self.suppression)
        return finds.moved((size[0] / (x1 - x0), size[1] / (y1 - y0)), x0, y0)


def _diameter(cells: Finds, corners: tuple[int, int, int, int]) -> float | None:
    """The usual diameter of cells in a rectangle, in pixels; None where there are too few.

    Cells that an edge cuts are smaller than they are. Where too few are whole, the longer side of the cut
    ones stands for their diameter: it is right for all that show at least half.
    """
    if len(cells) < FEWEST_RED_CELLS:
        return None
    near = CUT * cells.sides[:, None]
    low = cells.boxes[:, :2] - corners[:2] < near
    high = cells.boxes[:, 2:] > corners[2:] - near
    cut = (low | high).any(axis=1)
    if np.count_nonzero(~cut) >= FEWEST_RED_CELLS:
        return float(np.median(cells.sides[~cut]))
    longer = (cells.boxes[:, 2:] - cells.boxes[:, :2]).max(axis=1)
    return float(np.median(np.where(cut, longer, cells.sides)))


def _first_scale(rgb: NDArray[np.uint8]) -> float:
    """The scale of the first look: small images as they are."""
    return min(1.0, FIRST_LOOK / int(max(rgb.shape[:2])))


def _whole_scales(rgb: NDArray[np.uint8]) -> list[float]:
    """The scales of whole looks after the first, each twice the one before: no field is enlarged for them."""
    height, width = rgb.shape[:2]
    closest = min(1.0, float(np.sqrt(MOST_LOOKED_AT / (height * width))))
    # A look that is hardly closer than the first would show the same.
    steps = max(0, int(np.ceil(np.log2(closest / _first_scale(rgb)) - 0.1)))
    return [closest / 2**step for step in range(steps)][::-1]


def _spans(length: int, scale: float) -> list[tuple[float, float, int, int]]:
    """Tiles along one axis: from where to where finds are kept, and from where to where is looked."""
    tile, overlap = TILE / scale, OVERLAP / scale
    if length <= tile:
        return [(-np.inf, np.inf, 0, length)]
    count = int(np.ceil((length - overlap) / (tile - overlap)))
    step = (length - overlap) / count
    spans = []
    for index in range(count):
        start, end = round(index * step), round(index * step + step + overlap)
        low = -np.inf if index == 0 else index * step + overlap / 2
        high = np.inf if index == count - 1 else (index + 1) * step + overlap / 2
        spans.append((low, high, start, min(end, length)))
    return spans
