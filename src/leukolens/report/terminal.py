"""What was identified, for a person at a terminal: a table, plain lines for a pipe, and the sum of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import IO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from leukolens.reading.cell import Decision, ImageReading
from leukolens.reading.trust import percent
from leukolens.report.tables import printable
from leukolens.taxonomy import cell_class

STYLES: dict[Decision, str] = {"accept": "green", "review": "yellow", "unknown": "magenta"}
COLUMNS = ("image", "cell", "probability", "decision", "reason")


def rows(reading: ImageReading) -> Iterator[tuple[str, str, str, str, str]]:
    """One row a cell under `COLUMNS`, and one for an image without any."""
    path = printable(str(reading.path))
    for cell in reading.cells:
        top = percent(cell.probabilities[cell.label])
        yield path, cell.label, top, cell.decision, cell.reason
    if not reading.cells:
        yield path, "", "", reading.status.replace("_", " "), printable(reading.reason or "")


class Tally:
    """Counts what became of the images."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.decisions: Counter[str] = Counter()

    def add(self, reading: ImageReading) -> None:
        """Counts one reading."""
        self.statuses[reading.status] += 1
        self.decisions.update(cell.decision for cell in reading.cells)

    @property
    def failed(self) -> int:
        """Images that could not be read."""
        return self.statuses["failed"]

    def summary(self) -> str:
        """How many images, and what became of them, in one line."""
        parts = [f"{self.decisions[key]} {key}" for key in STYLES if self.decisions[key]]
        if self.statuses["no_cell"]:
            parts.append(f"{self.statuses['no_cell']} without a cell")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return f"{_images(self.statuses.total())}: {', '.join(parts) or 'nothing'}."

    def complaint(self) -> str:
        """How many failed, in one line."""
        return f"{self.failed} of {_images(self.statuses.total())} could not be read; each row says why."


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


class TerminalTable:
    """A table as wide as the terminal, printed when all readings are in it; gives a reason for doubt only."""

    def __init__(self) -> None:
        self._table = Table(box=box.SIMPLE_HEAD)
        self._table.add_column(COLUMNS[0], overflow="fold")
        self._table.add_column(COLUMNS[1], no_wrap=True)
        self._table.add_column(COLUMNS[2], no_wrap=True, justify="right")
        self._table.add_column(COLUMNS[3], no_wrap=True)
        self._table.add_column(COLUMNS[4], overflow="fold", ratio=1)

    def add(self, reading: ImageReading) -> None:
        """Appends the reading's rows."""
        for path, label, probability, decision, reason in rows(reading):
            cell = cell_class(label) if label else None
            style = next((STYLES[key] for key in STYLES if key == decision), "dim")
            self._table.add_row(
                Text(path),
                Text(cell.name, style=cell.colour) if cell else "",
                probability,
                Text(decision, style="red" if reading.status == "failed" else style),
                Text("" if decision == "accept" else reason, style="dim"),
            )

    def print(self, console: Console) -> None:
        """Prints the table."""
        console.print(self._table)


class Lines:
    """One line a row as soon as it is there, columns parted by tabs: for pipes and files."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._stream.write("\t".join(COLUMNS) + "\n")

    def add(self, reading: ImageReading) -> None:
        """Writes the reading's rows."""
        for row in rows(reading):
            self._stream.write("\t".join(row) + "\n")
