"""Colour that doesn't depend on the lamp: what counts as border, what as white, and the balance to it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

BLACKEST = 24
WHITE_PERCENTILE = 92.0
WHITE_LEVEL = 235.0
MOST_COUNTED = 2**24
"""Pixels that OpenCV counts exactly, in float32."""


def black_border(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The black that touches the image's edge: corners left by a rotation, bars, a round aperture.

    Args:
        rgb: (h, w, 3).

    Returns:
        (h, w), True where there is no slide. Two pixels of the soft rim count too.
    """
    black = cv2.inRange(rgb, (0, 0, 0), (BLACKEST - 1,) * 3)
    if not black.any():
        return np.zeros(black.shape, dtype=np.bool_)
    count, labels = cv2.connectedComponents(black, connectivity=4)
    touching = np.zeros(count, np.uint8)
    for rim in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        touching[rim] = 1
    touching[0] = 0
    return cv2.dilate(touching.take(np.asarray(labels, np.int32)), np.ones((5, 5), np.uint8)).astype(np.bool_)


def white_point(rgb: NDArray[np.uint8], border: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """The empty ground's colour: the 92nd percentile of each channel, border left out.

    Args:
        rgb: (h, w, 3).
        border: (h, w), True where not to look.

    Returns:
        (3,), at least 1, so that dividing by it is safe.
    """
    asked = None if border is None or border.all() else (~border).view(np.uint8)
    counts = _counts(rgb, asked)
    pixels = int(counts[0].sum())
    rank = min(pixels - 1, round(WHITE_PERCENTILE / 100 * (pixels - 1)))
    darkest_white = [np.searchsorted(np.cumsum(count), rank, side="right") for count in counts]
    return np.asarray(np.maximum(darkest_white, 1), dtype=np.float32)


def _counts(rgb: NDArray[np.uint8], asked: NDArray[np.uint8] | None) -> NDArray[np.int64]:
    """How often each value occurs in each channel, (3, 256)."""
    counts = np.zeros((3, 256), np.int64)
    rows = max(1, MOST_COUNTED // rgb.shape[1])
    for start in range(0, len(rgb), rows):
        part, where = rgb[start : start + rows], None if asked is None else asked[start : start + rows]
        for channel in range(3):
            found = cv2.calcHist([part], [channel], where, [256], [0, 256])
            counts[channel] += np.asarray(found, np.int64).ravel()
    return counts


def balance(rgb: NDArray[np.uint8], white: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Scales each channel so that ``white`` becomes 235, the way the shipped models were taught.

    Args:
        rgb: (h, w, 3).
        white: (3,), from `white_point`.
    """
    levels = np.arange(256, dtype=np.float32)[:, None] * (WHITE_LEVEL / white)
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(rgb, table[None]), dtype=np.uint8)


def white_balance(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The whole image (h, w, 3) balanced to its own empty ground."""
    return balance(rgb, white_point(rgb, black_border(rgb)))


def nuclear_density(rgb: NDArray[np.uint8], white: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much each pixel looks like a stained nucleus.

    Nuclei take up the azure dyes and so absorb red and green; red cells absorb green and blue
    about equally and hardly any red. In optical density, red + green - blue tells them apart in
    every Romanowsky stain, whatever the ground.

    Args:
        rgb: (h, w, 3).
        white: (3,), the empty ground.

    Returns:
        (h, w), optical density; about 0 on empty ground, .1 to .3 in red cells, .4 and more in nuclei.
    """
    levels = np.maximum(np.arange(256, dtype=np.float32), 1)[:, None]
    density = -np.log10(np.clip(levels / white, 1 / 255, 1))
    each = cv2.LUT(rgb, density[None])
    return np.asarray(each[..., 0] + each[..., 1] - each[..., 2], dtype=np.float32)
