"""Mistakes as small pictures to stand inside a page."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw

from leukolens.errors import ImageError
from leukolens.imaging.decode import decode
from leukolens.imaging.framing import Box

LONGEST_SIDE = 360
JPEG_QUALITY = 80


def thumbnail(path: Path, box: Box | None, colour: str) -> bytes | None:
    """The image as a small JPEG with the framed square drawn on it; None where it cannot be read.

    Args:
        path: The image.
        box: What was framed, if anything was.
        colour: The square's, as ``#rrggbb``.
    """
    try:
        picture = Image.fromarray(decode(path))
    except ImageError:
        return None
    scale = LONGEST_SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = picture.resize(size, Image.Resampling.LANCZOS)
    if box:
        left, top, right, bottom = (round(end * scale) for end in (box.x0, box.y0, box.x1 - 1, box.y1 - 1))
        right, bottom = max(right, left + 8), max(bottom, top + 8)
        pen = ImageDraw.Draw(small)
        # White around the colour: seen on dark and light ground alike.
        pen.rectangle((left, top, right, bottom), outline="#ffffff", width=5)
        pen.rectangle((left + 1, top + 1, right - 1, bottom - 1), outline=colour, width=3)
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return buffer.getvalue()
