"""Barcodes in photographs: read by the reading process as they were drawn, or refused in words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leukolens.server.jobs import reading_process
from leukolens.server.jobs.answers import Barcode, ReadingFailedError, barcode_of
from leukolens.server.jobs.reading_client import ReadingClient
from leukolens.server.settings import MIB, Limits

KINDS = ("Code128", "DataMatrix", "QRCode")
PIXELS = 10**7
Read = Callable[[bytes], Barcode]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Answers a question about a photograph as the process does, and understands the answer as the server does."""

    def reading(content: bytes) -> Barcode:
        (tmp_path / "abcdef").write_bytes(content)
        asked = {"show": "barcode", "image": str(tmp_path / "abcdef")}
        return barcode_of(json.dumps(reading_process._answer(asked, PIXELS)).encode())

    return reading


def as_jpeg(png: bytes, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    Image.open(BytesIO(png)).save(buffer := BytesIO(), "JPEG", quality=80, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turned", [0, 90, 180, 270, 8])
def test_a_barcode_is_read_upright_and_on_its_side(read: Read, label: Any, kind: str, turned: int) -> None:
    photograph = label((kind, "P-17/4711"), turned=turned)
    assert read(photograph) == Barcode("P-17/4711", hashlib.sha256(photograph).hexdigest())


@pytest.mark.parametrize("kind", ["DataMatrix", "QRCode"])
def test_a_square_one_is_read_however_it_lies(read: Read, label: Any, kind: str) -> None:
    for turned in range(5, 90, 17):
        assert read(label((kind, "P-17"), turned=turned)).text == "P-17"


def test_a_camera_s_photograph_is_read(read: Read, label: Any) -> None:
    assert read(as_jpeg(label(("DataMatrix", "P-17")), 6)).text == "P-17"


def test_letters_of_any_alphabet_are_read_and_spaces_around_them_left_out(read: Read, label: Any) -> None:
    assert read(label(("QRCode", "Ä-血"))).text == "Ä-血"
    assert read(label(("DataMatrix", "  P 17 \n"))).text == "P 17"


def test_the_same_text_in_several_barcodes_is_one(read: Read, label: Any) -> None:
    assert read(label(("Code128", "P-17"), ("QRCode", "P-17"), ("Code39", "P-17"))).text == "P-17"


def test_several_barcodes_that_differ_are_refused(read: Read, label: Any) -> None:
    for other in (("Code128", "P-18"), ("QRCode", "p-17"), ("Code39", "P-18"), ("ITF", "123456")):
        with pytest.raises(ReadingFailedError, match="several barcodes"):
            read(label(("Code128", "P-17"), other))


@pytest.mark.parametrize(("kind", "text"), [("Code39", "P-17"), ("ITF", "123456"), ("Codabar", "A12345B")])
def test_a_kind_whose_misreadings_go_unnoticed_is_refused(
    read: Read, label: Any, kind: str, text: str
) -> None:
    with pytest.raises(ReadingFailedError, match="neither Code 128, Data Matrix nor QR"):
        read(label((kind, text)))


def test_where_no_barcode_is_that_is_said(read: Read, label: Any) -> None:
    Image.new("L", (1, 1)).save(dot := BytesIO(), "PNG")
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    Image.fromarray(noise).save(snow := BytesIO(), "PNG")
    for photograph in (label(), dot.getvalue(), snow.getvalue()):
        with pytest.raises(ReadingFailedError, match="shows no barcode that can be read"):
            read(photograph)


def test_a_torn_barcode_is_none(read: Read, label: Any) -> None:
    whole = np.asarray(Image.open(BytesIO(label(("Code128", "P-17/4711"))))).copy()
    whole[:, 200:230] = 240
    Image.fromarray(whole).save(torn := BytesIO(), "PNG")
    with pytest.raises(ReadingFailedError, match=r"shows no barcode|neither Code 128"):
        read(torn.getvalue())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["P\x1d17", "P\n17", "P\x0017"], ids=ascii)
def test_control_characters_make_no_identifier(read: Read, label: Any, kind: str, text: str) -> None:
    with pytest.raises(ReadingFailedError, match="can be no identifier"):
        read(label((kind, text)))


@pytest.mark.parametrize("kind", ["DataMatrix", "QRCode"])
def test_an_identifier_has_its_longest(read: Read, label: Any, kind: str) -> None:
    assert read(label((kind, "x" * 200))).text == "x" * 200
    with pytest.raises(ReadingFailedError, match="can be no identifier"):
        read(label((kind, "x" * 201)))
    with pytest.raises(ReadingFailedError, match="can be no identifier"):
        read(label((kind, b"\xff\xfe\x00")))


def test_a_damaged_image_is_refused_in_the_decoder_s_words(read: Read, label: Any) -> None:
    whole = label(("QRCode", "P-17"))
    with pytest.raises(ReadingFailedError, match="truncated or damaged"):
        read(whole[: len(whole) // 2])
    with pytest.raises(ReadingFailedError, match="is no image"):
        read(b"P-17\n")
    assert read(whole).text == "P-17"


def test_more_pixels_than_the_server_allows_are_not_looked_at(
    read: Read, label: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.PIXELS", 1000)
    with pytest.raises(ReadingFailedError, match="1000 are the limit"):
        read(label(("QRCode", "P-17")))


def test_memory_that_is_not_there_is_told_of(read: Read, label: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("zxingcpp.read_barcodes", nowhere)
    with pytest.raises(ReadingFailedError, match="not enough memory to read it"):
        read(label(("QRCode", "P-17")))


def test_the_real_process_reads_within_its_limits_and_goes_on_after_a_bad_one(
    label: Any, tmp_path: Path
) -> None:
    photograph, bad = tmp_path / "a", tmp_path / "b"
    photograph.write_bytes(label(("DataMatrix", "P-17"), turned=90))
    bad.write_bytes(label())
    with ReadingClient(Limits(reading_bytes=3072 * MIB)) as client:
        for _ in range(2):
            assert client.barcode(photograph).text == "P-17"
        assert client.starts == 1
        with pytest.raises(ReadingFailedError, match="shows no barcode"):
            client.barcode(bad)
        assert client.barcode(photograph).image_sha256 == hashlib.sha256(photograph.read_bytes()).hexdigest()
