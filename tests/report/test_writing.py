"""A report's file is there whole or not at all, and trouble in writing it is told in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leukolens.errors import ReportError
from leukolens.report.writing import whole_file


def test_what_is_written_comes_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with whole_file(path) as stream:
        stream.write("one\r\n")
        stream.write("血\n")
    assert path.read_bytes() == b"one\r\n\xe8\xa1\x80\n"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_stands_under_the_name_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with whole_file(path) as stream:
        stream.write("half")
        stream.flush()
        assert not path.exists()
    assert path.read_text() == "half"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError, ReportError])
def test_an_interrupted_file_leaves_the_old_one(kind: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    trouble = kind("a", "b")

    def interrupted() -> None:
        with whole_file(path) as stream:
            stream.write("new")
            raise trouble

    with pytest.raises(kind) as caught:
        interrupted()
    assert caught.value is trouble
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    full = OSError(28, os.strerror(28))

    def filling() -> None:
        with whole_file(tmp_path / "a.txt") as stream:
            stream.write("new")
            raise full

    with pytest.raises(ReportError, match=r"a\.txt cannot be written \(No space left"):
        filling()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_disk_that_fills_as_the_file_is_closed_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *rest, **more: real(Path("/dev/full"), *rest, **more))

    def filling() -> None:
        with whole_file(tmp_path / "a.txt") as stream:
            stream.write("small enough to wait in the buffer")

    with pytest.raises(ReportError, match=r"a\.txt cannot be written \(No space left"):
        filling()
    assert list(tmp_path.iterdir()) == []


def test_another_files_trouble_is_not_called_ours(tmp_path: Path) -> None:
    def reading() -> None:
        with whole_file(tmp_path / "a.txt"):
            (tmp_path / "not there").read_bytes()

    with pytest.raises(FileNotFoundError, match="not there"):
        reading()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["nowhere/a.txt", "file/a.txt", "n" * 300 + ".txt"])
def test_a_place_that_cannot_be_says_so(where: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ReportError, match=r"\.txt cannot be written"), whole_file(tmp_path / where):
        pass


def test_a_folder_in_the_way_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(ReportError, match=r"a\.txt cannot be written"), whole_file(tmp_path / "a.txt"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
