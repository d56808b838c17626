"""The pictures of a page: fields made small enough, and crops of their cells, as JPEG without metadata."""

from __future__ import annotations

from io import BytesIO
from math import sqrt

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leukolens.imaging.framing import Box

LONGEST_SIDE = 1200
LONGEST_OF_MANY = 640
MANY = 100
CROP_SIDE = 96
CLOSE_CROP_SIDE = 144
CROP_CONTEXT = 1.3
OUTSIDE = 240  # a light grey that no smear has for ground: where a crop reaches over the field's edge
QUALITY = 80


def longest_side(fields: int) -> int:
    """The longest side of a field's picture, pixels, so that a page of many fields can still be opened.

    Up to 100 fields have 1200 pixels; more share the same number of pixels, down to a side of 640.
    """
    return max(LONGEST_OF_MANY, round(LONGEST_SIDE * sqrt(min(1.0, MANY / max(fields, 1)))))


def field_picture(rgb: NDArray[np.uint8], longest: int) -> bytes:
    """A field as JPEG, made smaller where its longer side has more pixels than ``longest``."""
    height, width = rgb.shape[:2]
    scale = min(1.0, longest / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return jpeg(_resized(rgb, size) if scale < 1 else rgb)


def crop(rgb: NDArray[np.uint8], box: Box, side: int) -> bytes:
    """A cell with a little of what stands around it, as a square JPEG of ``side`` pixels.

    Args:
        rgb: (h, w, 3), the field.
        box: The cell, in its pixels; may reach over its edge.
        side: Of the crop, pixels.
    """
    height, width = rgb.shape[:2]
    reach = max(2, round(max(box.width, box.height) * CROP_CONTEXT))
    x0, y0 = (box.x0 + box.x1 - reach) // 2, (box.y0 + box.y1 - reach) // 2
    square = np.full((reach, reach, 3), OUTSIDE, np.uint8)
    inside = Box(x0, y0, x0 + reach, y0 + reach).within(width, height)
    if inside.width > 0 and inside.height > 0:
        rows, columns = slice(inside.y0 - y0, inside.y1 - y0), slice(inside.x0 - x0, inside.x1 - x0)
        square[rows, columns] = rgb[inside.y0 : inside.y1, inside.x0 : inside.x1]
    return jpeg(_resized(square, (side, side)))


def jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """The image, (h, w, 3), as a JPEG file."""
    buffer = BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _resized(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    method = cv2.INTER_AREA if rgb.shape[1] > size[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, size, interpolation=method), np.uint8)
