"""The document leukolens.read/1 is what the manual says, whatever the fields hold."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from leukolens.errors import ReportError
from leukolens.report.read_document import document, rounded, sample_entry, write_document
from leukolens.report.sample import SampleReport


def read(smear: SampleReport, *, paths: bool = True) -> dict:  # type: ignore[type-arg]
    return json.loads("".join(document([smear], paths=paths)))  # type: ignore[no-any-return]


def test_keys_stand_in_the_agreed_order(smear: SampleReport) -> None:
    found = read(smear)
    assert list(found) == ["schema", "leukolens", "bundle", "samples"]
    assert found["schema"] == "leukolens.read/1"
    assert found["leukolens"] == "9.9.9"
    assert found["bundle"] == {"name": "tiny", "sha256": "0123456789abcdef" * 4}
    (sample,) = found["samples"]
    assert list(sample) == ["name", "origin", "fields", "differential", "flags", "batch"]
    assert list(sample["origin"]) == ["leukolens", "bundle", "engine", "settings"]
    assert list(sample["fields"][0]) == [
        "name", "path", "sha256", "status", "reason", "width", "height", "pixels_per_micrometre",
        "red_cells", "platelets", "cells",
    ]  # fmt: skip
    assert list(sample["fields"][0]["cells"][0]) == [
        "box", "class", "probabilities", "decision", "reason", "set", "distance", "at_edge", "score", "counted_as",
    ]  # fmt: skip
    assert list(sample["differential"]) == [
        "denominator", "excluded", "classes", "unsure", "nucleated_red_cells", "white_count",
        "confusion_from", "warnings",
    ]  # fmt: skip
    assert list(sample["differential"]["classes"]["monocyte"]) == [
        "count", "percent", "low", "high", "corrected", "concentration", "to_halve",
    ]  # fmt: skip
    assert list(sample["flags"][0]) == ["key", "message", "basis", "value", "unit", "range"]


def test_a_field_says_what_was_found(smear: SampleReport) -> None:
    field = read(smear)["samples"][0]["fields"][1]
    assert {key: value for key, value in field.items() if key != "cells"} == {
        "name": "field-002",
        "path": "/ward 3/Eve Smith/smear2.png",
        "sha256": f"{2:064x}",
        "status": "ok",
        "reason": None,
        "width": 320,
        "height": 240,
        "pixels_per_micrometre": 6.2812,
        "red_cells": 42,
        "platelets": 2,
    }
    edge, _, unsure = field["cells"]
    assert edge["box"] == [-10, 60, 40, 114]
    assert (edge["at_edge"], edge["counted_as"]) == (True, "at_edge")
    assert unsure["probabilities"]["neutrophil"] == 0.066667
    assert (unsure["class"], unsure["decision"], unsure["counted_as"]) == ("basophil", "review", "unsure")


def test_counts_are_of_the_cells_in_it(smear: SampleReport) -> None:
    sample = read(smear)["samples"][0]
    found = [cell["counted_as"] for field in sample["fields"] for cell in field["cells"]]
    differential = sample["differential"]
    for key, row in differential["classes"].items():
        assert row["count"] == found.count(key)
        assert row["percent"] == round(100 * found.count(key) / differential["denominator"], 4)
    assert differential["excluded"] == {
        key: found.count(key) for key in ("unsure", "at_edge", "not_leukocyte")
    }
    assert differential["denominator"] == 8


def test_cells_at_the_edge_that_were_counted_say_so(smear: SampleReport) -> None:
    counts = {**smear.differential.tally.counts, "neutrophil": 7}
    counted = replace(smear.differential.tally, counts=counts, at_edge=0)
    cells = sample_entry(replace(smear, differential=replace(smear.differential, tally=counted)))["fields"][1]
    assert cells["cells"][0]["counted_as"] == "neutrophil"
    assert cells["cells"][0]["at_edge"] is True


def test_what_nobody_knows_is_null(bare_smear: SampleReport) -> None:
    sample = read(bare_smear)["samples"][0]
    differential = sample["differential"]
    assert sample["fields"][0]["pixels_per_micrometre"] is None
    assert differential["unsure"] is None
    assert differential["nucleated_red_cells"] is None
    assert differential["white_count"] is None
    assert differential["classes"]["monocyte"]["corrected"] is None
    assert differential["classes"]["monocyte"]["concentration"] is None


def test_the_lines_are_the_entry(smear: SampleReport) -> None:
    assert read(smear)["samples"] == [sample_entry(smear)]
    assert read(smear, paths=False)["samples"] == [sample_entry(smear, paths=False)]


def test_one_line_a_field(smear: SampleReport) -> None:
    lines = "".join(document([smear, smear])).splitlines()
    assert sum(line.startswith('  {"name": "field-') for line in lines) == 2 * len(smear.fields)


def test_equal_samples_give_equal_text(smear: SampleReport) -> None:
    assert "".join(document([smear])) == "".join(document([replace(smear)]))


def test_no_sample_is_a_document_too() -> None:
    assert json.loads("".join(document([]))) == {"schema": "leukolens.read/1", "samples": []}


def test_a_sample_is_asked_for_when_the_one_before_is_written(smear: SampleReport) -> None:
    asked = []

    def coming() -> Iterator[SampleReport]:
        for name in ("first", "second"):
            asked.append(name)
            yield replace(smear, name=name)

    for piece in document(coming()):
        if '"name": "first"' in piece:
            assert asked == ["first"]
    assert asked == ["first", "second"]


def test_without_paths_no_name_of_a_file_is_in_it(smear: SampleReport) -> None:
    text = "".join(document([smear], paths=False))
    for part in ("ward", "Smith", "smear4", ".png"):
        assert part not in text
    failed = json.loads(text)["samples"][0]["fields"][3]
    assert (failed["name"], failed["path"]) == ("field-004", None)
    assert failed["reason"] == "the file: the file ends early"


def test_hostile_text_comes_back_as_it_was(hostile_smear: SampleReport) -> None:
    text = "".join(document([hostile_smear]))
    assert text.isascii()
    sample = json.loads(text)["samples"][0]
    assert sample["name"] == hostile_smear.name
    assert sample["fields"][0]["path"] == str(hostile_smear.fields[0].path)
    assert sample["flags"][0]["message"] == hostile_smear.name


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_has_no_value_is_none(value: float | None) -> None:
    assert rounded(value) is None


def test_a_file_holds_the_same_without_paths(smear: SampleReport, tmp_path: Path) -> None:
    write_document([smear], tmp_path / "report.json")
    assert (tmp_path / "report.json").read_text() == "".join(document([smear], paths=False))
    with pytest.raises(ReportError, match="cannot be written"):
        write_document([smear], tmp_path / "nowhere" / "report.json")
