"""What was read of smears, as the JSON document ``leukolens.read/1``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from leukolens.differential.counts import ClassCount, Concentration, Differential, Flag, Share
from leukolens.reading.cell import FieldReading
from leukolens.report.field_entries import field_entry
from leukolens.report.listing import Listed, field_name, listed_in, nameless_reason
from leukolens.report.sample import Origin, Review, SampleReport
from leukolens.report.tables import cell_entry, check_entry
from leukolens.report.writing import whole_file

SCHEMA = "leukolens.read/1"
PROBABILITY_PLACES = 6
PLACES = 4


def write_document(samples: Iterable[SampleReport], path: Path, *, paths: bool = False) -> None:
    """Writes the document into a file.

    Raises:
        ReportError: Where it cannot be written.
    """
    with whole_file(path) as stream:
        stream.writelines(document(samples, paths=paths))


def document(samples: Iterable[SampleReport], *, paths: bool = True) -> Iterator[str]:
    """The document in pieces, one line a field; joined they are one object, in plain ASCII.

    Equal samples give equal text. A sample is asked for when the one before it is written.

    Args:
        samples: The samples; ``bundle`` and ``leukolens`` at the head are the first one's.
        paths: Whether fields are given with their paths; without, no file name is in it.
    """
    coming = iter(samples)
    sample = next(coming, None)
    head = {"schema": SCHEMA, **_origin_entry(sample.origin)} if sample else {"schema": SCHEMA}
    yield json.dumps(head)[:-1] + ', "samples": ['
    comma = ""
    while sample:
        yield comma + "\n "
        yield from _sample_lines(sample, paths)
        comma, sample = ",", next(coming, None)
    yield "\n]}\n"


def _sample_lines(report: SampleReport, paths: bool) -> Iterator[str]:
    """The text of `sample_entry`, without all fields in memory at once."""
    entry = sample_entry(report, paths=paths, fields=())
    before = {key: entry[key] for key in ("name", "origin")}
    after = {key: entry[key] for key in ("differential", "flags", "batch", "review") if key in entry}
    yield json.dumps(before)[:-1] + ', "fields": ['
    comma = ""
    for place, field in enumerate(report.fields, start=1):
        yield f"{comma}\n  {json.dumps(_public_field(report, place, field, paths))}"
        comma = ","
    yield "\n ], " + json.dumps(after, allow_nan=False)[1:]


def sample_entry(
    report: SampleReport, *, paths: bool = True, fields: Iterable[FieldReading] | None = None
) -> dict[str, Any]:
    """One sample of the document.

    Args:
        report: The sample.
        paths: As in `document`.
        fields: Which fields to give; all where None.
    """
    shown = report.fields if fields is None else fields
    return {
        "name": report.name,
        "origin": {
            **_origin_entry(report.origin),
            "engine": report.origin.engine,
            "settings": dict(report.origin.settings),
        },
        "fields": [_public_field(report, place, field, paths) for place, field in enumerate(shown, start=1)],
        "differential": differential_entry(report.differential),
        "flags": [flag_entry(flag) for flag in report.flags],
        "batch": check_entry(report.batch),
        **({"review": review_entry(report.review)} if report.review else {}),
    }


def review_entry(review: Review) -> dict[str, Any]:
    """What persons did to a sample, of the document; its time is ISO 8601."""
    return {
        "status": review.status,
        "version": review.version,
        "reviewer": review.reviewer,
        "signed": review.signed.isoformat(timespec="seconds") if review.signed else None,
        "confirmed": review.confirmed,
        "changed": review.changed,
        "drawn": review.drawn,
        "deleted": review.deleted,
        "machine": differential_entry(review.machine),
        "comments": [{"finding": finding, "grade": grade} for finding, grade in review.comments],
        "reopened": list(review.reopened),
        "trail_hash": review.trail_hash,
        "kappa": rounded(review.kappa),
    }


def _origin_entry(origin: Origin) -> dict[str, Any]:
    return {
        "leukolens": origin.leukolens,
        "bundle": {"name": origin.bundle, "sha256": origin.bundle_sha256},
    }


def _public_field(report: SampleReport, place: int, field: FieldReading, paths: bool) -> dict[str, Any]:
    entry = field_entry(field)
    return {
        "name": field_name(place),
        **entry,
        "path": entry["path"] if paths else None,
        "reason": field.reason if paths else nameless_reason(field),
        "pixels_per_micrometre": rounded(field.pixels_per_micrometre),
        "cells": [
            _public_cell(item) if report.review is None else _reviewed_cell(item)
            for item in listed_in(report, place, field)
        ],
    }


def _public_cell(item: Listed) -> dict[str, Any]:
    return {
        **cell_entry(item.cell),
        "at_edge": item.cell.at_edge,
        "score": round(item.cell.score, PROBABILITY_PLACES),
        "counted_as": item.counted_as,
    }


def _reviewed_cell(item: Listed) -> dict[str, Any]:
    return {**_public_cell(item), "reviewed": item.cell.reviewed}


def differential_entry(differential: Differential) -> dict[str, Any]:
    """A differential of the document, to four places; what has no value is null, never NaN."""
    tally, white_count = differential.tally, differential.white_count
    return {
        "denominator": tally.denominator,
        "excluded": {
            "unsure": tally.unsure,
            "at_edge": tally.at_edge,
            "not_leukocyte": tally.not_leukocyte,
        },
        "classes": {row.key: _class_entry(row) for row in differential.classes},
        "unsure": _share_entry(differential.unsure),
        "nucleated_red_cells": None
        if tally.nucleated_red_cells is None
        else {
            "count": tally.nucleated_red_cells,
            "per_100_leukocytes": rounded(differential.nucleated_red_cells),
        },
        "white_count": {"given": rounded(white_count.given), "corrected": rounded(white_count.corrected)}
        if white_count
        else None,
        "confusion_from": differential.confusion_from,
        "warnings": list(differential.warnings),
    }


def _class_entry(row: ClassCount) -> dict[str, Any]:
    concentration = row.concentration
    return {
        "count": row.count,
        "percent": rounded(row.share.percent),
        **_limits(row.share),
        "corrected": _share_entry(row.corrected),
        "concentration": {"value": rounded(concentration.value), **_limits(concentration)}
        if concentration
        else None,
        "to_halve": row.to_halve,
    }


def _share_entry(share: Share | None) -> dict[str, float | None] | None:
    return {"percent": rounded(share.percent), **_limits(share)} if share else None


def _limits(measure: Share | Concentration) -> dict[str, float | None]:
    return {"low": rounded(measure.low), "high": rounded(measure.high)}


def flag_entry(flag: Flag) -> dict[str, Any]:
    """A flag of the document."""
    return {
        "key": flag.key,
        "message": flag.message,
        "basis": flag.basis,
        "value": rounded(flag.value),
        "unit": flag.unit,
        "range": [rounded(flag.low), rounded(flag.high)],
    }


def rounded(value: float | None) -> float | None:
    """A figure as every report gives it: to four places, None where there is none."""
    return round(float(value), PLACES) if value is not None and math.isfinite(value) else None
