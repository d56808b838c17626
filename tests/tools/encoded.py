"""Small pictures in the bytes of a format, for tests of decoding."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from leukolens.errors import ImageError

HEIGHT, WIDTH = 24, 40

Refusal = Callable[[Path | bytes], ImageError]


def colours(
    height: int = HEIGHT, width: int = WIDTH, channels: int = 3, dtype: str = "u1"
) -> NDArray[np.uint8]:
    """Pixels that differ in every place and channel, so that any turn or swap shows."""
    largest = np.iinfo(dtype).max
    return np.random.default_rng(24).integers(0, largest + 1, (height, width, channels), dtype=dtype)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def tiff(pixels: NDArray[np.generic], **options: object) -> bytes:
    stream = BytesIO()
    tifffile.imwrite(stream, pixels, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def smooth_jpeg(**options: object) -> bytes:
    ramp = np.linspace(40, 220, WIDTH)[None, :, None] + np.linspace(-30, 30, HEIGHT)[:, None, None]
    return saved(Image.fromarray(np.repeat(ramp, 3, axis=2).astype(np.uint8)), "JPEG", **options)
