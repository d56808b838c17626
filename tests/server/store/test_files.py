"""What is kept is kept whole, under the digest of what it holds."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukolens.errors import Missing, ServerError, Unfit
from leukolens.server.store.files import Files

CONTENT = b"a field of a smear" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def everything(files: Files) -> list[Path]:
    return [path for path in files.folder.rglob("*") if path.is_file()]


def test_a_file_lies_under_its_digest_and_comes_back_as_it_was(files: Files) -> None:
    kept = files.put(BytesIO(CONTENT), len(CONTENT))
    assert (kept.sha256, kept.bytes) == (SHA256, len(CONTENT))
    assert files.path(SHA256) == files.folder / "images" / SHA256[:2] / SHA256
    with files.open(SHA256) as stream:
        assert stream.read() == CONTENT
    assert files.verify(SHA256) == kept
    assert list(files.all()) == [SHA256]


@settings(deadline=None, max_examples=25)
@given(content=st.binary(max_size=5000), chunk=st.integers(1, 700))
def test_whatever_it_holds_and_however_it_arrives(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, chunk: int
) -> None:
    class Slow(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(chunk, size or 0))

    files = Files(tmp_path_factory.mktemp("files"))
    kept = files.put(Slow(content), 5000)
    assert kept.sha256 == hashlib.sha256(content).hexdigest()
    assert files.path(kept.sha256).read_bytes() == content


def test_the_same_content_lies_there_once_and_heals_a_damaged_copy(files: Files) -> None:
    files.put(BytesIO(CONTENT), len(CONTENT))
    files.path(SHA256).write_bytes(b"damaged")
    files.put(BytesIO(CONTENT), len(CONTENT))
    assert everything(files) == [files.path(SHA256)]
    assert files.verify(SHA256).bytes == len(CONTENT)


def test_one_byte_over_the_limit_is_refused_and_leaves_nothing(files: Files) -> None:
    with pytest.raises(Unfit, match="more than"):
        files.put(BytesIO(CONTENT), len(CONTENT) - 1)
    assert everything(files) == []


def test_a_copy_is_whole_while_it_is_needed_and_gone_then(files: Files) -> None:
    with files.copied(BytesIO(CONTENT), len(CONTENT)) as (path, kept):
        assert (path.read_bytes(), kept.sha256) == (CONTENT, SHA256)
        assert everything(files) == [path]
    assert everything(files) == []
    with pytest.raises(Unfit, match="more than"), files.copied(BytesIO(CONTENT), len(CONTENT) - 1):
        pytest.fail("it was copied")
    with pytest.raises(KeyError), files.copied(BytesIO(CONTENT), len(CONTENT)):
        raise KeyError
    assert everything(files) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_says_so_and_leaves_nothing(
    files: Files, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("leukolens.server.store.files.os.fsync", full)
    with pytest.raises(ServerError, match=r"the disk of .* is full\. Free some space"):
        files.put(BytesIO(CONTENT), len(CONTENT))
    assert everything(files) == []


def test_a_device_that_really_is_full_says_so(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    opened = Path.open

    def to_full(self: Path, mode: str = "r") -> BinaryIO:
        opened(self, mode).close()
        return cast(BinaryIO, opened(Path("/dev/full"), "wb"))

    monkeypatch.setattr(Path, "open", to_full)
    with pytest.raises(ServerError, match="is full"):
        files.put(BytesIO(CONTENT), len(CONTENT))
    monkeypatch.undo()
    assert everything(files) == []


def test_another_failure_of_the_disk_is_told_with_its_reason(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("leukolens.server.store.files.os.fsync", broken)
    with pytest.raises(ServerError, match="Input/output error"):
        files.put(BytesIO(CONTENT), len(CONTENT))
    assert everything(files) == []


def test_a_sender_that_goes_away_leaves_nothing(files: Files) -> None:
    class Gone(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ConnectionResetError("gone")

    with pytest.raises(ServerError):
        files.put(Gone(), 10)
    assert everything(files) == []


def test_it_is_on_the_disk_before_it_has_its_name(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted(handle: int) -> None:
        happened.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def renamed(self: Path, target: Path) -> Path:
        happened.append("name")
        return replace(self, target)

    monkeypatch.setattr("leukolens.server.store.files.os.fsync", noted)
    monkeypatch.setattr(Path, "replace", renamed)
    files.put(BytesIO(CONTENT), len(CONTENT))
    assert happened == ["file", "folder", "name", "folder"]


def test_damage_is_found_on_reading(files: Files) -> None:
    files.put(BytesIO(CONTENT), len(CONTENT))
    files.path(SHA256).write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(ServerError, match="damaged") as refusal:
        files.verify(SHA256)
    assert not isinstance(refusal.value, Missing)


def test_what_is_not_there_is_missing(files: Files) -> None:
    with pytest.raises(Missing):
        files.open(SHA256)
    with pytest.raises(Missing):
        files.verify(SHA256)
    assert not files.has(SHA256)


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", SHA256.upper(), SHA256[:-1], SHA256 + "\n", f"{SHA256}/.."]
)
def test_no_name_but_a_digest_leads_anywhere(files: Files, name: str) -> None:
    for ask in (files.path, files.bundle, files.open, files.verify, files.remove, files.has):
        with pytest.raises(Missing):
            ask(name)


def test_bundles_lie_apart_from_images(files: Files, tmp_path: Path) -> None:
    mine = tmp_path / "mine.leukolens"
    mine.write_bytes(CONTENT)
    assert files.put_bundle(mine) == SHA256
    assert files.bundle(SHA256).read_bytes() == CONTENT
    assert (files.has(SHA256, "bundles"), files.has(SHA256)) == (True, False)
    with pytest.raises(ServerError, match="cannot be read"):
        files.put_bundle(tmp_path / "none")


def test_what_is_removed_is_gone_and_may_be_removed_again(files: Files) -> None:
    files.put(BytesIO(CONTENT), len(CONTENT))
    files.remove(SHA256)
    files.remove(SHA256)
    assert everything(files) == []


def test_nobody_else_of_the_machine_looks_into_it(tmp_path: Path) -> None:
    if os.name == "nt":
        pytest.skip("Windows has no such bits")
    files = Files(tmp_path / "new")
    assert stat.S_IMODE(files.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((files.folder / "images").stat().st_mode) == 0o700
