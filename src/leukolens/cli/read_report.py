"""From a sample's fields to its report: counted, with limits, against reference ranges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import leukolens
from leukolens.differential.flags import flags
from leukolens.differential.percentages import differential
from leukolens.differential.ranges import load_ranges
from leukolens.reading.batch_check import asked_of, check
from leukolens.report.sample import Origin, SampleReport, tally

if TYPE_CHECKING:
    from leukolens.cli.read_fields import Reads
    from leukolens.reading.cell import FieldReading


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


class Reporter:
    """Makes the reports of samples that are read with one reader.

    Args:
        reader: What their fields are read with.
        asked: What else bears on them.

    Raises:
        LeukolensError: Where the reference ranges cannot be read.
    """

    def __init__(self, reader: Reads, asked: Asked) -> None:
        self._asked, self._card = asked, reader.bundle.card
        self._ranges = load_ranges(asked.ranges).for_person(asked.age, asked.sex)
        self.origin = Origin(
            leukolens.__version__,
            reader.bundle.card.name,
            reader.bundle.sha256,
            reader.engine,
            settings(asked),
        )

    def report(self, name: str, fields: Iterable[FieldReading]) -> SampleReport:
        """The report of a sample.

        Args:
            name: The sample's name.
            fields: Its fields, in reading order, failed ones too.
        """
        fields, asked = tuple(fields), self._asked
        counted = tally(
            fields,
            self._card.classes,
            count_edges=asked.count_edges,
            nucleated_red_cells=asked.nucleated_red_cells,
        )
        found = differential(counted, confusion=self._card.confusion, white_count=asked.white_count)
        batch = check(
            (distance for field in fields for distance in asked_of(field.cells)), self._card.judgement
        )
        return SampleReport(name, fields, found, flags(found, self._ranges), self.origin, batch)


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
