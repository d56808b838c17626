"""Which images browsers show by themselves as the reading sees them, told by bytes alone."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from leukolens.server.web.pages.media import media_type_of, needs_view


def saved(kind: str, **more: Any) -> BytesIO:
    Image.new("RGB", (40, 30), (200, 180, 190)).save(buffer := BytesIO(), kind, **more)
    buffer.seek(0)
    return buffer


def sideways() -> Image.Exif:
    exif = Image.Exif()
    exif[274] = 6
    return exif


def in_a_text() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", "\nexif\n 8\n4d4d002a00000008\n", zip=True)
    return info


@pytest.mark.parametrize(
    ("kind", "more", "needed"),
    [
        ("JPEG", {}, False), ("JPEG", {"exif": sideways()}, False), ("PNG", {}, False), ("WEBP", {}, False),
        ("PNG", {"exif": sideways()}, True), ("PNG", {"pnginfo": in_a_text()}, True),
        ("WEBP", {"exif": sideways()}, True), ("TIFF", {}, True), ("TIFF", {"big_tiff": True}, True),
        ("BMP", {}, True), ("GIF", {}, True),
    ],
)  # fmt: skip
def test_a_view_is_made_of_what_browsers_would_not_show_or_not_turn(
    kind: str, more: dict[str, Any], needed: bool
) -> None:
    assert needs_view(saved(kind, **more)) == needed


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\0\0\0\0WEBPVP8X", b"\x89PNG\r\n\x1a\n\0\0"])
def test_what_is_cut_off_needs_none(content: bytes) -> None:
    assert not needs_view(BytesIO(content))


def test_a_png_that_says_that_it_is_endless_is_not_followed_for_ever() -> None:
    content = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0abcd\0\0\0\0" * 300_000
    assert not needs_view(BytesIO(content))


def test_the_type_is_what_the_bytes_say() -> None:
    found = [media_type_of(saved(kind)) for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")]
    assert found == ["image/jpeg", "image/png", "image/webp", None, None, None]
