"""From a detector's heatmaps to finds: peaks read off, lesser finds of the same cell put away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STRIDE = 4
UNIT = 32.0
MOST_PEAKS = 2000
INSIDE = 0.75
BLOCK = 512


@dataclass(frozen=True, slots=True, eq=False)
class Finds:
    """Cells that were found, in no order.

    Attributes:
        boxes: float64 (n, 4), x0, y0, x1, y1 in pixels of what was looked at.
        scores: float64 (n,), 0 to 1.
        kinds: int64 (n,), index into the detector's kinds.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    kinds: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    def only(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Finds:
        """Those that a mask or places choose."""
        return Finds(self.boxes[chosen], self.scores[chosen], self.kinds[chosen])

    def moved(self, scale: tuple[float, float], x: float, y: float) -> Finds:
        """The same in another frame: divided by ``scale`` across and down, then shifted by ``x`` and ``y``."""
        return Finds(self.boxes / [*scale, *scale] + [x, y, x, y], self.scores, self.kinds)

    @property
    def sides(self) -> NDArray[np.float64]:
        """(n,), mean of each box's width and height."""
        return np.asarray((self.boxes[:, 2:] - self.boxes[:, :2]).mean(axis=1))

    @property
    def centres(self) -> NDArray[np.float64]:
        """(n, 2), x and y."""
        return np.asarray((self.boxes[:, :2] + self.boxes[:, 2:]) / 2)


def joined(parts: list[Finds]) -> Finds:
    """The finds of several looks together."""
    if not parts:
        return Finds(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))
    return Finds(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.kinds for part in parts]),
    )


def read_off(heat: NDArray[np.float32], shape: NDArray[np.float32], least: float) -> Finds:
    """The peaks from a score up, the highest first.

    Args:
        heat: (kinds, h, w), 0 everywhere but at peaks.
        shape: (4, h, w), as `leukolens.models.detector.Detector.forward` gives it.
        least: Lowest score.
    """
    kinds, rows, columns = np.nonzero(heat >= least)
    scores = heat[kinds, rows, columns].astype(np.float64)
    best = np.lexsort((columns, rows, kinds, -scores))[:MOST_PEAKS]
    kinds, rows, columns, scores = kinds[best], rows[best], columns[best], scores[best]
    right, down, width, height = shape[:, rows, columns].astype(np.float64)
    x, y = (columns + 0.5 + right) * STRIDE, (rows + 0.5 + down) * STRIDE
    # A damaged graph must not overflow; nothing is 40 times a red cell, or a tenth of one.
    half_width, half_height = (np.exp(np.clip(side, -2, 4)) * (UNIT / 2) for side in (width, height))
    boxes = np.stack([x - half_width, y - half_height, x + half_width, y + half_height], axis=1)
    return Finds(boxes, scores, kinds.astype(np.int64))


def overlaps(first: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of boxes (n, 4) with boxes (m, 4): (n, m)."""
    shared, areas, other_areas = _shared(first, others)
    return np.asarray(shared / np.maximum(areas[:, None] + other_areas[None] - shared, 1e-9))


def _shared(
    first: NDArray[np.float64], others: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    low = np.maximum(first[:, None, :2], others[None, :, :2])
    high = np.minimum(first[:, None, 2:], others[None, :, 2:])
    shared = np.maximum(high - low, 0)
    return shared[..., 0] * shared[..., 1], _areas(first), _areas(others)


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(sides[:, 0] * sides[:, 1])


def suppressed(finds: Finds, overlap: float) -> Finds:
    """One find a cell, the highest score first: of two of one kind that overlap, the lesser gives way.

    A find that lies inside a better one of its kind gives way too: a lobe or a granule for a cell of its
    own.

    Args:
        finds: What was found.
        overlap: Intersection over union from which two finds are of one cell.
    """
    finds = finds.only(np.lexsort((*finds.boxes.T, finds.kinds, -finds.scores)))
    alive = np.ones(len(finds), np.bool_)
    for kind in set(finds.kinds.tolist()):
        places = np.flatnonzero(finds.kinds == kind)
        if len(places) < 2:
            continue
        better, lesser = (places[side] for side in _pairs(finds.boxes[places], overlap))
        if not len(better):
            continue
        for place, first, last in zip(*_runs(better), strict=True):
            if alive[place]:
                alive[lesser[first:last]] = False
    return finds.only(alive)


def _pairs(boxes: NDArray[np.float64], overlap: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which boxes, the best first, are of one cell: places of the better and of the lesser, by the better.

    Boxes are compared with those alone that begin left of their right side, a block at a time: a field of
    8,000 pixels holds tens of thousands, and what every pair needs would not fit into memory.
    """
    order = np.argsort(boxes[:, 0], kind="stable")
    left, right = boxes[order, 0], boxes[order, 2]
    pairs = [np.zeros((0, 2), np.int64)]
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK]
        others = order[start : np.searchsorted(left, right[start : start + BLOCK].max())]
        shared, areas, other_areas = _shared(boxes[block], boxes[others])
        union = np.maximum(areas[:, None] + other_areas[None] - shared, 1e-9)
        smaller = np.maximum(np.minimum(areas[:, None], other_areas[None]), 1e-9)
        rows, columns = np.nonzero((shared / union > overlap) | (shared / smaller > INSIDE))
        pairs.append(np.sort(np.stack([block[rows], others[columns]], axis=1), axis=1))
    both = np.concatenate(pairs)
    both = both[both[:, 0] < both[:, 1]]
    both = both[np.argsort(both[:, 0], kind="stable")]
    return both[:, 0], both[:, 1]


def _runs(
    values: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of sorted values: each different one, where it begins and where it ends."""
    different, first, count = np.unique(values, return_index=True, return_counts=True)
    return different, first, first + count
