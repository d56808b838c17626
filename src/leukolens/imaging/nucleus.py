"""Finds the nucleus of the white cell in an image that holds one, in any Romanowsky stain, without training."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from leukolens.imaging.color import black_border, nuclear_density, white_point

SEARCH_SIDE = 160
DENSEST = 0.8
FAINTEST = 0.12
FAINTEST_NUCLEUS = 0.2
SMALLEST_SHARE = 0.002
PEAK_SHARE = 0.01
LEVELS = (0.5, 0.7)
"""Thresholds that are tried, as shares of the image's peak."""
RIM = 0.3
"""Width of what counts as surrounding a nucleus, as a share of its extent."""
EDGE_POWER = 5
"""How fast what lies along the image's edge loses to what does not."""


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
        rows = self.border.take(np.minimum(y, height - 1), axis=0)
        return np.asarray(rows.take(np.minimum(x, width - 1), axis=1), dtype=np.bool_)


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
    return nucleus_on(slide_of(rgb))


def nucleus_on(slide: Slide, elsewhere: NDArray[np.bool_] | None = None) -> Nucleus | None:
    """The nucleus on a slide.

    No threshold fits every stain: one that holds a pale nucleus together joins red cells to a dark one. Of the
    groups that several give, the one that stands out most from what surrounds it is taken.

    Args:
        slide: Of the image.
        elsewhere: (h, w), True where something is seen but not taken.
    """
    if slide.border.all():
        return None
    density = np.minimum(nuclear_density(slide.small, slide.white), DENSEST)
    density[slide.border] = 0
    density = np.asarray(cv2.GaussianBlur(density, (0, 0), 1.2), dtype=np.float32)
    count = max(1, int(PEAK_SHARE * density.size))
    peak = float(np.partition(density.ravel(), density.size - count)[density.size - count :].mean())
    open_to = density if elsewhere is None else np.where(elsewhere, np.float32(0), density)
    best, most = None, 0.0
    for threshold in sorted({max(level * peak, FAINTEST) for level in LEVELS}):
        lobes = _densest_group(open_to, threshold, slide)
        if lobes is not None and (contrast := _contrast(lobes, density, slide.border)) > most:
            best, most = lobes, contrast
    return None if best is None else _nucleus_of(best, density, slide.scale)


def _densest_group(density: NDArray[np.float32], threshold: float, slide: Slide) -> NDArray[np.bool_] | None:
    """The heaviest group above a threshold, (h, w), of a size that a nucleus may have."""
    mask = (density > threshold).astype(np.uint8)
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), dtype=np.uint8)
    lobes = _lobes(mask, density)
    if lobes is None or np.count_nonzero(lobes) < SMALLEST_SHARE * np.count_nonzero(~slide.border):
        return None
    return lobes


def _contrast(lobes: NDArray[np.bool_], density: NDArray[np.float32], border: NDArray[np.bool_]) -> float:
    """How much denser a group is than its rim; less where it lies along the image's edge."""
    reach = max(1.0, RIM * _extent(cv2.moments(lobes.view(np.uint8), binaryImage=True)))
    along = np.concatenate([lobes[0], lobes[-1], lobes[:, 0], lobes[:, -1]]).mean()
    left, top, width, height = cv2.boundingRect(lobes.view(np.uint8))
    more = int(reach) + 1
    near = np.s_[max(0, top - more) : top + height + more, max(0, left - more) : left + width + more]
    lobes, density, border = lobes[near], density[near], border[near]
    far = cv2.distanceTransform((~lobes).view(np.uint8), cv2.DIST_L2, 3)
    rim = (far > 0) & (far <= reach) & ~border
    inside, outside = (float(density[part].mean()) if part.any() else 0.0 for part in (lobes, rim))
    return (inside - outside) * float(1 - along) ** EDGE_POWER


def _extent(moments: dict[str, float]) -> float:
    """Diameter of the disc with the same spread, in pixels; at least 1."""
    return max(4 * float(np.sqrt((moments["mu20"] + moments["mu02"]) / moments["m00"] / 2)), 1.0)


def _nucleus_of(lobes: NDArray[np.bool_], density: NDArray[np.float32], scale: float) -> Nucleus | None:
    """The group in pixels of the image; None where it is too faint for a nucleus."""
    moments = cv2.moments(lobes.view(np.uint8), binaryImage=True)
    nucleus = Nucleus(
        x=(moments["m10"] / moments["m00"] + 0.5) / scale,
        y=(moments["m01"] / moments["m00"] + 0.5) / scale,
        extent=_extent(moments) / scale,
        density=float(density[lobes].mean()),
    )
    return nucleus if nucleus.density >= FAINTEST_NUCLEUS else None


def _lobes(mask: NDArray[np.uint8], density: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """The heaviest component of the mask with the lobes that stand close to it, (h, w)."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return None
    covered = labels != 0
    mass = np.bincount(labels[covered], weights=density[covered], minlength=count)
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
    chosen = np.zeros(count, np.bool_)
    chosen[kept] = True
    return np.asarray(chosen.take(np.asarray(labels, np.int32)))
