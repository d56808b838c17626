"""Folders mean their images, sorted, each once, whatever else lies or links there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from leukolens.cli.paths import find_images
from leukolens.errors import LeukolensError

SUFFIXES = frozenset({".png", ".jpg"})


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(*paths: Path, recursive: bool = False) -> list[Path]:
    return [Path(image) for image in find_images(list(paths), SUFFIXES, recursive=recursive).images]


def linked(link: Path, target: Path) -> None:
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("no symbolic links here")


def test_a_folder_means_its_images_sorted(tmp_path: Path) -> None:
    touched(tmp_path, "b.png", "a.PNG", "c.jpg", "notes.txt", ".hidden.png", "noextension")
    assert found(tmp_path) == [tmp_path / "a.PNG", tmp_path / "b.png", tmp_path / "c.jpg"]


def test_files_are_taken_as_they_are_in_their_order(tmp_path: Path) -> None:
    touched(tmp_path / "folder", "z.png")
    paths = [tmp_path / "missing.png", tmp_path / "folder", tmp_path / "notes.txt"]
    assert found(*paths) == [paths[0], tmp_path / "folder" / "z.png", paths[2]]


def test_folders_of_folders_only_when_asked(tmp_path: Path) -> None:
    touched(tmp_path, "top.png", "b/2.png", "b/deep/3.png", "a/1.png", ".git/no.png")
    assert found(tmp_path) == [tmp_path / "top.png"]
    names = ["top.png", "a/1.png", "b/2.png", "b/deep/3.png"]
    assert found(tmp_path, recursive=True) == [tmp_path / name for name in names]


def test_an_empty_folder_is_an_error_that_helps(tmp_path: Path) -> None:
    touched(tmp_path, "notes.txt", "deeper/a.png")
    with pytest.raises(LeukolensError, match="--recursive"):
        found(tmp_path)
    (tmp_path / "bare").mkdir()
    with pytest.raises(LeukolensError, match="holds no image") as caught:
        found(tmp_path / "bare", recursive=True)
    assert "--recursive" not in str(caught.value)


def test_links_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    touched(tmp_path, "a.png", "deep/b.png")
    linked(tmp_path / "deep" / "up", tmp_path)
    linked(tmp_path / "deep" / "self", tmp_path / "deep")
    assert found(tmp_path, recursive=True) == [tmp_path / "a.png", tmp_path / "deep" / "b.png"]


def test_a_link_to_itself_or_to_nowhere_is_left_to_the_reader(tmp_path: Path) -> None:
    linked(tmp_path / "loop.png", tmp_path / "loop.png")
    linked(tmp_path / "gone.png", tmp_path / "nothing.png")
    assert found(tmp_path) == [tmp_path / "gone.png", tmp_path / "loop.png"]
    assert found(tmp_path / "loop.png") == [tmp_path / "loop.png"]


def test_a_linked_folder_is_followed(tmp_path: Path) -> None:
    touched(tmp_path / "elsewhere", "a.png")
    (tmp_path / "here").mkdir()
    linked(tmp_path / "here" / "link", tmp_path / "elsewhere")
    assert found(tmp_path / "here", recursive=True) == [tmp_path / "here" / "link" / "a.png"]


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched(tmp_path, "a.png", "locked/b.png", "open/c.png")
    listing = os.scandir

    def guarded(path: str) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", path)
        return listing(path)

    monkeypatch.setattr(os, "scandir", guarded)
    result = find_images([tmp_path], SUFFIXES, recursive=True)
    assert [Path(image).name for image in result.images] == ["a.png", "c.png"]
    assert result.unreadable == [(str(tmp_path / "locked"), "Permission denied")]
    with pytest.raises(LeukolensError, match="cannot be listed"):
        find_images([tmp_path / "locked"], SUFFIXES)


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_names_of_any_bytes(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.png")).touch()
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    touched(tmp_path, "血.png", "new\nline.png")
    assert {os.fsencode(path.name) for path in found(tmp_path)} == {
        b"caf\xe9.png",
        "血.png".encode(),
        b"new\nline.png",
    }


def test_a_huge_folder_is_listed_quickly(tmp_path: Path) -> None:
    for number in range(5_000):
        os.close(os.open(tmp_path / f"{number:05d}.png", os.O_CREAT))
    started = time.process_time()
    images = found(tmp_path)
    assert time.process_time() - started < 1
    assert len(images) == 5_000
    assert images == sorted(images)
