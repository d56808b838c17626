"""Which images a browser shows by itself, as the reading sees them, by their bytes alone."""

from __future__ import annotations

import struct
from typing import BinaryIO

JPEG, PNG, WEBP = "image/jpeg", "image/png", "image/webp"
HEAD = 32
MOST_CHUNKS = 200_000
_WEBP_EXIF = 0x08
_MADE_INTO_A_VIEW = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM", b"GIF87a", b"GIF89a")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")


def media_type_of(stream: BinaryIO) -> str | None:
    """The media type that a file's first bytes say: JPEG, PNG or WebP; None for all else."""
    head = stream.read(HEAD)
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    return WEBP if head.startswith(b"RIFF") and head[8:12] == b"WEBP" else None


def needs_view(stream: BinaryIO) -> bool:
    """Whether a view is made of an image: of TIFF, BMP and GIF, and where browsers may not turn it as it is displayed.

    They all heed the EXIF orientation of a JPEG, but not that of a PNG or WebP.
    """
    head = stream.read(HEAD)
    if head.startswith(_MADE_INTO_A_VIEW):
        return True
    if head.startswith(b"RIFF") and head[8:16] == b"WEBPVP8X":
        return bool(head[20:21]) and bool(head[20] & _WEBP_EXIF)
    return head.startswith(b"\x89PNG\r\n\x1a\n") and _png_has_exif(stream)


def _png_has_exif(stream: BinaryIO) -> bool:
    """Whether a chunk of a PNG holds EXIF, in its own chunk or as old programs wrote it, in a text."""
    stream.seek(8)
    for _ in range(MOST_CHUNKS):
        head = stream.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return False
        length = struct.unpack(">I", head[:4])[0]
        if head[4:] == b"eXIf":
            return True
        if head[4:] in _TEXTS:
            begin = stream.read(min(length, 16))
            if begin.startswith(b"Raw profile type"):
                return True
            length -= len(begin)
        stream.seek(length + 4, 1)
    return False
