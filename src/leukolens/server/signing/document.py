"""A report as JSON and back without loss: what a signed version is kept as, and all its files are written from."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from leukolens.errors import ServerError
from leukolens.report.sample import SampleReport

SCHEMA = "leukolens.report/1"


def document(report: SampleReport) -> dict[str, Any]:
    """The report as plain JSON: `report_of` gives back an equal one.

    Mappings become lists of pairs, since PostgreSQL keeps no order of keys and the order says which of two equally
    probable classes a cell's is; a number that is none becomes a word, since JSON has none for it.
    """
    content = _plain(_adapter().dump_python(report, mode="json"))
    for tally in _tallies(content):
        tally["counts"] = _pairs(tally["counts"])
    for cell in _cells(content):
        cell["probabilities"] = _pairs(cell["probabilities"])
    return {"schema": SCHEMA, "report": content}


def report_of(kept: Mapping[str, Any]) -> SampleReport:
    """The report that a document was made from; keys that it doesn't know are passed over.

    Raises:
        ServerError: Where it is none.
    """
    if kept.get("schema") != SCHEMA:
        raise ServerError(
            f"a signed report is kept as {kept.get('schema')!r}", "Update Leukolens, or restore a backup"
        )
    try:
        content = json.loads(json.dumps(kept["report"]))  # what the database holds must not be changed
        for tally in _tallies(content):
            tally["counts"] = dict(tally["counts"])
        for cell in _cells(content):
            cell["probabilities"] = dict(cell["probabilities"])
        return _adapter().validate_python(content)
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        raise ServerError(
            f"a signed report is damaged ({type(error).__name__})", "Restore it from a backup"
        ) from error


def digest(report: SampleReport) -> str:
    """sha256 of a report's content, its hash of the audit trail left out: what the trail's entry of signing holds.

    The entry's own hash stands on the report, so that neither can be exchanged without the other.
    """
    return digest_of(document(report))


def digest_of(kept: Mapping[str, Any]) -> str:
    """The same of a kept report as it stands there, whichever version of Leukolens wrote it.

    Raises:
        ServerError: Where it is none.
    """
    try:
        content = json.loads(json.dumps(kept))
        if content["report"].get("review") is not None:
            content["report"]["review"]["trail_hash"] = ""
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ServerError(
            f"a signed report is damaged ({type(error).__name__})", "Restore it from a backup"
        ) from error
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


@cache
def _adapter() -> TypeAdapter[SampleReport]:
    return TypeAdapter(SampleReport)


def _plain(value: Any) -> Any:
    """The value with words for numbers that are none, and without the sign of a 0, which PostgreSQL drops."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return value + 0.0 if math.isfinite(value) else str(value)
    return value


def _tallies(content: dict[str, Any]) -> list[dict[str, Any]]:
    found = [content["differential"]["tally"]]
    if content.get("review") is not None:
        found.append(content["review"]["machine"]["tally"])
    return found


def _cells(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for field in content["fields"] for cell in field["cells"]]


def _pairs(mapping: Mapping[str, Any]) -> list[list[Any]]:
    return [[key, value] for key, value in mapping.items()]
