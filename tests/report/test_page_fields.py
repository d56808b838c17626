"""A field shows each cell's box where it is, in the colour and line of what was decided about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from leukolens.report.listing import listed_in
from leukolens.report.page_fields import failed_fields, field_figure, field_index
from leukolens.report.sample import SampleReport

Parse = Callable[[str], Any]


def shown(smear: SampleReport, parsed: Parse, place: int, jpeg: bytes | None = b"jpeg") -> Any:
    field = smear.fields[place - 1]
    cells = list(listed_in(smear, place, field))
    return parsed(field_figure(field, place, cells, jpeg, names=False)).one("figure")


def test_boxes_are_in_pixels_of_the_field(smear: SampleReport, parsed: Parse) -> None:
    figure = shown(smear, parsed, 1)
    assert figure.one("svg").attributes["viewbox"] == "0 0 320 240"
    for group, cell in zip(figure.all("g"), smear.fields[0].cells, strict=True):
        box = group.one("rect", class_="box").attributes
        drawn = [int(box[key]) for key in ("x", "y", "width", "height")]
        assert drawn == [cell.box.x0, cell.box.y0, cell.box.width, cell.box.height]


def test_a_box_over_the_edge_is_drawn_to_the_edge(smear: SampleReport, parsed: Parse) -> None:
    box = shown(smear, parsed, 2).all("rect", class_="box")[0].attributes
    assert (box["x"], box["width"]) == ("0", "40")


@pytest.mark.parametrize(
    ("place", "styles"),
    [
        (1, ["c-neutrophil sure", "c-monocyte sure"]),
        (2, ["c-neutrophil sure aside", "c-lymphocyte sure", "c-basophil unsure"]),
        (5, ["c-unsure unsure", "c-other unsure aside"]),
    ],
)
def test_colour_and_line_say_what_was_decided(
    place: int, styles: list[str], smear: SampleReport, parsed: Parse
) -> None:
    assert [group.attributes["class"] for group in shown(smear, parsed, place).all("g")] == styles


def test_captions_have_number_and_letter_and_stand_apart(smear: SampleReport, parsed: Parse) -> None:
    figure = shown(smear, parsed, 6)
    assert [group.one("text").text for group in figure.all("g")] == [f"{n}\u2009N" for n in range(1, 6)]
    tags = [tag.attributes for tag in figure.all("rect", class_="tag")]
    spans = sorted((float(tag["x"]), float(tag["x"]) + float(tag["width"])) for tag in tags)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_the_answers_are_told_in_words(smear: SampleReport, parsed: Parse) -> None:
    told = [answer.text.replace("\u202f", " ") for answer in shown(smear, parsed, 2).all("li")]
    assert told == [
        "1 N Neutrophil 97.0 % at the edge, not counted",
        "2 L Lymphocyte 85.0 %",
        "3 B Basophil 60.0 % to review",
    ]
    assert shown(smear, parsed, 2).one("img").attributes["alt"] == (
        "Field 2, 3 white cells: 1 neutrophil, 1 lymphocyte, 1 basophil"
    )
    assert "No white cell found." in shown(smear, parsed, 3).text


@pytest.mark.parametrize(
    ("side", "scale", "style"),
    [(640, 6.3, "field"), (2600, 16.0, "field"), (2600, 6.3, "field wide"), (2600, None, "field"),
     (8000, None, "field wide")],
)  # fmt: skip
def test_a_field_of_much_ground_gets_the_whole_width(
    side: int, scale: float | None, style: str, smear: SampleReport, parsed: Parse
) -> None:
    field = replace(smear.fields[0], width=side, height=side // 2, pixels_per_micrometre=scale)
    figure = parsed(field_figure(field, 1, [], b"jpeg", names=False)).one("figure")
    assert figure.attributes["class"] == style


def test_without_a_picture_the_answers_stay(smear: SampleReport, parsed: Parse) -> None:
    figure = shown(smear, parsed, 1, jpeg=None)
    assert not figure.all("img") + figure.all("svg")
    assert len(figure.all("li")) == 2
    assert "not there any more" in figure.one(class_="gone").text


def test_only_failed_fields_are_listed_as_failed(
    smear: SampleReport, bare_smear: SampleReport, parsed: Parse
) -> None:
    (row,) = parsed("".join(failed_fields(smear, names=False))).one("tbody").all("tr")
    assert [cell.text for cell in row.all("th") + row.all("td")] == [
        "field-004",
        "the file: the file ends early",
    ]
    assert "".join(failed_fields(bare_smear, names=False)) == ""


def test_the_index_leads_to_every_field_that_is_shown(smear: SampleReport, parsed: Parse) -> None:
    rows = parsed("".join(field_index(smear, names=False))).one("tbody").all("tr")
    links = [[link.attributes["href"] for link in row.all("a")] for row in rows]
    assert links == [[f"#field-{n:03d}"] if n != 4 else [] for n in range(1, 7)]
    assert [row.all("td")[0].text for row in rows[2:4]] == ["320×240", "failed"]
