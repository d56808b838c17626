import base64
import re

import pytest

from leukolens.evaluation import markup
from leukolens.evaluation.intervals import Interval
from leukolens.evaluation.measures import Measure

NOTHING = float("nan")


def test_values_are_rounded_to_read_and_exact_beside_it():
    assert markup.percent(0.86771) == '<data value="0.86771">86.8\u202f%</data>'
    assert markup.plain(1 / 3) == f'<data value="{1 / 3!r}">0.333</data>'
    assert markup.percent(NOTHING) == markup.plain(NOTHING) == "–"


def test_an_interval_or_the_reason_why_there_is_none():
    with_one = markup.between(Measure(0.5, Interval(0.25, 0.7512)))
    assert ">25.0 to 75.1<" in with_one
    assert 'data-low="0.25" data-high="0.7512"' in with_one
    assert ">0.250 to 0.751<" in markup.between(Measure(0.5, Interval(0.25, 0.7512)), share=False)
    assert ">every resample alike<" in markup.between(Measure(1.0, Interval(1.0, 1.0)))
    assert ">fewer than 9 photographs<" in markup.between(Measure(0.5))
    assert markup.between(Measure(0.5), reason="") == markup.between(Measure(NOTHING)) == ""


def test_the_whisker_stands_where_its_values_are():
    drawn = markup.whisker(Measure(0.75, Interval(0.5, 1.0)), 0.5)
    assert 'x1="1.00%" x2="99.00%"' in drawn
    assert 'cx="50.00%"' in drawn
    assert "stroke-width" not in markup.whisker(Measure(0.75), 0.5)
    assert markup.whisker(Measure(NOTHING), 0.5) == ""


@pytest.mark.parametrize(
    "made",
    [
        markup.table(["<b>"], []),
        markup.facts([("<b>", "<b>")]),
        markup.plot(b"<svg ></svg>", "<b>", "<b>").replace("<figcaption><b>", "").replace("</b>", ""),
        markup.named("x", "<b>"),
        markup.file_name("<b>"),
        markup.picture(b"", '"><b>'),
    ],
)
def test_text_is_escaped(made):
    assert "<b>" not in made
    assert "&lt;b&gt;" in made


def test_a_class_has_its_name_and_colour():
    assert markup.class_name("monocyte") == '<span class="swatch" style="background:#cc79a7"></span>Monocyte'


def test_a_picture_is_inside_the_page_or_said_to_be_gone():
    found = re.search(r"base64,([^\"]+)", markup.picture(b"jpeg", "a cell"))
    assert base64.b64decode(found[1]) == b"jpeg"
    assert "cannot be read" in markup.picture(None, "a cell")


def test_file_names_break_between_folders():
    assert markup.file_name("a/b.png") == "a/<wbr>b.png"
