"""Whether what passes for a white cell holds a nucleus, which no red cell has in any stain."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from leukolens.imaging.color import nuclear_density
from leukolens.reading.peaks import Finds

PATCH = 16
DENSEST_PIXELS = PATCH * PATCH * 15 // 100
"""How many of a cell's densest pixels stand for its nucleus: the least nucleus fills a sixth of its box."""
OVER_RED_CELLS = 1.4
"""How much denser than the field's red cells a nucleus is at least.

Nineteen in twenty red cells of bccd, pbc-224 and raabin-500 come to less than 1.4 times their field's median. Of
white cells the faintest one in a hundred has 2.8 times as much in bccd, 3.7 in pbc-224, and 1.3 in raabin-500, whose
red cells are dark.
"""
FAINTEST = 0.15
"""Optical density of the faintest nucleus, where there are no red cells to compare with."""
OF_THE_DENSEST = 0.45
"""Share of the density of the field's densest sure white cell that another has at least.

Of two white cells of a field the lesser has .55 of it in bccd, one apart; the faintest hundredth of all that pbc-224
holds has .53 of the densest hundredth. Red cells in a stain so strange that they are not known for red ones have less.
"""
DENSE = 1.0
"""Density beyond which a cell is no better a measure for others: a basophil, or a drop of stain."""
FEWEST_RED_CELLS = 5
MOST_RED_CELLS = 200


def with_nucleus(
    rgb: NDArray[np.uint8], white_cells: Finds, red_cells: Finds, white: NDArray[np.float32], sure: float
) -> NDArray[np.bool_]:
    """Which of the white cells are denser than red cells, (n,).

    Density is `nuclear_density` in optical density; what a red cell has of it is asked of the field's own red
    cells, and what a white cell has of its surest white cells, so that neither the stain nor the lamp matters.

    Args:
        rgb: (h, w, 3), the field.
        white_cells: What passes for white cells, in pixels of the field.
        red_cells: The field's red cells; the best of them are asked.
        white: (3,), the empty ground's colour.
        sure: Score from which a white cell is a measure for the others.
    """
    densities = _densities(rgb, white_cells.boxes, white)
    surest = densities[white_cells.scores >= sure]
    least = max(FAINTEST, OF_THE_DENSEST * min(float(surest.max(initial=0)), DENSE))
    if len(white_cells) and len(red_cells) >= FEWEST_RED_CELLS:
        asked = red_cells.only(np.argsort(-red_cells.scores, kind="stable")[:MOST_RED_CELLS])
        usual = float(np.median(_densities(rgb, asked.boxes, white)))
        least = max(least, OVER_RED_CELLS * usual)
    return np.asarray(densities >= least, np.bool_)


def _densities(
    rgb: NDArray[np.uint8], boxes: NDArray[np.float64], white: NDArray[np.float32]
) -> NDArray[np.float64]:
    """The density of the densest part of each box, as far as it lies in the field: (n,)."""
    if not len(boxes):
        return np.zeros(0)
    height, width = rgb.shape[:2]
    low = np.clip(np.floor(boxes[:, :2]), 0, (width - 1, height - 1)).astype(np.int64)
    high = np.clip(np.ceil(boxes[:, 2:]), low + 1, (width, height)).astype(np.int64)
    patches = [
        cv2.resize(rgb[y0:y1, x0:x1], (PATCH, PATCH), interpolation=cv2.INTER_AREA)
        for (x0, y0), (x1, y1) in zip(low.tolist(), high.tolist(), strict=True)
    ]
    density = nuclear_density(np.asarray(np.concatenate(patches), np.uint8), white).reshape(len(boxes), -1)
    return np.partition(density, -DENSEST_PIXELS, axis=1)[:, -DENSEST_PIXELS].astype(np.float64)
