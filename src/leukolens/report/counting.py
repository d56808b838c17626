"""From a sample's fields to its report: counted, with limits, against reference ranges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from leukolens.card import Card
from leukolens.differential.confusion import Confusion
from leukolens.differential.flags import flags
from leukolens.differential.percentages import differential
from leukolens.differential.ranges import Ranges
from leukolens.reading.batch_check import asked_of, check
from leukolens.reading.cell import Cell, FieldReading
from leukolens.report.sample import Origin, SampleReport, tally


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for that changes what a report says of equal fields.

    Attributes:
        white_count: Total white cells, 10^9/L; None where nobody measured them.
        nucleated_red_cells: What a person counted along the way; None where nobody counted.
        age: Years; None where not known.
        sex: None where not known.
        ranges: A laboratory's own reference ranges; None for the shipped ones.
        count_edges: Whether cells cut by a field's edge count like others.
    """

    white_count: float | None = None
    nucleated_red_cells: int | None = None
    age: float | None = None
    sex: Literal["female", "male"] | None = None
    ranges: Path | None = None
    count_edges: bool = False


def counted_report(
    name: str, fields: Iterable[FieldReading], *, card: Card, origin: Origin, ranges: Ranges, asked: Asked
) -> SampleReport:
    """The report of a sample.

    Args:
        name: The sample's name.
        fields: Its fields, in reading order, failed ones too.
        card: Of the bundle that they were read with.
        origin: What they were read with.
        ranges: Of the person.
        asked: What else bears on it.
    """
    fields = tuple(fields)
    counts = tally(
        fields,
        card.classes,
        count_edges=asked.count_edges,
        nucleated_red_cells=asked.nucleated_red_cells,
    )
    cells = (cell for field in fields for cell in field.cells)
    confusion = confusion_for(cells, card, count_edges=asked.count_edges)
    found = differential(counts, confusion=confusion, white_count=asked.white_count)
    batch = check((distance for field in fields for distance in asked_of(field.cells)), card.judgement)
    return SampleReport(name, fields, found, flags(found, ranges), origin, batch)


def confusion_for(cells: Iterable[Cell], card: Card, *, count_edges: bool = False) -> Confusion | None:
    """What a count of these cells may be corrected by; None as soon as a person named one that is counted.

    The confusion is that of the machine's answers, unsure among them, on all cells that it is shown. Where a person
    has looked at every cell nothing of it is left. Where a person has looked at some, those are the doubtful ones: the
    rest is confused less often than was measured, by nobody knows how much, and a correction would take away too much.

    Args:
        cells: Of the sample.
        card: Of the bundle that they were read with.
        count_edges: Whether cells cut by a field's edge count like others.
    """
    counts = (cell for cell in cells if count_edges or not cell.at_edge)
    named = any(cell.reviewed is not None or not cell.probabilities for cell in counts)
    return None if named else card.confusion


def settings(asked: Asked) -> tuple[tuple[str, str], ...]:
    """What was asked for, in words; a file of ranges by its digest, since its path is nobody's business."""
    import hashlib

    said = [("cells at an edge", "counted" if asked.count_edges else "left out")]
    if asked.white_count is not None:
        said.append(("white cell count", f"{asked.white_count:g} x 10^9/L"))
    if asked.nucleated_red_cells is not None:
        said.append(("nucleated red cells counted", str(asked.nucleated_red_cells)))
    if asked.age is not None:
        said.append(("age", f"{asked.age:g} years"))
    if asked.sex is not None:
        said.append(("sex", asked.sex))
    if asked.ranges is None:
        said.append(("reference ranges", "as shipped"))
    else:
        digest = hashlib.sha256(asked.ranges.read_bytes()).hexdigest()
        said.append(("reference ranges", f"a file of the laboratory's, sha256 {digest}"))
    return tuple(said)
