from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from leukolens.imaging.decode import FORMATS
from leukolens.server.intake.signatures import HEAD, image_problem, is_image, is_zip


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_that_is_decoded_is_known_by_its_first_bytes(kind: str) -> None:
    buffer = BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, kind)
    head = buffer.getvalue()[:HEAD]
    assert is_image(head)
    assert image_problem(head) is None
    assert not is_zip(head)


@pytest.mark.parametrize(
    "head", [b"", b"%PDF-1.7", b"<svg xmlns=", b"GIF12a", b"RIFF\0\0\0\0WAVEfmt ", b"MZ\x90", b"\xff\xd8"]
)
def test_other_files_are_no_images(head: bytes) -> None:
    assert not is_image(head)
    assert image_problem(head)


def test_zips_are_known_empty_ones_too() -> None:
    assert is_zip(b"PK\x03\x04 and more")
    assert is_zip(b"PK\x05\x06" + b"\0" * 18)
    assert image_problem(b"PK\x03\x04") == "is a zip inside a zip"
