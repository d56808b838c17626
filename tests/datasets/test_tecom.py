from __future__ import annotations

import csv
import hashlib
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from leukolens.datasets.fetch import fetch
from leukolens.datasets.manifest import manifest
from leukolens.datasets.tecom import Tecom, labels_from_publisher
from leukolens.errors import DataError


@pytest.fixture
def tiny(tmp_path: Path) -> Tecom:
    (tmp_path / "images").mkdir()
    for name in ("112.bmp", "139.bmp", "003.bmp"):
        (tmp_path / "images" / name).touch()
    (tmp_path / "labels.csv").write_bytes(
        b"image,label\r\n112.bmp,Lymphocyte\r\n139.bmp,Lymphocyte\r\n003.bmp,Neutrophil\r\n"
    )
    return Tecom(tmp_path)


def test_labels_come_from_the_table_and_groups_from_the_manifest(tiny):
    first, second, third = tiny.samples()
    assert (first.path.name, first.label, first.lab) == ("003.bmp", "neutrophil", "tecom")
    assert (second.label, third.label) == ("lymphocyte", "lymphocyte")
    assert second.group == third.group == "tecom-300/images/112" != first.group
    assert tiny.mask(first.path) == tiny.root / "masks" / "003.png"


@pytest.mark.parametrize(
    "row", ["004.bmp,Neutrophil", "003.bmp,Blast", "003.bmp", ",", "../labels.csv,Neutrophil"]
)
def test_a_row_that_names_no_image_or_class_is_an_error(tiny, row):
    with (tiny.root / "labels.csv").open("a", encoding="utf-8") as stream:
        stream.write(f"{row}\n")
    with pytest.raises(DataError, match=r"labels\.csv"):
        tiny.samples()


def test_the_publishers_numbers_become_names():
    assert labels_from_publisher(b"image ID,class label\r\n1,2\r\n12,1\r\n291,5\r\n") == (
        b"image,label\r\n001.bmp,Lymphocyte\r\n012.bmp,Neutrophil\r\n291.bmp,Basophil\r\n"
    )


@pytest.mark.parametrize(
    "table",
    [b"", b"a,b\n1,2\n", b"image ID,class label\n1,9\n", b"image ID,class label\n1\n", b"\xff\xfe"],
)
def test_a_table_that_the_publisher_changed_is_recognised(table):
    with pytest.raises(DataError, match="table of labels has changed"):
        labels_from_publisher(table)


@pytest.mark.data
def test_the_publishers_table_gives_the_labels_of_the_manifest(data_root):
    tecom = Tecom(data_root / "tecom-300")
    assert Counter(sample.label for sample in tecom.samples()) == {
        "neutrophil": 176,
        "lymphocyte": 53,
        "monocyte": 48,
        "eosinophil": 22,
        "basophil": 1,
    }
    assert all(tecom.mask(sample.path).is_file() for sample in tecom.samples())
    numbers = {"neutrophil": 1, "lymphocyte": 2, "monocyte": 3, "eosinophil": 4, "basophil": 5}
    with (tecom.root / "labels.csv").open(encoding="utf-8", newline="") as stream:
        rows = [f"{int(row['image'][:3])},{numbers[row['label'].lower()]}" for row in csv.DictReader(stream)]
    made = labels_from_publisher("\r\n".join(["image ID,class label", *rows, ""]).encode())
    assert hashlib.sha256(made).hexdigest() == manifest("tecom-300")["labels.csv"].sha256


@pytest.mark.data
def test_the_set_is_made_from_an_archive_arranged_as_the_publishers(data_root, tmp_path):
    real, numbers = data_root / "tecom-300", {"N": 1, "L": 2, "M": 3, "E": 4, "B": 5}
    with (real / "labels.csv").open(encoding="utf-8", newline="") as stream:
        rows = [f"{int(row['image'][:3])},{numbers[row['label'][0]]}" for row in csv.DictReader(stream)]
    with zipfile.ZipFile(tmp_path / "master.zip", "w") as archive:
        for path in [*(real / "images").iterdir(), *(real / "masks").iterdir()]:
            archive.write(path, f"segmentation_WBC-master/Dataset 1/{path.name}")
            archive.writestr(f"segmentation_WBC-master/Dataset 2/{path.name}", b"another picture")
        table = "\r\n".join(["image ID,class label", *rows, ""])
        archive.writestr("segmentation_WBC-master/Class Labels of Dataset 1.csv", table)
    fetched = fetch(Tecom, tmp_path, tmp_path / "master.zip")
    assert fetched.left_out == ("LICENSE",)
    made = Tecom(tmp_path / "tecom-300").samples()
    assert [(one.path.name, one.label, one.group) for one in made] == [
        (one.path.name, one.label, one.group) for one in Tecom(real).samples()
    ]
