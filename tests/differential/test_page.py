"""The page that explains the differential names everything that a report can say."""

from pathlib import Path

import pytest

from leukolens.differential.correction import CHAINS, KEPT, SAMPLE_AND_MEASURED
from leukolens.differential.flags import NAMES
from leukolens.differential.limits import exact_limits
from leukolens.differential.percentages import FEW, FEW_GROUPS, FEWEST_GROUPS, MANY_UNSURE, RATHER_FEW
from leukolens.differential.ranges import Band

PAGE = (Path(__file__).parents[2] / "docs" / "differential.md").read_text(encoding="utf-8")
FLAGS = ["leukopenia", "leukocytosis", *(name for pair in NAMES.values() for name in pair if name)]


@pytest.mark.parametrize("key", FLAGS)
def test_every_flag_has_a_row_that_says_what_it_can_go_with(key):
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{key}` |")]
    assert len(row.split("|")[3].split(",")) >= 4


@pytest.mark.parametrize("field", Band.model_fields)
def test_every_field_of_a_band_is_explained(field):
    assert f"\n| `{field}`" in PAGE or f"\n| `{field}.CLASS`" in PAGE


@pytest.mark.parametrize("row", ["unsure", "at_edge", "not_leukocyte"])
def test_every_place_a_cell_can_go_is_explained(row):
    assert f"\n| `{row}` |" in PAGE


def test_its_numbers_are_the_codes():
    assert f"under {FEW} named" in PAGE
    assert f"under {RATHER_FEW} named" in PAGE
    assert MANY_UNSURE == 0.1
    assert "more than a tenth" in PAGE
    assert FEWEST_GROUPS == 9
    assert "fewer than nine groups" in PAGE
    assert f"fewer than {FEW_GROUPS} groups" in PAGE
    assert f"{CHAINS:,} chains" in PAGE
    assert f"{CHAINS * KEPT:,} such draws" in PAGE
    assert SAMPLE_AND_MEASURED == 2
    assert "doubles a row's variance" in PAGE


@pytest.mark.parametrize(
    ("percent", "cells", "shown"), [(5, 100, "1–12"), (10, 1000, "8–13"), (50, 500, "45–55")]
)
def test_its_table_holds_the_exact_limits(percent, cells, shown):
    low, high = (100 * limit for limit in exact_limits(percent * cells / 100, cells))
    assert shown == f"{int(low)}–{int(high) + 1}"
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| {percent} % |")]
    assert shown in row.split(" | ")[{100: 1, 500: 3, 1000: 4}[cells]]
