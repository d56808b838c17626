"""A kept report is the report that was signed, to the last digit, whatever the database does to JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from leukolens.differential.counts import ClassCount, Differential, Flag, Share, Tally, WhiteCount
from leukolens.errors import ServerError
from leukolens.imaging.framing import Box
from leukolens.reading.batch_check import BatchCheck
from leukolens.reading.cell import Cell, FieldReading
from leukolens.report.sample import Origin, Review, SampleReport
from leukolens.server.signing.document import digest, digest_of, document, report_of

TIE = {"neutrophil": 0.4, "eosinophil": 0.1 + 0.2, "basophil": 0.3 - 1e-17}


def differential(**changes: Any) -> Differential:
    made = Differential(
        Tally({"neutrophil": 2, "eosinophil": 1, "blast": 1}, 1, 2, 3, 4, 1),
        (ClassCount("neutrophil", 2, Share(100 / 3, 1 / 7, 99.9), Share(1e-9, 0.0, 5.0), None, 12),),
        Share(20.0, 0.1, 70.0),
        1e-7,
        WhiteCount(7.4, 7.3),
        "Lab A",
        ("Only 4.",),
    )
    return replace(made, **changes)


@pytest.fixture
def report() -> SampleReport:
    cells = (
        Cell(Box(1, 2, 3, 4), TIE, "accept", "because", True, 0.1, 1.25, ("neutrophil",), "blast"),
        Cell(Box(5, 6, 7, 8), {}, "review", "drawn", reviewed="unsure"),
    )
    return SampleReport(
        "KEY",
        (
            FieldReading(Path("field-1"), "ok", None, "a" * 64, 10, 20, cells, 3, 4, 6.25),
            FieldReading(Path("field-2"), "failed", "broken", "b" * 64, 0, 0),
        ),
        differential(),
        (Flag("blasts", "Blasts present.", "relative", 25.0, "%", None, 0.0),),
        Origin("1", "tiny", "c" * 64, "engine", (("age", "4"), ("ranges", "as shipped"))),
        BatchCheck(30, 20, 0.05, True),
        Review(
            "final", 1, "Dr Ωmega", datetime(2026, 3, 1, 8, 30, 0, 123456, UTC), 1, 1, 1, 0, differential(),
            (("Anisocytosis", "2+"),), ("because",), "d" * 64, 0.1 + 0.2,
        ),
    )  # fmt: skip


def shuffled(value: Any) -> Any:
    """As PostgreSQL's JSONB gives it back: keys by length, then by bytes."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in sorted(value, key=lambda key: (len(key), key))}
    return [shuffled(part) for part in value] if isinstance(value, list) else value


def test_what_comes_back_is_equal_and_in_the_same_order(report: SampleReport) -> None:
    kept = json.loads(json.dumps(shuffled(document(report)), allow_nan=False))
    found = report_of(kept)
    assert found == report
    assert list(found.fields[0].cells[0].probabilities) == list(TIE)
    assert list(found.differential.tally.counts) == ["neutrophil", "eosinophil", "blast"]
    assert found.fields[0].cells[0].label == report.fields[0].cells[0].label
    assert isinstance(found.fields, tuple)
    assert isinstance(found.fields[0].path, Path)


def test_reading_it_changes_nothing_of_what_is_kept(report: SampleReport) -> None:
    kept = document(report)
    before = json.dumps(kept)
    report_of(kept)
    assert json.dumps(kept) == before


def test_without_a_review_or_a_batch_it_comes_back_too(report: SampleReport) -> None:
    bare = replace(report, review=None, batch=None)
    assert report_of(document(bare)) == bare


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_a_word(report: SampleReport, value: float) -> None:
    odd = replace(report, differential=differential(nucleated_red_cells=value))
    kept = json.loads(json.dumps(document(odd), allow_nan=False))
    found = report_of(kept).differential.nucleated_red_cells
    assert found is not None
    assert str(found) == str(value)


def test_keys_of_a_later_version_are_passed_over(report: SampleReport) -> None:
    kept = document(report)
    kept["report"]["later"] = kept["report"]["review"]["later"] = 1
    assert report_of(kept) == report


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: kept.update(schema="leukolens.report/99"),
        lambda kept: kept.clear(),
        lambda kept: kept.update(report=None),
        lambda kept: kept["report"].pop("differential"),
        lambda kept: kept["report"]["fields"][0].update(width="wide"),
    ],
)
def test_a_damaged_one_says_so(report: SampleReport, damage: Any) -> None:
    kept = document(report)
    damage(kept)
    with pytest.raises(ServerError):
        report_of(kept)


def test_the_digest_is_of_all_but_the_hash_of_the_trail(report: SampleReport) -> None:
    assert report.review
    assert digest(report) == digest(report_of(shuffled(document(report))))
    assert digest(report) == digest(replace(report, review=replace(report.review, trail_hash="e" * 64)))
    assert digest(report) != digest(replace(report, review=replace(report.review, changed=2)))
    assert digest(report) != digest(replace(report, name="OTHER"))


def test_the_digest_of_a_kept_report_stays_when_a_later_version_knows_more(report: SampleReport) -> None:
    kept = document(report)
    assert digest_of(kept) == digest(report)
    signed = replace(report, review=replace(report.review, trail_hash="e" * 64))  # type: ignore[type-var]
    assert digest_of(document(signed)) == digest(report)
    earlier = json.loads(json.dumps(kept))
    del earlier["report"]["batch"]  # as if it had not been there yet
    assert digest_of(earlier) != digest_of(kept)
    assert digest_of(earlier) != digest(report_of(earlier))
    for damaged in ({}, {"report": None}, {"report": {"review": []}}):
        with pytest.raises(ServerError, match="damaged"):
            digest_of(damaged)
