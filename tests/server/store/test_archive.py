"""A backup that is damaged is said to be; what goes wrong besides is not taken for damage."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from leukolens.errors import ServerError
from leukolens.server.store import archive


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A backup with one file in it."""
    path = tmp_path / "backup"
    file = archive.File(kind="images", sha256="a" * 64, bytes=7)
    with archive.writing(path) as writer:
        with writer.member(file.member, packed=False) as stream:
            stream.write(b"a field")
        manifest = archive.Manifest(
            leukolens="1", made="2026-01-01", revision="0001", trail_hash="0" * 64, tables=(), files=(file,), lost=()
        )  # fmt: skip
        writer.close(manifest)
    return path


@pytest.mark.parametrize(
    "error", [KeyError("x"), ValueError("x"), RuntimeError("x"), OSError("x"), EOFError()]
)
def test_an_error_of_whoever_reads_it_stays_what_it_is(made: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as told, archive.reading(made):
        raise error
    assert told.value is error


def test_an_error_of_this_server_stays_too(made: Path) -> None:
    with pytest.raises(ServerError, match="not empty"), archive.reading(made):
        raise ServerError("the database is not empty", "Name another")


def test_a_member_is_read_as_it_was_written(made: Path) -> None:
    with archive.reading(made) as (source, manifest), source.open(manifest.files[0].member) as stream:
        assert (stream.read(3), stream.read()) == (b"a f", b"ield")


def marked(path: Path, *, flags: int, packing: int) -> None:
    """Sets flags and packing of every member, in both places where a zip says them."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as whole:
        starts = [entry.header_offset for entry in whole.infolist()]
        listed = whole.start_dir
    for at in starts:
        content[at + 6], content[at + 8] = content[at + 6] | flags, packing or content[at + 8]
    while content[listed : listed + 4] == b"PK\x01\x02":
        content[listed + 8] |= flags
        content[listed + 10] = packing or content[listed + 10]
        lengths = (int.from_bytes(content[listed + at : listed + at + 2], "little") for at in (28, 30, 32))
        listed += 46 + sum(lengths)
    path.write_bytes(content)


@pytest.mark.parametrize(("flags", "packing"), [(1, 0), (0, 97)], ids=["encrypted", "packed in another way"])
def test_a_zip_that_cannot_be_unpacked_is_no_backup(made: Path, flags: int, packing: int) -> None:
    marked(made, flags=flags, packing=packing)
    with pytest.raises(ServerError, match="damaged, or no backup"), archive.reading(made):
        raise AssertionError("it was read")


def read(path: Path, member: str = "files/images/" + "a" * 64) -> bytes:
    with archive.reading(path) as (source, _), source.open(member) as stream:
        return stream.read()


def test_damage_that_is_met_later_is_told_alike(made: Path) -> None:
    assert read(made) == b"a field"
    made.write_bytes(made.read_bytes().replace(b"a field", b"a lield"))
    with pytest.raises(ServerError, match="damaged"):
        read(made)
    with pytest.raises(ServerError, match="damaged"):
        read(made, "files/images/none")
    with pytest.raises(ServerError, match="cannot be read"):
        read(made.with_name("none"))
