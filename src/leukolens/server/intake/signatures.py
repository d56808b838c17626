"""What kind of file this is, by its first bytes alone: a client's name for it says nothing."""

from __future__ import annotations

HEAD = 16
"""How many first bytes are enough to tell."""

_ZIPS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_IMAGES = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"II*\0",  # TIFF, and BigTIFF below
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"BM",
    b"GIF87a",
    b"GIF89a",
)


def is_zip(head: bytes) -> bool:
    """Whether a file that begins so is a zip."""
    return head.startswith(_ZIPS)


def is_image(head: bytes) -> bool:
    """Whether a file that begins so may be an image that `leukolens.imaging.decode` takes."""
    return head.startswith(_IMAGES) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")


def image_problem(head: bytes) -> str | None:
    """Why a file that begins so is not taken as an image; None where it is."""
    if not head:
        return "is empty"
    if is_zip(head):
        return "is a zip inside a zip"
    return None if is_image(head) else "is no image that can be read: JPEG, PNG, TIFF, BMP, WebP or GIF"
