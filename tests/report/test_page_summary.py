"""The top of a page: flags first, warnings next, and the differential with what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from leukolens.differential.counts import Flag, WhiteCount
from leukolens.reading.batch_check import BatchCheck
from leukolens.report.page_summary import differential_note, differential_table, flags, key_figures, warnings
from leukolens.report.sample import SampleReport

Parse = Callable[[str], Any]


@pytest.mark.parametrize(
    ("value", "low", "high", "sign"),
    [(12.0, 4.0, 10.0, "▲"), (3.0, 4.0, 10.0, "▼"), (3.0, None, None, "●"), (3.0, None, 0.0, "▲")],
)
def test_a_flag_says_on_which_side_of_its_range_it_is(
    value: float, low: float | None, high: float | None, sign: str, smear: SampleReport, parsed: Parse
) -> None:
    flag = Flag("x", "Something to review: 3 x 10^9/L.", "absolute", value, "10^9/L", low, high)
    item = parsed("".join(flags(replace(smear, flags=(flag,))))).one("li")
    assert item.one(class_="sign").text == sign
    assert item.one("b").text == "Something to review:"
    assert item.one(class_="message").text == "Something to review: 3 ×\u202f109/L."


def test_no_flag_says_so(smear: SampleReport, parsed: Parse) -> None:
    assert parsed("".join(flags(replace(smear, flags=())))).text == "Nothing is flagged."


def test_nothing_to_warn_of_takes_no_room(smear: SampleReport) -> None:
    quiet = replace(smear, fields=(), differential=replace(smear.differential, warnings=()))
    assert "".join(warnings(quiet, 0)) == ""


def test_what_is_missing_is_warned_of(smear: SampleReport, parsed: Parse) -> None:
    told = [item.text for item in parsed("".join(warnings(smear, 1))).all("li")]
    assert told == [
        *smear.differential.warnings,
        "1 of 6 fields could not be read; the reasons stand below.",
        "The pictures of 1 field are missing from this page.",
    ]


def test_a_stain_that_is_new_is_the_first_warning(smear: SampleReport, parsed: Parse) -> None:
    strange = replace(smear, batch=BatchCheck(cells=80, outside=60, usual=0.125, unlike=True))
    told = [item.text for item in parsed("".join(warnings(strange, 0))).all("li")]
    assert told[0].startswith("This stain is new to the model: 75 % of 80 cells lie outside")
    assert told[1:] == [item.text for item in parsed("".join(warnings(smear, 0))).all("li")]
    known = replace(smear, batch=BatchCheck(cells=80, outside=4, usual=0.125, unlike=False))
    assert "".join(warnings(known, 0)) == "".join(warnings(smear, 0))


def test_a_bundle_that_nobody_could_judge_is_warned_of(smear: SampleReport, parsed: Parse) -> None:
    own = replace(smear, origin=replace(smear.origin, caution="Nobody has measured what became of it."))
    told = [item.text for item in parsed("".join(warnings(own, 0))).all("li")]
    assert told[0] == "Nobody has measured what became of it."
    assert told[1:] == [item.text for item in parsed("".join(warnings(smear, 0))).all("li")]


def test_figures_that_nobody_gave_take_no_room(bare_smear: SampleReport, parsed: Parse) -> None:
    shown = [
        key.attributes["data-key"] for key in parsed("".join(key_figures(bare_smear))).all(data_key=None)
    ]
    assert shown == ["denominator", "unsure", "left_out", "fields"]


def test_a_white_count_shows_what_was_given_beside_what_is_left(smear: SampleReport, parsed: Parse) -> None:
    counted = replace(smear.differential, white_count=WhiteCount(12.5, 11.9))
    shown = parsed("".join(key_figures(replace(smear, differential=counted)))).one(data_key="white_count")
    assert (shown.one(class_="big").text, shown.one(class_="note").text) == ("11.90", "given as 12.50")


def test_every_row_has_as_many_cells_as_there_are_columns(
    smear: SampleReport, bare_smear: SampleReport, parsed: Parse
) -> None:
    for report, columns in ((smear, 9), (bare_smear, 5)):
        table = parsed("".join(differential_table(report.differential)))
        assert len(table.one("thead").all("th")) == columns
        for row in table.one("tbody").all("tr"):
            assert len(row.all("th") + row.all("td")) == columns


def test_where_the_correction_comes_from_is_told(smear: SampleReport, bare_smear: SampleReport) -> None:
    assert "Lab A, Lab &lt;B&gt;: 798 cells" in differential_note(smear.differential)
    assert "Corrected" not in differential_note(bare_smear.differential)
