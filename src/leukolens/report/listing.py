"""How reports name a sample's fields and cells: by their place, so that no file name leaves unasked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from leukolens.reading.cell import Cell, FieldReading
from leukolens.report.sample import SampleReport, counted_as
from leukolens.taxonomy import UNSURE


@dataclass(frozen=True, slots=True)
class Listed:
    """One cell of a sample, with its place.

    Attributes:
        field: The field's number, from 1.
        number: The cell's number in the field, from 1.
        cell: The cell.
        counted_as: Where it went in the tally, as `counted_as` says.
    """

    field: int
    number: int
    cell: Cell
    counted_as: str

    @property
    def label(self) -> str:
        """The class that it is shown as: what a person says, `UNSURE` included, else the machine's."""
        return self.cell.reviewed or self.machine_label or UNSURE

    @property
    def machine_label(self) -> str | None:
        """The machine's class; None where nobody asked it."""
        return self.cell.label if self.cell.probabilities else None

    @property
    def certainty(self) -> float:
        """The probability of the machine's class, 0 to 1; 0 where nobody asked it."""
        return max(self.cell.probabilities.values(), default=0.0)


def listed(report: SampleReport) -> Iterator[Listed]:
    """Every cell of the sample, in reading order."""
    for place, field in enumerate(report.fields, start=1):
        yield from listed_in(report, place, field)


def listed_in(report: SampleReport, place: int, field: FieldReading) -> Iterator[Listed]:
    """The cells of one of the sample's fields.

    Args:
        report: The sample; its tally tells whether cells at the edge were counted.
        place: The field's number, from 1.
        field: The field.
    """
    # Where edges did not count, each cell at an edge is in the tally's row for them; none there means that
    # they counted, or that there was none.
    count_edges = report.differential.tally.at_edge == 0
    for number, cell in enumerate(field.cells, start=1):
        yield Listed(place, number, cell, counted_as(cell, count_edges=count_edges))


def field_name(place: int) -> str:
    """What a report calls the field in this place, from 1: ``field-001``."""
    return f"field-{place:03d}"


def nameless_reason(field: FieldReading) -> str | None:
    """What went wrong with a field, without its path or file name."""
    if field.reason is None:
        return None
    reason = field.reason.replace(str(field.path), "the file")
    if not field.path.suffix:  # a name that could be any word is not looked for
        return reason
    return re.sub(rf"(?<!\w){re.escape(field.path.name)}(?!\w)", "the file", reason)
