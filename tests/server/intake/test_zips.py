from __future__ import annotations

import stat
import struct
import zipfile
from dataclasses import replace
from io import BytesIO

import pytest

from leukolens.errors import Unfit
from leukolens.server.intake.zips import Entry, entries
from leukolens.server.settings import MIB, Limits

LIMITS = Limits(files=20, image_bytes=MIB, unpacked_bytes=3 * MIB)


def packed(*members: tuple[str | zipfile.ZipInfo, bytes], how: int = zipfile.ZIP_DEFLATED) -> BytesIO:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, content in members:
            archive.writestr(name, content, compress_type=how)
    return buffer


def opened(archive: BytesIO, limits: Limits = LIMITS) -> dict[str, bytes | str]:
    """Each entry's bytes, or why there are none."""
    found: dict[str, bytes | str] = {}
    for entry in entries(archive, limits):
        found[entry.name] = _bytes_or_problem(entry)
    return found


def _bytes_or_problem(entry: Entry) -> bytes | str:
    if entry.stream is None:
        return entry.problem or ""
    try:
        return entry.stream.read()
    except Unfit as error:
        return error.problem


def test_files_come_in_order_and_whole_from_any_folder_of_the_zip() -> None:
    content = bytes(range(256)) * 100
    archive = packed(("b/deep/2.png", content), ("1.png", b"one"), ("b/", b""))
    assert list(opened(archive).items()) == [("b/deep/2.png", content), ("1.png", b"one")]


def test_hidden_files_and_what_macs_add_are_passed_over() -> None:
    archive = packed(("__MACOSX/._1.png", b"x"), (".DS_Store", b"x"), ("a/.b/1.png", b"x"), ("1.png", b"one"))
    assert opened(archive) == {"1.png": b"one"}


@pytest.mark.parametrize(
    "name",
    ["../1.png", "a/../../1.png", "/etc/passwd", "C:/1.png", "..\\1.png", "C:\\1.png", "\\\\host\\1.png"],
)
def test_names_that_lead_elsewhere_are_refused_and_the_rest_is_not(name: str) -> None:
    found = opened(packed((name, b"x"), ("1.png", b"one")))
    assert found.pop("1.png") == b"one"
    assert list(found.values()) == ["has a name that leads out of the zip"]


def test_links_are_refused() -> None:
    link = zipfile.ZipInfo("1.png")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    assert opened(packed((link, b"/etc/passwd"))) == {"1.png": "is a link or another thing that is no file"}


def test_encrypted_files_are_refused() -> None:
    archive = packed(("1.png", b"one"))
    raw = bytearray(archive.getvalue())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    assert opened(BytesIO(raw)) == {"1.png": "is encrypted"}


def test_packings_that_could_take_much_memory_are_refused() -> None:
    archive = packed(("1.png", b"one" * 100), how=zipfile.ZIP_LZMA)
    assert "only deflate is" in str(opened(archive)["1.png"])


def test_a_bomb_is_stopped_long_before_it_is_whole() -> None:
    limits = replace(LIMITS, image_bytes=64 * MIB, unpacked_bytes=64 * MIB)
    archive = packed(("bomb.bmp", b"\0" * (40 * MIB)), ("1.png", b"one"))
    assert opened(archive, limits) == {
        "bomb.bmp": "unpacks to far more than an image would",
        "1.png": b"one",
    }


def test_files_larger_than_an_image_may_be_are_refused() -> None:
    archive = packed(("1.png", b"\1" * (MIB + 1)), ("2.png", b"two"))
    assert opened(archive) == {"1.png": "has more than 1 MiB", "2.png": b"two"}


def test_what_comes_after_all_that_a_zip_may_hold_is_refused() -> None:
    archive = packed(*((f"{n}.png", bytes([n]) * MIB) for n in range(5)))
    found = opened(archive)
    assert [len(found[f"{n}.png"]) for n in range(3)] == [MIB, MIB, MIB]
    assert "all that one zip may hold" in str(found["3.png"])
    assert "all that one zip may hold" in str(found["4.png"])


def _with_size(size: int) -> BytesIO:
    """A zip whose list of contents says that its file of 1000 bytes has another size."""
    raw = bytearray(packed(("1.png", b"\2" * 1000), ("2.png", b"two")).getvalue())
    struct.pack_into("<I", raw, raw.index(b"PK\x01\x02") + 24, size)
    return BytesIO(raw)


@pytest.mark.parametrize("size", [10, 2000])
def test_lies_about_a_size_are_found_out(size: int) -> None:
    found = opened(_with_size(size))
    assert "is damaged" in str(found["1.png"])
    assert found["2.png"] == b"two"


def test_damaged_bytes_are_found_out() -> None:
    raw = bytearray(packed(("1.png", bytes(range(256))), how=zipfile.ZIP_STORED).getvalue())
    raw[60] ^= 1
    assert opened(BytesIO(raw)) == {"1.png": "is damaged"}


def test_files_that_lie_over_each_other_are_refused() -> None:
    raw = packed(("1.png", bytes(range(256)) * 8), how=zipfile.ZIP_STORED).getvalue()
    start, end = raw.index(b"PK\x01\x02"), raw.index(b"PK\x05\x06")
    again = raw[:start] + raw[start:end] * 3 + bytearray(raw[end:])
    twice = bytearray(again)
    at = twice.index(b"PK\x05\x06")
    struct.pack_into("<HHI", twice, at + 8, 3, 3, 3 * (end - start))
    with pytest.raises(Unfit, match="lie over each other"):
        opened(BytesIO(twice))


def test_a_zip_of_too_many_files_is_refused() -> None:
    with pytest.raises(Unfit, match="more than 20 files"):
        opened(packed(*((f"{n}.png", b"x") for n in range(21))))


def test_a_list_of_contents_that_is_too_long_is_never_held() -> None:
    raw = packed(("1.png", b"one")).getvalue()
    at = raw.index(b"PK\x05\x06")
    swollen = bytearray(raw[:at] + b"\0" * (6 * MIB) + raw[at:])
    at = swollen.rindex(b"PK\x05\x06")
    struct.pack_into("<I", swollen, at + 12, 6 * MIB)
    with pytest.raises(Unfit, match="no zip that can be read"):
        opened(BytesIO(swollen))


@pytest.mark.parametrize("raw", [b"PK\x03\x04", b"PK\x03\x04" + b"\0" * 100, b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_zip_after_all_is_refused(raw: bytes) -> None:
    with pytest.raises(Unfit):
        opened(BytesIO(raw))
