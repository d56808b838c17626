"""The shapes of nuclei, and what their chromatin looks like."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from leukolens.datasets.synthetic_paint import Floats, Patch, inside, join, step


def segments(
    rng: np.random.Generator,
    patch: Patch,
    radius: float,
    lobes: int,
    *,
    total: float,
    closeness: float,
    blend: float = 0.35,
) -> Floats:
    """A segmented nucleus: lobes along a bow, joined by thin filaments.

    Args:
        rng: Draws it.
        patch: Where.
        radius: The cell's, micrometres.
        lobes: How many segments.
        total: The nucleus's share of the cell's area.
        closeness: How near lobes come; at 1 those that lie end to end just touch.
        blend: How far necks are rounded, micrometres.

    Returns:
        Signed distance, micrometres.
    """
    mean = radius * np.sqrt(total / lobes)
    sizes = mean * rng.uniform(0.86, 1.12, lobes)
    stretch = rng.uniform(1.05, 1.7, lobes)
    bow = max(0.40 * closeness * radius, lobes * 2.25 * mean / (2 * np.pi))
    angles = rng.uniform(0, 2 * np.pi) + np.arange(lobes) * min(2.3 * mean / bow, 2 * np.pi / lobes)
    places = bow * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    places += rng.normal(0, 0.16 * radius / np.sqrt(lobes), places.shape)
    places -= 0.75 * places.mean(axis=0)
    reach = sizes * np.sqrt(stretch)
    for _ in range(40):
        places = _apart(places, reach * closeness)
        length = np.hypot(*places.T)[:, None]
        places *= np.minimum(1, (radius * 0.96 - reach)[:, None] / np.maximum(length, 1e-6))
    surface = patch.warped(rng, 2.4, 0.22)
    pieces = []
    for (x, y), size, long, angle in zip(places, sizes, stretch, angles, strict=True):
        turn = angle + np.pi / 2 + rng.normal(0, 0.45)
        pieces.append(surface.ellipse(x, y, size * np.sqrt(long), size / np.sqrt(long), turn))
    nucleus = join(pieces, blend)
    threads = [surface.strand(a, b, rng.uniform(0.16, 0.32)) for a, b in pairwise(places)]
    return join([nucleus, *threads], 0.3)


def _apart(places: NDArray[np.float64], reach: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pushes discs of these radii off one another, by half of every overlap."""
    gaps = places[:, None] - places[None]
    distances = np.hypot(gaps[..., 0], gaps[..., 1]) + np.eye(len(places))
    overlap = np.maximum(reach[:, None] + reach[None] - distances, 0) * (1 - np.eye(len(places)))
    moves: NDArray[np.float64] = (gaps / distances[..., None] * overlap[..., None]).sum(axis=1) / 2
    return places + moves


def folded(rng: np.random.Generator, patch: Patch, radius: float) -> Floats:
    """A kidney or horseshoe: a thick bent band with a fold. Signed distance, micrometres."""
    bend = rng.uniform(1.9, 3.9)
    bow = rng.uniform(0.36, 0.46) * radius
    angles = rng.uniform(0, 2 * np.pi) + np.linspace(-bend / 2, bend / 2, 6)
    middle = bow * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    middle -= rng.uniform(0.5, 0.9) * middle.mean(axis=0)
    widths = radius * rng.uniform(0.27, 0.35) * (1 + 0.16 * np.cos(np.linspace(-np.pi, np.pi, 6)[::-1] * 2))
    widths *= rng.uniform(0.9, 1.12, 6)
    surface = patch.warped(rng, 2.8, 0.32)
    discs = [surface.ellipse(x, y, w, w, 0) for (x, y), w in zip(middle, widths, strict=True)]
    return join(discs, 0.7)


def clumps(rng: np.random.Generator, patch: Patch, grain: float, contrast: float) -> Floats:
    """Chromatin in blocks: 1 dense, 0 pale. The smaller the contrast, the smudgier."""
    blocks = step(patch.noise(rng, grain) + 0.5 * patch.noise(rng, grain / 2), -1.9, 1.5)
    return 1 - np.float32(contrast) * (1 - blocks)


def lace(rng: np.random.Generator, patch: Patch) -> Floats:
    """Chromatin in fine strands and folds: 1 dense, 0 pale."""
    strands = np.exp(-((patch.noise(rng, 1.1) / 0.42) ** 2))
    finer = np.exp(-((patch.noise(rng, 0.7) / 0.5) ** 2))
    folds = step(patch.noise(rng, 2.4), -0.6, 1.4)
    return np.asarray(np.clip(0.22 + 0.34 * strands + 0.24 * finer + 0.30 * folds, 0, 1), dtype=np.float32)


def vacuoles(rng: np.random.Generator, patch: Patch, where: NDArray[np.bool_]) -> Floats:
    """Clear round holes: 1 in a vacuole."""
    holes = np.zeros(patch.x.shape, np.float32)
    rows, columns = np.nonzero(where)
    if len(rows) == 0:
        return holes
    for index in rng.integers(0, len(rows), int(rng.integers(4, 12))):
        x, y = patch.x[0, columns[index]], patch.y[rows[index], 0]
        size = rng.uniform(0.22, 0.62)
        holes = np.maximum(holes, inside(patch.ellipse(x, y, size, size * rng.uniform(0.8, 1), 0), 0.2))
    return holes
