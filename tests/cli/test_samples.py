"""Which paths form which sample."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leukolens.cli.samples import Sample, file_name, find_samples
from leukolens.errors import LeukolensError

SUFFIXES = frozenset({".png", ".jpg"})


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def names(samples: list[Sample]) -> dict[str, list[str]]:
    return {sample.name: [Path(image).name for image in sample.images] for sample in samples}


def test_a_folder_is_a_sample_of_its_name(tmp_path: Path) -> None:
    fill(tmp_path / "smear 1", "b.png", "a.JPG", "notes.txt", ".hidden.png")
    fill(tmp_path / "smear 2", "c.png")
    found = find_samples([tmp_path / "smear 2", tmp_path / "smear 1"], SUFFIXES)
    assert names(found) == {"smear 2": ["c.png"], "smear 1": ["a.JPG", "b.png"]}


def test_loose_files_are_one_sample_in_the_place_of_the_first(tmp_path: Path) -> None:
    fill(tmp_path / "smear", "c.png")
    paths = [tmp_path / "smear", tmp_path / "b.png", tmp_path / "a.png"]
    assert names(find_samples(paths, SUFFIXES)) == {"smear": ["c.png"], "sample": ["b.png", "a.png"]}
    assert names(find_samples(paths, SUFFIXES, name="mine"))["mine"] == ["b.png", "a.png"]


def test_a_name_is_for_one_sample(tmp_path: Path) -> None:
    one, two = fill(tmp_path / "a", "1.png"), fill(tmp_path / "b", "1.png")
    assert names(find_samples([one], SUFFIXES, name="mine")) == {"mine": ["1.png"]}
    with pytest.raises(LeukolensError, match="'mine' is for one sample, and here are 2"):
        find_samples([one, two], SUFFIXES, name="mine")


def test_a_folder_of_folders_is_a_folder_of_samples(tmp_path: Path) -> None:
    for sample in ("b", "a"):
        fill(tmp_path / sample, "1.png")
    fill(tmp_path / "without", "notes.txt")
    fill(tmp_path, "notes.txt")
    assert names(find_samples([tmp_path], SUFFIXES)) == {"a": ["1.png"], "b": ["1.png"]}


def test_with_images_of_its_own_it_is_one_sample(tmp_path: Path) -> None:
    fill(tmp_path / "smear", "1.png")
    fill(tmp_path / "smear" / "more", "2.png")
    assert names(find_samples([tmp_path / "smear"], SUFFIXES)) == {"smear": ["1.png"]}
    found = find_samples([tmp_path / "smear"], SUFFIXES, recursive=True)
    assert names(found) == {"smear": ["1.png", "2.png"]}


def test_deeper_folders_need_to_be_asked_for(tmp_path: Path) -> None:
    fill(tmp_path / "day" / "patient" / "slide", "1.png")
    with pytest.raises(LeukolensError, match=r"day holds no image .* --recursive"):
        find_samples([tmp_path / "day"], SUFFIXES)
    assert names(find_samples([tmp_path / "day"], SUFFIXES, recursive=True)) == {"patient": ["1.png"]}


@pytest.mark.parametrize("recursive", [False, True])
def test_an_empty_folder_is_told_so(tmp_path: Path, recursive: bool) -> None:
    (tmp_path / "empty" / "emptier").mkdir(parents=True)
    with pytest.raises(LeukolensError, match="empty holds no image"):
        find_samples([tmp_path / "empty"], SUFFIXES, recursive=recursive)


def test_samples_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [
        fill(tmp_path / parent / name, "1.png")
        for parent, name in (("x", "a"), ("y", "a"), ("x", "a-2"), ("z", "A"))
    ]
    found = find_samples(folders, SUFFIXES)
    assert [sample.name for sample in found] == ["a", "a-2", "a-2-2", "A-3"]
    assert [sample.name for sample in find_samples(folders[:1], SUFFIXES, taken=["a"])] == ["a-2"]


def test_a_file_or_folder_named_twice_counts_once(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a", "1.png", "2.png")
    again = folder / ".." / "a"
    assert names(find_samples([folder, again], SUFFIXES)) == {"a": ["1.png", "2.png"]}
    loose = [folder / "2.png", folder / "1.png", again / "2.png"]
    assert names(find_samples(loose, SUFFIXES)) == {"sample": ["2.png", "1.png"]}


def test_here_and_above_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "smear", "1.png")
    (tmp_path / "smear" / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "smear")
    assert names(find_samples([Path()], SUFFIXES)) == {"smear": ["1.png"]}
    monkeypatch.chdir(tmp_path / "smear" / "empty")
    assert names(find_samples([Path("..")], SUFFIXES)) == {"smear": ["1.png"]}


def test_a_folder_that_may_not_be_listed_stays_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "a", "1.png")
    locked = fill(tmp_path / "b", "1.png")
    scandir = os.scandir

    def refusing(folder: Path) -> object:
        if Path(folder) == locked:
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)  # root may list every folder
    found = find_samples([tmp_path], SUFFIXES)
    assert [(sample.name, len(sample), sample.unreadable) for sample in found] == [
        ("a", 1, ()),
        ("b", 1, ((str(locked), "Permission denied"),)),
    ]
    with pytest.raises(LeukolensError, match=r"b cannot be listed \(Permission denied\)"):
        find_samples([locked], SUFFIXES)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("smear 1", "smear 1"),
        ("血液 é", "血液 é"),
        ("two\nlines\ttab", "two_lines_tab"),
        ('a/b\\c:d*e?f"g<h>i|j', "a_b_c_d_e_f_g_h_i_j"),
        ("..", "sample"),
        ("", "sample"),
        (" .hidden. ", "hidden"),
        ("nul", "nul_"),
        ("COM1.txt", "COM1.txt_"),
        ("console", "console"),
        ("broken \udcff byte", "broken _ byte"),
        ("\u202egnp", "_gnp"),
    ],
)
def test_a_sample_s_name_is_a_file_name_anywhere(text: str, name: str) -> None:
    assert file_name(text) == name


def test_a_long_name_is_cut_between_letters() -> None:
    assert file_name("é" * 200) == "é" * 60
    assert len(file_name("血" * 200).encode()) <= 120
