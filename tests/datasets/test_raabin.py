from __future__ import annotations

from collections import Counter

import pytest

from leukolens.datasets.manifest import manifest
from leukolens.datasets.raabin import Raabin
from leukolens.errors import DataError
from leukolens.imaging.framing import Box

BOXES = """image,object,xmin,ymin,xmax,ymax
Monocyte/95-8-10-1_1000_1.jpg,WBC,10.4,20.0,300.6,400.0
Monocyte/95-8-10-1_1000_1.jpg,Platelet,1.0,2.0,3.0,4.0
Basophil/20190526_163446_1.jpg,RBC,341.0,451.0,513.0,574.0
"""


@pytest.fixture
def pretended(tmp_path):
    for name in manifest("raabin-500"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "boxes.csv").write_text(BOXES, encoding="utf-8")
    return Raabin(tmp_path)


def test_a_hundred_of_each_class(pretended):
    assert Counter(sample.label for sample in pretended.samples()) == dict.fromkeys(pretended.classes, 100)


def test_crops_of_one_photograph_and_photographs_of_one_cell_share_a_group(pretended):
    group_of = {sample.path.stem: sample.group for sample in pretended.samples()}
    assert group_of["95-5-4-1_113_1"] == group_of["95-5-4-1_113_2"]
    assert group_of["95-5-4-1_130_2"] == group_of["95-5-5-1_144_2"]
    assert group_of["95-8-3-1_160_1"] == group_of["95-8-3-1_97_1"] != group_of["95-8-3-1_101_1"]


def test_boxes_are_looked_up_by_image_and_rounded(pretended):
    path = pretended.root / "Monocyte" / "95-8-10-1_1000_1.jpg"
    assert [(boxed.kind, boxed.box) for boxed in pretended.boxes(path)] == [
        ("white_cell", Box(10, 20, 301, 400)),
        ("platelet", Box(1, 2, 3, 4)),
    ]
    assert pretended.boxes(pretended.root / "Monocyte" / "95-8-10-1_1035_1.jpg") == ()


@pytest.mark.parametrize(
    "text", ["image,object\na,WBC\n", BOXES + "a.jpg,dust,1,2,3,4\n", BOXES + "a.jpg,WBC,x,2,3,4\n"]
)
def test_a_table_of_boxes_that_cannot_be_read_is_named(pretended, text):
    (pretended.root / "boxes.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"boxes\.csv cannot be read"):
        pretended.boxes(pretended.root / "Monocyte" / "95-8-10-1_1000_1.jpg")


@pytest.mark.data
def test_all_but_two_real_images_have_a_boxed_white_cell(data_root):
    raabin = Raabin(data_root / "raabin-500")
    without = []
    for sample in raabin.samples():
        boxes = raabin.boxes(sample.path)
        assert all(0 <= of.box.x0 < of.box.x1 <= 575 and 0 <= of.box.y0 < of.box.y1 <= 575 for of in boxes)
        if not any(boxed.kind == "white_cell" for boxed in boxes):
            without.append(sample.path.name)
    assert without == ["20190531_112511_0.jpg", "20190531_115100_0.jpg"]
