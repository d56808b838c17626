"""Framed crops as a classifier's graph takes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def side_of(crops: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Crops (n, size, size, 3) seen from one of eight sides: quarter turns for 0 to 3, mirrored from 4 on."""
    mirrored = crops[:, :, ::-1] if number >= 4 else crops
    return np.ascontiguousarray(np.rot90(mirrored, number % 4, axes=(1, 2)))


def scaled(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Crops (n, size, size, 3) as the graph takes them: float32 (n, 3, size, size), value / 127.5 - 1."""
    values = np.ascontiguousarray(crops.transpose(0, 3, 1, 2)).astype(np.float32)
    values /= 127.5
    values -= 1
    return values
