"""A field comes back from JSON as it went in, to the last bit."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolens.errors import ReportError
from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, FieldReading
from leukolens.report.field_entries import field_entry, field_from_entry
from leukolens.report.sample import SampleReport
from leukolens.taxonomy import CLASS_KEYS

side = st.integers(-10_000, 10_000)
share = st.floats(0, 1)
cells = st.builds(
    Cell,
    box=st.builds(Box, side, side, side, side),
    probabilities=st.dictionaries(st.sampled_from(CLASS_KEYS), share, min_size=1),
    decision=st.sampled_from(["accept", "review", "unknown"]),
    reason=st.text(),
    at_edge=st.booleans(),
    score=share,
    distance=st.none() | st.floats(0, 1e6),
    class_set=st.none() | st.lists(st.sampled_from(CLASS_KEYS), unique=True).map(tuple),
)
fields = st.builds(
    FieldReading,
    path=st.text(st.characters(exclude_characters="\0")).map(Path),
    status=st.sampled_from(["ok", "no_cell", "failed"]),
    reason=st.none() | st.text(),
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    width=st.integers(0, 9000),
    height=st.integers(0, 9000),
    cells=st.lists(cells, max_size=3).map(tuple),
    red_cells=st.integers(0, 9000),
    platelets=st.integers(0, 9000),
    pixels_per_micrometre=st.none() | st.floats(0.1, 100),
)


@given(fields)
def test_a_field_comes_back(field: FieldReading) -> None:
    back = field_from_entry(json.loads(json.dumps(field_entry(field))))
    assert back == field
    assert [list(cell.probabilities) for cell in back.cells] == [
        list(cell.probabilities) for cell in field.cells
    ]


def test_a_name_that_is_no_unicode_comes_back(smear: SampleReport) -> None:
    field = replace(smear.fields[0], path=Path(os.fsdecode(b"caf\xe9.png")))
    assert field_from_entry(json.loads(json.dumps(field_entry(field)))) == field


def test_keys_of_a_later_version_are_passed_over(smear: SampleReport) -> None:
    entry = {**field_entry(smear.fields[0]), "focus": 3}
    assert field_from_entry(entry) == smear.fields[0]


@pytest.mark.parametrize(
    "change",
    [
        {"status": "fine"},
        {"width": "wide"},
        {"cells": None},
        {"cells": [{}]},
        {"path": 3},
        {"cells": [{"box": [1, 2, 3]}]},
    ],
)
def test_what_is_no_field_says_so(change: dict[str, Any], smear: SampleReport) -> None:
    with pytest.raises(ReportError, match="no entry of a field"):
        field_from_entry({**field_entry(smear.fields[0]), **change})


def test_a_class_or_decision_that_is_none_says_so(smear: SampleReport) -> None:
    entry = field_entry(smear.fields[0])
    for change in ({"probabilities": {"blastoid": 1.0}}, {"decision": "maybe"}):
        changed = {**entry, "cells": [{**entry["cells"][0], **change}]}
        with pytest.raises(ReportError, match="is none of"):
            field_from_entry(changed)
    with pytest.raises(ReportError, match="no entry of a field"):
        field_from_entry([])  # type: ignore[arg-type]
