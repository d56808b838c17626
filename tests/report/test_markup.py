"""Figures and names in HTML: exact beside rounded, never rounded to certainty, and readable on their colour."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolens.report.listing import Listed, listed
from leukolens.report.markup import (
    badge,
    chance,
    colours,
    counted,
    figure,
    letter,
    picture,
    shown_as,
    table,
    text,
)
from leukolens.report.overlay import contrast
from leukolens.report.sample import SampleReport
from leukolens.taxonomy import CLASSES

Parse = Callable[[str], Any]


@pytest.fixture
def cell(smear: SampleReport) -> Listed:
    return next(listed(smear))


def of(cell: Listed, probability: float) -> Listed:
    return replace(cell, cell=replace(cell.cell, probabilities={"neutrophil": probability}))


@given(st.text())
def test_text_has_neither_markup_nor_controls(value: str) -> None:
    shown = text(value)
    assert not set(shown) & set("<>\"'")
    assert shown.isprintable()


def test_a_figure_has_its_exact_value_beside_it(parsed: Parse) -> None:
    node = parsed(figure(6.66666, 1)).one("data")
    assert (node.text, node.attributes["value"]) == ("6.7", "6.6667")
    assert figure(None) == figure(math.nan) == "–"


@pytest.mark.parametrize(
    ("probability", "shown"),
    [
        (1.0, "100.0"),
        (0.9996, ">\u202f99.9"),
        (0.999, "99.9"),
        (0.5, "50.0"),
        (0.0004, "<\u202f0.1"),
        (0.0, "0.0"),
    ],
)
def test_no_probability_is_rounded_to_certainty(
    probability: float, shown: str, cell: Listed, parsed: Parse
) -> None:
    node = parsed(chance(of(cell, probability))).one("data")
    assert node.text == f"{shown}\u202f%"
    assert float(node.attributes["value"]) == probability


def test_every_class_has_a_colour_and_ink_that_can_be_read_on_it() -> None:
    rules = re.findall(r"\.c-(\w+) { --class: (#\w{6}); --on-class: (#\w{6}); }", colours())
    assert [key for key, _, _ in rules] == [*(kind.key for kind in CLASSES), "unsure"]
    assert {key: colour for key, colour, _ in rules[:-1]} == {kind.key: kind.colour for kind in CLASSES}
    for _, *pair in rules:
        ground, ink = (tuple(bytes.fromhex(colour[1:])) for colour in pair)
        assert contrast(ground, ink) >= 4.5  # type: ignore[arg-type]


def test_letters_are_told_apart() -> None:
    letters = [letter(key) for key in [*(kind.key for kind in CLASSES), "unsure"]]
    assert len(set(letters)) == len(letters)
    assert badge("unsure") == '<span class="badge c-unsure" aria-hidden="true">?</span>'


def test_an_unknown_cell_has_no_classs_colour(cell: Listed) -> None:
    assert shown_as(cell) == "neutrophil"
    assert shown_as(replace(cell, cell=replace(cell.cell, decision="review"))) == "neutrophil"
    assert shown_as(replace(cell, cell=replace(cell.cell, decision="unknown"))) == "unsure"


def test_nouns_fit_their_number() -> None:
    assert [counted(number, "cell") for number in (0, 1, 2, 1234)] == [
        "0 cells",
        "1 cell",
        "2 cells",
        "1,234 cells",
    ]
    assert counted(2, "body", "bodies") == "2 bodies"


def test_a_table_has_its_caption_and_heads(parsed: Parse) -> None:
    node = parsed("".join(table("cells", "All <cells>", ("a", "b"), ["<tr><td>1</td><td>2</td></tr>"])))
    assert node.one("caption").text == "All <cells>"
    assert [head.attributes["scope"] for head in node.one("thead").all("th")] == ["col", "col"]
    assert [cell.text for cell in node.one("tbody").all("td")] == ["1", "2"]


def test_a_picture_says_what_it_shows(parsed: Parse) -> None:
    image = parsed(picture(b"\xff\xd8", 'a "cell"', (96, 48))).one("img")
    assert image.attributes["alt"] == 'a "cell"'
    assert (image.attributes["width"], image.attributes["height"]) == ("96", "48")
    assert image.attributes["src"] == "data:image/jpeg;base64,/9g="
