from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from leukolens.datasets.base import CellDataset, Publication, Sample, data_root, images_in
from leukolens.errors import DataError


class Pair(CellDataset):
    name = "pair"
    lab = "nowhere"
    classes = ("monocyte",)
    splits = ("train", "test")
    landmarks = ("cells",)
    publication = Publication("Pair", "nowhere", "MIT", permissive=True)

    def _read(self) -> Iterator[Sample]:
        for path in reversed(images_in(self.root / "cells")):
            yield Sample(path, "monocyte", self.lab, path.parent.name, f"pair/{path.stem}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        "train/2.png",
        "train/1.JPG",
        "test/3.png",
        "test/notes.txt",
        ".hidden/4.png",
        "test/.5.png",
    ):
        path = tmp_path / "cells" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_samples_are_sorted_by_path_and_chosen_by_split(root):
    pair = Pair(root)
    assert [sample.path.name for sample in pair.samples()] == ["3.png", "1.JPG", "2.png"]
    assert [sample.path.name for sample in pair.samples("train")] == ["1.JPG", "2.png"]
    assert pair.samples("train", "test") == pair.samples()


def test_a_photograph_that_shares_its_field_with_none_is_its_own_field():
    assert Sample(Path("a"), "monocyte", "x", "all", "x/1").field == "x/1"
    assert Sample(Path("a"), "monocyte", "x", "all", "x/1", "x/0").field == "x/0"


def test_an_unknown_split_is_named(root):
    with pytest.raises(DataError, match=r"no split 'validation'.*train, test"):
        Pair(root).samples("validation")


def test_a_folder_that_is_not_there_says_how_to_get_it(tmp_path):
    with pytest.raises(DataError, match="leukolens data get pair"):
        Pair(tmp_path / "absent")


def test_a_folder_of_something_else_is_recognised(tmp_path):
    with pytest.raises(DataError, match="does not hold pair: no cells in it"):
        Pair(tmp_path)


def test_a_set_without_images_is_an_error(tmp_path):
    (tmp_path / "cells").mkdir()
    with pytest.raises(DataError, match="holds no image of pair"):
        Pair(tmp_path).samples()


def test_the_data_root_is_the_argument_then_the_environment_then_data(monkeypatch):
    monkeypatch.setenv("LEUKOLENS_DATA", "elsewhere")
    assert data_root(Path("here")) == Path("here")
    assert data_root() == Path("elsewhere")
    monkeypatch.delenv("LEUKOLENS_DATA")
    assert data_root() == Path("data")
