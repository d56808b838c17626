"""The demo's table: each class as drawn and as found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from leukolens.cli.read_shown import counted
from leukolens.report.drawn_and_found import Compared, drawn_counts, score
from leukolens.report.sample import SampleReport
from leukolens.taxonomy import CLASSES, cell_class

COLUMNS = ("class", "drawn", "percent", "found", "percent", "low", "high")

_COLOURS = {cell.name: cell.colour for cell in CLASSES}


def rows(compared: Sequence[Compared], report: SampleReport) -> Iterator[tuple[str, ...]]:
    """One row a class under `COLUMNS`, and one for the unsure cells where there are some."""
    counts, found = drawn_counts(compared), report.differential
    for row in found.classes:
        drawn = counts[row.key]
        share = f"{100 * drawn / max(counts.total(), 1):.1f}"
        limits = f"{row.share.percent:.1f}", f"{row.share.low:.1f}", f"{row.share.high:.1f}"
        yield cell_class(row.key).name, str(drawn), share, str(row.count), *limits
    unsure = found.unsure
    if unsure and found.tally.unsure:
        limits = f"{unsure.percent:.1f}", f"{unsure.low:.1f}", f"{unsure.high:.1f}"
        yield "Unsure", "", "", str(found.tally.unsure), *limits


def lines(compared: Sequence[Compared], report: SampleReport, stream: IO[str]) -> None:
    """Writes the rows, columns parted by tabs."""
    for row in (COLUMNS, *rows(compared, report)):
        stream.write("\t".join(row) + "\n")


def table(compared: Sequence[Compared], report: SampleReport, console: Console) -> None:
    """Prints the rows."""
    shown = Table(box=box.SIMPLE_HEAD)
    for heading in ("class", "drawn", "%", "found", "%", "95 % limits"):
        shown.add_column(heading, justify="left" if heading == "class" else "right", no_wrap=True)
    for name, *numbers, low, high in rows(compared, report):
        shown.add_row(Text(name, style=_COLOURS.get(name, "dim")), *numbers, f"{low} to {high}")
    console.print(shown)


def summary(compared: Sequence[Compared]) -> str:
    """What the comparison comes to, in one sentence."""
    came_to = score(compared)
    extra = f"; {counted(came_to.extra, 'cell')} found where none was drawn" if came_to.extra else ""
    return (
        f"{came_to.found} of {counted(came_to.drawn, 'drawn cell')} found, {came_to.as_drawn} of them called "
        f"by the class that was drawn{extra}."
    )
