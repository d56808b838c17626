"""Before and after of an adaptation, as the rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ALL, BALANCED = "all", "balanced"
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A row.

    Attributes:
        key: A class's key, `ALL` or `BALANCED`.
        cells: That were judged.
        before: Per cent that the bundle named rightly before, with its 95 % limits where there are any.
        after: Likewise by the new bundle, which had not learned from them.
        difference: After less before, in points, with its limits.
    """

    key: str
    cells: int
    before: str
    after: str
    difference: str


def figures(document: Mapping[str, Any] | None) -> tuple[Figure, ...]:
    """The rows of a table: each class, then all cells, then all classes weighing the same; none without a comparison.

    Args:
        document: leukolens.adapt/1.
    """
    if document is None or document["accuracy"] is None:
        return ()
    total = sum(line["cells"] for line in document["classes"])
    rows = [(line["class"], line["cells"], line["recall"]) for line in document["classes"]]
    rows += [(ALL, total, document["accuracy"]), (BALANCED, total, document["balanced_accuracy"])]
    return tuple(
        Figure(key, cells, percent(change["before"]), percent(change["after"]), _points(change["difference"]))
        for key, cells, change in rows
    )


def percent(measure: Mapping[str, float | None]) -> str:
    """A share and its limits, in per cent."""
    return _with_limits(measure, "{:.0f} %", "{:.0f}")


def _points(measure: Mapping[str, float | None]) -> str:
    return _with_limits(measure, "{:+.0f}", "{:+.0f}").replace("-", MINUS)


def _with_limits(measure: Mapping[str, float | None], whole: str, limit: str) -> str:
    value, low, high = (measure[name] for name in ("value", "low", "high"))
    if value is None:
        return "–"
    said = whole.format(100 * value)
    if low is None or high is None:
        return said
    return f"{said} ({limit.format(100 * low)} … {limit.format(100 * high)})"
