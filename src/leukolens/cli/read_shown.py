"""What a person sees of read samples: a table on a terminal, lines parted by tabs elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from leukolens.differential.counts import ClassCount, Concentration, Share
from leukolens.report.sample import SampleReport
from leukolens.report.tables import printable
from leukolens.taxonomy import CLASSES, cell_class

COLUMNS = (
    "sample",
    "class",
    "count",
    "percent",
    "low",
    "high",
    "corrected",
    "low",
    "high",
    "10^9/L",
    "low",
    "high",
)
MOST_FAILURES = 10

_COLOURS = {cell.name: cell.colour for cell in CLASSES}


def lines(report: SampleReport, written: Path, stream: IO[str]) -> None:
    """Writes a sample's rows, columns parted by tabs, then what else there is to say, a line each."""
    for row in _rows(report):
        stream.write("\t".join((report.name, *row)) + "\n")
    for sentence in sentences(report, written):
        stream.write(sentence + "\n")


@dataclass(frozen=True, slots=True)
class Shown:
    """A sample for a terminal: small, whatever the number of its fields.

    Attributes:
        table: Its differential.
        below: What else there is to say.
    """

    table: Table
    below: tuple[Text, ...]

    def print(self, console: Console) -> None:
        """Prints it."""
        console.print(self.table)
        for sentence in self.below:
            console.print(sentence, soft_wrap=True)
        console.print()


def shown(report: SampleReport, written: Path) -> Shown:
    """A sample as a table, with flags and warnings below it."""
    found = report.differential
    corrected = any(row.corrected for row in found.classes)
    measured = any(row.concentration for row in found.classes)
    table = Table(box=box.SIMPLE_HEAD, title=Text(report.name, style="bold"), title_justify="left")
    table.add_column("class", no_wrap=True)
    for heading, wanted in (
        ("cells", True), ("%", True), ("95 % limits", True), ("corrected %", corrected),
        ("95 % limits", corrected), ("10^9/L", measured), ("95 % limits", measured),
    ):  # fmt: skip
        if wanted:
            table.add_column(heading, justify="right", no_wrap=True)
    for name, count, *numbers in _rows(report):
        groups = [numbers[0:3], numbers[3:6], numbers[6:9]]
        cells: list[Text | str] = [Text(name, style=_COLOURS.get(name, "dim")), count]
        for (value, low, high), wanted in zip(groups, (True, corrected, measured), strict=True):
            if wanted:
                cells += [value, f"{low} to {high}" if low else ""]
        table.add_row(*cells)
    flagged = {flag.message for flag in report.flags}
    said = sentences(report, written)
    return Shown(table, tuple(Text(line, style="yellow" if line in flagged else "") for line in said))


def sum_of(report: SampleReport) -> str:
    """What was counted and what left out, in one sentence."""
    tally = report.differential.tally
    outside = {
        "unsure": tally.unsure,
        "cut by an edge": tally.at_edge,
        "no leukocyte": tally.not_leukocyte,
    }
    left_out = ", ".join(f"{count} {why}" for why, count in outside.items() if count)
    return (
        f"{counted(len(report.fields), 'field')}, {counted(tally.denominator, 'white cell')} counted"
        f"{f'; not counted: {left_out}' if left_out else ''}."
    )


def sentences(report: SampleReport, written: Path) -> Iterator[str]:
    """What was counted, what to review, what to know, and where the report lies."""
    yield sum_of(report)
    if report.differential.nucleated_red_cells is not None:
        yield f"{report.differential.nucleated_red_cells:.1f} nucleated red cells per 100 leukocytes."
    for flag in report.flags:
        yield flag.message
    yield from report.warnings
    failed = [field for field in report.fields if field.status == "failed"]
    for field in failed[:MOST_FAILURES]:
        yield f"Not read: {printable(str(field.path))}: {printable(field.reason or '')}"
    if len(failed) > MOST_FAILURES:
        yield f"Not read: {len(failed) - MOST_FAILURES} more; the report has them all."
    yield f"Report: {printable(str(written))}"


def _rows(report: SampleReport) -> Iterator[tuple[str, ...]]:
    """A row for each class and one for the unsure cells; the columns after the sample's name."""
    found = report.differential
    for row in found.classes:
        yield cell_class(row.key).name, str(row.count), *_numbers(row)
    if found.unsure is not None:
        yield "Unsure", str(found.tally.unsure), *_share(found.unsure), *[""] * 6


def _numbers(row: ClassCount) -> tuple[str, ...]:
    return (*_share(row.share), *_share(row.corrected), *_concentration(row.concentration))


def _share(share: Share | None) -> tuple[str, str, str]:
    if share is None:
        return "", "", ""
    return f"{share.percent:.1f}", f"{share.low:.1f}", f"{share.high:.1f}"


def _concentration(measure: Concentration | None) -> tuple[str, str, str]:
    if measure is None:
        return "", "", ""
    return f"{measure.value:.2f}", f"{measure.low:.2f}", f"{measure.high:.2f}"


def counted(number: int, noun: str) -> str:
    """``1 field``, ``2 fields``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
