"""What in a differential a person should review: figures outside their reference range, never a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from leukolens.differential.counts import ClassCount, Differential, Flag
from leukolens.differential.percentages import together
from leukolens.differential.ranges import Range, Ranges
from leukolens.taxonomy import ALL_CLASSES, BLAST, CellClass, cell_class

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


NO_BLASTS = Range(low=None, high=0.0)
"""In nobody's blood, so that no laboratory's file has a range for them."""


def flags(differential: Differential, ranges: Ranges) -> tuple[Flag, ...]:
    """What to review: blasts first, then the total, then class by class.

    Any blast that a person named is flagged, one that a field's edge cuts too. Ranges are of the machine's
    classes: what only a person tells apart, such as bands, is compared together with the class that it is a
    form of.

    With a total white cell count each class is compared as a concentration; without one, or where the ranges
    have no concentration for it, as a percentage. The percentages are the counted ones, as a person would
    count them, not the corrected.

    Args:
        differential: The sample.
        ranges: Of the person it comes from.
    """
    found = [_blasts(differential, ranges), _total(differential, ranges)]
    if differential.denominator:
        found += [_class(row, ranges, forms) for row, forms in _with_forms(differential)]
    return tuple(flag for flag in found if flag)


def _blasts(differential: Differential, ranges: Ranges) -> Flag | None:
    number = max(differential.tally.blasts, differential.tally.counts.get(BLAST, 0))
    if not number:
        return None
    row = together(differential, (BLAST,))
    value = row.share.percent
    seen = f"{number} {'cells' if number > 1 else 'cell'} that a person named so"
    # One at an edge is in no percentage, which would otherwise read as if there were none.
    counted = f", {row.count} of them counted" if row.count < number else ""
    limits = f"95 % limits {_number(row.share.low, PERCENT)} to {_number(row.share.high, PERCENT)}"
    message = (
        f"Blasts present, to review: {seen}{counted}, {_number(value, PERCENT)} %, and the range ({ranges.name}) "
        f"is none (relative; {limits})."
    )
    return Flag("blasts", message, "relative", value, PERCENT, NO_BLASTS.low, NO_BLASTS.high)


def _with_forms(differential: Differential) -> list[tuple[ClassCount, tuple[CellClass, ...]]]:
    """Each of the machine's classes with what only a person tells apart from it, and which classes those are."""
    rows = {row.key: row for row in differential.classes}
    keys = [kind.key for kind in ALL_CLASSES if kind.form_of is None and kind.key != BLAST]
    found = []
    for key in keys:
        forms = tuple(cell_class(row) for row in rows if cell_class(row).form_of == key)
        if forms:
            found.append((together(differential, (key, *(form.key for form in forms))), forms))
        elif key in rows:
            found.append((rows[key], ()))
    return found


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


def _class(row: ClassCount, ranges: Ranges, forms: tuple[CellClass, ...] = ()) -> Flag | None:
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
    along = f"; {', '.join(form.name.lower() for form in forms)} counted along" if forms else ""
    message = (
        f"{words}: {_against(value, unit, span, ranges.name)} "
        f"({figure.basis}; {_sureness(figure, side)}{along})."
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
