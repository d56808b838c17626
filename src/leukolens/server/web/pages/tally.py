"""The differential beside the gallery: the reviewed figures with their limits, and the machine's next to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from leukolens.differential.counts import ClassCount, Differential
from leukolens.server.review.counted import Live
from leukolens.server.web import machine_words
from leukolens.server.web.pages.kinds import Kind, kinds
from leukolens.taxonomy import in_order

WIDTH = 300.0
NOTHING = "–"
LEAST_SCALE = 20.0
"""Per cent that the bars show at least, so that few cells don't fill them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One class.

    Attributes:
        kind: The class.
        count: Cells, reviewed.
        percent: Reviewed, per cent of the leukocytes; *low* and *high* are its 95 % limits.
        low: As ``percent``.
        high: As ``percent``.
        machine: The machine's percentage; a dash where it knows no such class.
        concentration: 10^9/L; empty where the white cell count isn't known.
        differs: Whether the two are different when rounded as shown.
        x: Where the percentage stands on the bar, of `WIDTH`; likewise the others.
        x_low: As ``x``.
        x_high: As ``x``.
        x_machine: As ``x``; None where there is none.
    """

    kind: Kind
    count: int
    percent: str
    low: str
    high: str
    machine: str
    concentration: str
    differs: bool
    x: float
    x_low: float
    x_high: float
    x_machine: float | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A differential as a page shows it.

    Attributes:
        denominator: Leukocytes that are counted.
        rows: One a class.
        left_out: What is not counted, by its name and number.
        unsure: Cells that nobody would name.
        nucleated: Nucleated red cells per 100 leukocytes; None where nobody counted.
        concentrations: Whether the rows have some.
        flags: What to look at, in words of the reader's language.
        warnings: What to know, likewise.
        hidden: Cells that are counted nowhere yet, since the machine's answer is hidden.
    """

    denominator: int
    rows: tuple[Row, ...]
    left_out: tuple[tuple[str, int], ...]
    unsure: int
    nucleated: str | None
    concentrations: bool
    flags: tuple[str, ...]
    warnings: tuple[str, ...]
    hidden: int


def shown(live: Live, language: str) -> Shown:
    """A sample's differential for a page.

    Args:
        live: As persons named the cells, and as the machine did.
        language: Code of the page's.
    """
    reviewed = live.reviewed
    tally = reviewed.tally
    return Shown(
        denominator=reviewed.denominator,
        rows=tuple(_rows(reviewed, live.machine, kinds(language))),
        left_out=(
            ("unsure", tally.unsure),
            ("at_edge", tally.at_edge),
            ("not_leukocyte", tally.not_leukocyte),
        ),
        unsure=tally.unsure,
        nucleated=None if reviewed.nucleated_red_cells is None else f"{reviewed.nucleated_red_cells:.1f}",
        concentrations=reviewed.white_count is not None,
        flags=tuple(machine_words.said(language, "flag", flag.message) for flag in live.flags),
        warnings=tuple(machine_words.said(language, "warning", line) for line in reviewed.warnings),
        hidden=live.hidden,
    )


def _rows(reviewed: Differential, machine: Differential, kinds: dict[str, Kind]) -> Iterator[Row]:
    by_hand = {row.key: row for row in reviewed.classes}
    by_machine = {row.key: row for row in machine.classes}
    most = max([row.share.high for row in (*by_hand.values(), *by_machine.values())] or [0.0])
    scale = WIDTH / max(min(most, 100.0), LEAST_SCALE)
    for key in in_order({*by_hand, *by_machine}):
        if key in by_hand:
            yield _row(kinds[key], by_hand[key], by_machine.get(key), scale)


def _row(kind: Kind, row: ClassCount, machine: ClassCount | None, scale: float) -> Row:
    percent = f"{row.share.percent:.1f}"
    said = NOTHING if machine is None else f"{machine.share.percent:.1f}"
    return Row(
        kind=kind,
        count=row.count,
        percent=percent,
        low=f"{row.share.low:.1f}",
        high=f"{row.share.high:.1f}",
        machine=said,
        concentration="" if row.concentration is None else f"{row.concentration.value:.2f}",
        differs=said not in {percent, NOTHING},
        x=round(row.share.percent * scale, 1),
        x_low=round(row.share.low * scale, 1),
        x_high=round(min(row.share.high * scale, WIDTH), 1),
        x_machine=None if machine is None else round(machine.share.percent * scale, 1),
    )
