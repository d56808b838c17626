"""Fields and cells are named by their place, and no file's name is left in a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from leukolens.reading.cell import FieldReading
from leukolens.report.listing import field_name, listed, nameless_reason
from leukolens.report.sample import SampleReport


def test_cells_are_numbered_from_one_in_each_field(smear: SampleReport) -> None:
    places = [(item.field, item.number) for item in listed(smear)]
    assert places == [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (5, 1), (5, 2), *((6, n) for n in range(1, 6))]


def test_each_stands_where_the_tally_counted_it(smear: SampleReport) -> None:
    found = [item.counted_as for item in listed(smear)]
    tally = smear.differential.tally
    assert {key: found.count(key) for key in tally.counts} == tally.counts
    for key in ("unsure", "at_edge", "not_leukocyte"):
        assert found.count(key) == getattr(tally, key)


def test_certainty_is_the_named_classs_probability(smear: SampleReport) -> None:
    assert next(listed(smear)).certainty == pytest.approx(0.91)


def test_names_sort_as_fields_stand() -> None:
    assert [field_name(place) for place in (1, 12, 999)] == ["field-001", "field-012", "field-999"]


@pytest.mark.parametrize(
    ("path", "reason", "told"),
    [
        ("a/b.png", "a/b.png: it ends early", "the file: it ends early"),
        ("a/b.png", "b.png is empty", "the file is empty"),
        ("a/b.png", "xb.png2 is empty", "xb.png2 is empty"),
        ("a/empty", "the file is empty", "the file is empty"),
        ("a/b.png", None, None),
    ],
)
def test_a_reason_is_told_without_the_files_name(
    path: str, reason: str | None, told: str | None, smear: SampleReport
) -> None:
    field: FieldReading = replace(smear.fields[3], path=Path(path), reason=reason)
    assert nameless_reason(field) == told
