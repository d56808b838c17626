"""What the reading process says of a single cell whose place is known."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leukolens.imaging.decode import decode
from leukolens.imaging.framing import Box
from leukolens.report.page_pictures import CLOSE_CROP_SIDE
from leukolens.report.page_pictures import crop as cut
from leukolens.server.jobs.answers import ReadingFailedError
from leukolens.server.jobs.reading_client import ReadingClient
from leukolens.server.settings import MIB, Limits

MIDDLE = Box(100, 80, 150, 128)


@pytest.fixture(scope="module")
def real() -> Iterator[ReadingClient]:
    with ReadingClient(Limits(reading_bytes=3072 * MIB)) as client:
        yield client


def aperture() -> bytes:
    """A round field in black, as through an eyepiece."""
    rows, columns = np.mgrid[:240, :320]
    light = (columns - 160) ** 2 + (rows - 120) ** 2 < 110**2
    rgb = np.where(light[..., None], (225, 215, 220), 0).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("box", "at_edge"), [(MIDDLE, False), (Box(0, 80, 40, 120), True), (Box(270, 90, 320, 140), True)]
)
def test_a_cell_is_cut_out_as_the_others_are(
    real: ReadingClient, tmp_path: Path, smears: tuple[bytes, ...], box: Box, at_edge: bool
) -> None:
    path = tmp_path / "abcdef"
    path.write_bytes(smears[0])
    picture = real.cut_out(path, box)
    assert picture.jpeg == cut(decode(smears[0]), box, CLOSE_CROP_SIDE)
    assert picture.at_edge == at_edge


@pytest.mark.parametrize(("box", "at_edge"), [(Box(140, 100, 180, 140), False), (Box(90, 20, 130, 60), True)])
def test_black_inside_the_field_cuts_a_cell_too(
    real: ReadingClient, tmp_path: Path, box: Box, at_edge: bool
) -> None:
    path = tmp_path / "abcdef"
    path.write_bytes(aperture())
    assert real.cut_out(path, box).at_edge == at_edge


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "there is no such file"),
        (b"\xff\xd8\xff no JPEG", "its header makes no sense"),
        (b"", "the file is empty"),
    ],
)
def test_an_image_that_is_gone_or_no_image_is_told_of_in_words(
    real: ReadingClient, tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "abcdef"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ReadingFailedError, match=problem):
        real.cut_out(path, MIDDLE)


def test_cutting_out_keeps_to_the_same_limit_of_pixels(tmp_path: Path, smears: tuple[bytes, ...]) -> None:
    path = tmp_path / "abcdef"
    path.write_bytes(smears[0])
    with (
        ReadingClient(Limits(image_pixels=1000)) as client,
        pytest.raises(ReadingFailedError, match="1000 are the limit"),
    ):
        client.cut_out(path, MIDDLE)


def test_no_bundle_is_loaded_to_cut_a_cell_out(tmp_path: Path, smears: tuple[bytes, ...]) -> None:
    path = tmp_path / "abcdef"
    path.write_bytes(smears[0])
    code = (
        "import sys; import leukolens.reading.fields as fields; from leukolens.server.jobs import reading_process\n"
        "def load(*given): raise SystemExit('a bundle was loaded')\n"
        "fields.load = load\n"
        "sys.argv[1:] = ['--memory', str(2**32), '--pixels', '1000000', '--seconds', '60']\n"
        "reading_process.main()"
    )
    with ReadingClient(Limits(), (sys.executable, "-c", code)) as client:
        assert client.cut_out(path, MIDDLE).jpeg.startswith(b"\xff\xd8\xff")
        with pytest.raises(ReadingFailedError, match="ended the process"):
            client.read(path, tmp_path / "bundle")
