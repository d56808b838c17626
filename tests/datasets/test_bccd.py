from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from leukolens.datasets.bccd import Bccd
from leukolens.datasets.manifest import manifest
from leukolens.errors import DataError
from leukolens.imaging.framing import Box

ANNOTATION = """<annotation><size><width>640</width><height>480</height><depth>3</depth></size>
<object><name>WBC</name><bndbox><xmin>260</xmin><ymin>177</ymin><xmax>491</xmax><ymax>376</ymax></bndbox></object>
<object><name>Platelets</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>10</xmax><ymax>12</ymax></bndbox></object>
<object><name> RBC </name><bndbox><xmin>600</xmin><ymin>400</ymin><xmax>640</xmax><ymax>480</ymax></bndbox></object>
</annotation>"""


@pytest.fixture
def pretended(tmp_path: Path) -> Bccd:
    for name in manifest("bccd"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Bccd(tmp_path)


def test_a_sample_has_one_white_cell_of_known_subtype(pretended):
    samples = pretended.samples()
    assert len(pretended.photographs()) == 364
    assert len(samples) == len({sample.group for sample in samples}) == 341
    assert Counter(sample.label for sample in samples) == {
        "neutrophil": 202,
        "eosinophil": 84,
        "lymphocyte": 33,
        "monocyte": 20,
        "basophil": 2,
    }


def test_photographs_bear_the_keys_of_blood_cells(pretended):
    of_blood_cells = {entry.group for entry in manifest("blood-cells").values() if entry.group}
    used = [sample for sample in pretended.samples() if sample.group in of_blood_cells]
    assert all(f"/{sample.label.upper()}/" in sample.group for sample in used)
    assert {sample.lab for sample in pretended.samples()} == {"blood-cells"}
    listed = {entry.group for entry in manifest("bccd").values() if entry.group}
    assert {group for group in of_blood_cells if "absent" not in group} <= listed
    assert len([group for group in listed if group.startswith("blood-cells/TEST/")]) == 71


def test_nothing_of_the_train_split_shows_a_photograph_or_field_of_test(pretended):
    test = [entry for entry in manifest("blood-cells").values() if entry.name.startswith("images/TEST")]
    seen = {entry.group for entry in test} | {entry.field for entry in test if entry.field}
    for sample in pretended.samples("train"):
        assert sample.group not in seen
        assert sample.field not in seen
    for sample in pretended.samples("test"):
        assert sample.group in seen or sample.field in seen
    numbers = {int(sample.path.stem[-5:]) for sample in pretended.samples("test")}
    # TEST's own 110, and 276, 277, 230, 400 and 224, whose fields TEST shows in other photographs
    assert {110, 204, 276, 277, 257, 230, 377, 400, 264, 224} <= numbers


def test_boxes_are_half_open_and_count_from_zero(pretended):
    path = pretended.photographs()[0]
    (pretended.root / "Annotations" / f"{path.stem}.xml").write_text(ANNOTATION, encoding="utf-8")
    assert [(boxed.kind, boxed.box) for boxed in pretended.boxes(path)] == [
        ("white_cell", Box(259, 176, 491, 376)),
        ("platelet", Box(0, 0, 10, 12)),
        ("red_cell", Box(599, 399, 640, 480)),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<annotation><object>",
        ANNOTATION.replace("<name>WBC</name>", ""),
        ANNOTATION.replace("WBC", "dust"),
        ANNOTATION.replace("<xmin>260</xmin>", "<xmin>many</xmin>"),
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><annotation><object><name>&x;</name></object></annotation>',
    ],
)
def test_an_annotation_that_cannot_be_read_is_named(pretended, text):
    path = pretended.photographs()[0]
    (pretended.root / "Annotations" / f"{path.stem}.xml").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=rf"{path.stem}\.xml cannot be read as a Pascal VOC annotation"):
        pretended.boxes(path)


def test_a_photograph_that_is_not_listed_is_an_error(pretended):
    (pretended.root / "JPEGImages" / "BloodImage_00999.jpg").touch()
    with pytest.raises(DataError, match=r"BloodImage_00999\.jpg is not a photograph of bccd"):
        pretended.samples()


@pytest.mark.data
def test_the_real_boxes_are_as_many_as_published(data_root):
    bccd = Bccd(data_root / "bccd")
    counts = Counter(boxed.kind for path in bccd.photographs() for boxed in bccd.boxes(path))
    assert counts == {"white_cell": 372, "red_cell": 4155, "platelet": 361}
    for sample in bccd.samples():
        assert sum(boxed.kind == "white_cell" for boxed in bccd.boxes(sample.path)) == 1


@pytest.mark.data
def test_the_real_subtypes_are_those_of_the_table(data_root):
    import csv

    with (data_root / "blood-cells" / "labels.csv").open(encoding="utf-8-sig", newline="") as stream:
        table = {int(row["Image"]): row["Category"].lower() for row in csv.DictReader(stream)}
    for sample in Bccd(data_root / "bccd").samples():
        assert table[int(sample.path.stem[-5:])] == sample.label
