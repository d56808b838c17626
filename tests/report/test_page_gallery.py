"""The gallery shows each cell once, the unsure on top, and in each group the least certain first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leukolens.report.listing import listed
from leukolens.report.page_gallery import Cut, crop_side, gallery
from leukolens.report.page_pictures import CLOSE_CROP_SIDE, CROP_SIDE
from leukolens.report.sample import SampleReport

Parse = Callable[[str], Any]


def shown(smear: SampleReport, parsed: Parse, jpeg: bytes | None = b"jpeg") -> Any:
    return parsed("".join(gallery([Cut(item, jpeg) for item in listed(smear)])))


def test_unsure_come_first_and_what_was_not_counted_last(smear: SampleReport, parsed: Parse) -> None:
    groups = [group.attributes["data-group"] for group in shown(smear, parsed).all("section")]
    assert groups == ["unsure", "neutrophil", "lymphocyte", "monocyte", "at_edge", "not_leukocyte"]


def test_the_least_certain_come_first(smear: SampleReport, parsed: Parse) -> None:
    for group in shown(smear, parsed).all("section"):
        certainties = group.figures
        assert certainties == sorted(certainties)
    neutrophils = shown(smear, parsed).one(data_group="neutrophil").all("li")
    assert [crop.attributes["data-cell"] for crop in neutrophils] == [
        "6-1",
        "1-1",
        "6-2",
        "6-3",
        "6-4",
        "6-5",
    ]


def test_what_a_person_should_look_at_is_larger_and_says_why(smear: SampleReport, parsed: Parse) -> None:
    assert {crop_side(item) for item in listed(smear) if item.counted_as == "unsure"} == {CLOSE_CROP_SIDE}
    assert {crop_side(item) for item in listed(smear) if item.counted_as != "unsure"} == {CROP_SIDE}
    reasons = [node.text for node in shown(smear, parsed).all(class_="reason")]
    assert reasons == ["eosinophil, unknown, because", "basophil, review, because"]


def test_a_crop_leads_to_its_field(smear: SampleReport, parsed: Parse) -> None:
    crop = shown(smear, parsed).one("li", data_cell="2-2")
    assert crop.one("a").attributes["href"] == "#field-002-2"
    assert crop.one("img").attributes["alt"] == "Lymphocyte, field 2 cell 2"


def test_a_cell_without_a_picture_is_listed_all_the_same(smear: SampleReport, parsed: Parse) -> None:
    page = shown(smear, parsed, jpeg=None)
    assert len(page.all("li")) == len(page.all(class_="gone")) == 12
    assert not page.all("img")


def test_no_cell_says_so(parsed: Parse) -> None:
    assert parsed("".join(gallery([]))).text == "No white cell was found."
