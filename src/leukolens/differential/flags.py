"""What in a differential a person should review: figures outside their reference range, never a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from leukolens.differential.counts import ClassCount, Differential, Flag
from leukolens.differential.ranges import Range, Ranges

CONCENTRATION, PERCENT = "10^9/L", "%"
WRITTEN = {CONCENTRATION: f"× {CONCENTRATION}", PERCENT: PERCENT}
BELOW, ABOVE = 0, 1
# Class key to the flag below and above its range; None where there is none.
NAMES: dict[str, tuple[str | None, str | None]] = {
    "neutrophil": ("neutropenia", "neutrophilia"),
    "eosinophil": (None, "eosinophilia"),
    "basophil": (None, "basophilia"),
    "lymphocyte": ("lymphopenia", "lymphocytosis"),
    "monocyte": (None, "monocytosis"),
    "immature_granulocyte": (None, "immature_granulocytes"),
}


@dataclass(frozen=True, slots=True)
class _Figure:
    """A class's figure on the basis that it is compared on."""

    basis: Literal["absolute", "relative"]
    unit: str
    value: float
    low: float
    high: float
    span: Range


def flags(differential: Differential, ranges: Ranges) -> tuple[Flag, ...]:
    """What to review: the total first, then class by class.

    With a total white cell count each class is compared as a concentration; without one, or where the ranges
    have no concentration for it, as a percentage. The percentages are the counted ones, as a person would
    count them, not the corrected.

    Args:
        differential: The sample.
        ranges: Of the person it comes from.
    """
    found = [_total(differential, ranges)]
    if differential.denominator:
        found += [_class(row, ranges) for row in differential.classes]
    return tuple(flag for flag in found if flag)


def _total(differential: Differential, ranges: Ranges) -> Flag | None:
    if differential.white_count is None:
        return None
    value, span = differential.white_count.corrected, ranges.total
    side = _side(value, span)
    if side is None:
        return None
    key = ("leukopenia", "leukocytosis")[side]
    message = f"{key.capitalize()} to review: {_against(value, CONCENTRATION, span, ranges.name)} (absolute)."
    return Flag(key, message, "absolute", value, CONCENTRATION, span.low, span.high)


def _class(row: ClassCount, ranges: Ranges) -> Flag | None:
    figure = _figure(row, ranges)
    side = _side(figure.value, figure.span) if figure else None
    name = NAMES[row.key][side] if side is not None and row.key in NAMES else None
    if figure is None or side is None or name is None:
        return None
    if name == "immature_granulocytes":
        key, words = name, "Immature granulocytes present, to review"
    else:
        key = name if figure.basis == "absolute" else f"relative_{name}"
        words = f"{key.replace('_', ' ').capitalize()} to review"
    value, unit, span = figure.value, figure.unit, figure.span
    message = (
        f"{words}: {_against(value, unit, span, ranges.name)} ({figure.basis}; {_sureness(figure, side)})."
    )
    return Flag(key, message, figure.basis, value, unit, span.low, span.high)


def _figure(row: ClassCount, ranges: Ranges) -> _Figure | None:
    found = row.concentration
    if found and row.key in ranges.absolute:
        span = ranges.absolute[row.key]
        return _Figure("absolute", CONCENTRATION, found.value, found.low, found.high, span)
    if row.key in ranges.relative:
        share, span = row.share, ranges.relative[row.key]
        return _Figure("relative", PERCENT, share.percent, share.low, share.high, span)
    return None


def _side(value: float, span: Range) -> int | None:
    """``BELOW`` or ``ABOVE`` the range, None within."""
    if span.low is not None and value < span.low:
        return BELOW
    return ABOVE if span.high is not None and value > span.high else None


def _against(value: float, unit: str, span: Range, band: str) -> str:
    """The value beside its range, in words."""
    found = f"{_number(value, unit)} {WRITTEN[unit]}"
    if span.low is None and span.high == 0:
        return f"{found}, and the range ({band}) is none"
    if span.low is None:
        return f"{found}, above the range ({band}) of up to {span.high:g} {WRITTEN[unit]}"
    if span.high is None:
        return f"{found}, below the range ({band}) of {span.low:g} {WRITTEN[unit]} and more"
    where = "below" if value < span.low else "above"
    return f"{found}, {where} the range ({band}) of {span.low:g} to {span.high:g} {WRITTEN[unit]}"


def _sureness(figure: _Figure, side: int) -> str:
    """The count's limits, and whether they leave it open that the figure is in its range after all."""
    limits = f"95 % limits {_number(figure.low, figure.unit)} to {_number(figure.high, figure.unit)}"
    clear = _side(figure.low, figure.span) == _side(figure.high, figure.span) == side
    return f"{limits}, all {('below', 'above')[side]} it" if clear else f"{limits}, which reach into it"


def _number(value: float, unit: str) -> str:
    """Percentages to one decimal, concentrations to two, as haematology reports print them."""
    return f"{value:.{1 if unit == PERCENT else 2}f}"
