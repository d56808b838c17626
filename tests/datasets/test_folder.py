from __future__ import annotations

from pathlib import Path

import pytest

from leukolens.datasets.folder import Folder
from leukolens.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "our-lab"
    for name in (
        "NEUT/a.png",
        "NEUT/deep/b.tif",
        "lymphocyte/a.png",
        "Erythroblast/c.JPG",
        ".git/d.png",
        "NEUT/e.txt",
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_each_image_is_its_own_group_and_the_lab_is_the_folders_name(root):
    folder = Folder(root)
    assert [
        (sample.path.relative_to(root).as_posix(), sample.label, sample.group) for sample in folder.samples()
    ] == [
        ("Erythroblast/c.JPG", "other", "our-lab/Erythroblast/c"),
        ("NEUT/a.png", "neutrophil", "our-lab/NEUT/a"),
        ("NEUT/deep/b.tif", "neutrophil", "our-lab/NEUT/deep/b"),
        ("lymphocyte/a.png", "lymphocyte", "our-lab/lymphocyte/a"),
    ]
    assert folder.classes == ("neutrophil", "lymphocyte", "other")
    assert {sample.lab for sample in Folder(root, "st-mary").samples()} == {"st-mary"}


def test_a_table_of_groups_joins_images(root):
    (root / "groups.csv").write_text(
        "image,group\nNEUT/a.png,slide 1\nNEUT/deep/b.tif,slide 2\n"
        "lymphocyte/a.png,slide 1\nErythroblast/c.JPG,slide 2\n",
        encoding="utf-8-sig",
    )
    groups = {sample.path.name: sample.group for sample in Folder(root).samples()}
    assert groups == {"a.png": "our-lab/slide 1", "b.tif": "our-lab/slide 2", "c.JPG": "our-lab/slide 2"}


def test_an_image_that_the_table_of_groups_forgot_is_an_error(root):
    (root / "groups.csv").write_text("image,group\nNEUT/a.png,slide 1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"groups\.csv does not list"):
        Folder(root).samples()


def test_what_was_said_while_no_answer_was_shown_stands_beside_the_groups(root):
    table = (
        "image,group,blind\nNEUT/a.png,1,NEUT\nNEUT/deep/b.tif,2,\nlymphocyte/a.png,1,monocyte\n"
        "Erythroblast/c.JPG,2\n"
    )
    (root / "groups.csv").write_text(table, "utf-8")
    folder = Folder(root)
    assert folder.blind() == {
        f"{root.as_posix()}/NEUT/a.png": "neutrophil", f"{root.as_posix()}/lymphocyte/a.png": "monocyte",
    }  # fmt: skip
    assert {sample.path.as_posix() for sample in folder.samples()} >= folder.blind().keys()
    (root / "groups.csv").write_text(table.replace(",1,monocyte", ",1,nomocyte"), "utf-8")
    with pytest.raises(DataError, match=r"lymphocyte/a\.png was called nomocyte, which names no cell class"):
        folder.blind()


def test_without_such_a_column_nothing_was_said_so(root):
    assert Folder(root).blind() == {}
    (root / "groups.csv").write_text("image,group\nNEUT/a.png,slide 1\n", "utf-8")
    assert Folder(root).blind() == {}


@pytest.mark.parametrize(
    "content", [b"file,cluster\nNEUT/a.png,1\n", "image,group\nNEUT/ä.png,1\n".encode("latin-1")]
)
def test_a_table_of_groups_that_cannot_be_read_is_named(root, content):
    (root / "groups.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"groups\.csv cannot be read"):
        Folder(root).samples()


def test_folders_that_name_no_class_are_named(root):
    (root / "blasts").mkdir()
    (root / "misc").mkdir()
    with pytest.raises(DataError, match=r"blasts, misc names no cell class.*neutrophil"):
        Folder(root)


def test_a_folder_without_class_folders_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no class folder"):
        Folder(tmp_path)
    with pytest.raises(DataError, match="is no folder"):
        Folder(tmp_path / "absent")
