"""One sample as every report shows it: its fields, their differential, and with what they were read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from leukolens.differential.counts import Differential, Flag, Tally
from leukolens.reading.batch_check import BatchCheck
from leukolens.reading.cell import Cell, FieldReading
from leukolens.taxonomy import CLASSES, cell_class


@dataclass(frozen=True, slots=True)
class Origin:
    """What a sample was read with.

    Attributes:
        leukolens: The program's version.
        bundle: The bundle's name.
        bundle_sha256: Its digest.
        engine: What ran its graphs, e.g. ``onnxruntime 1.27.0``.
        settings: What was asked for that could change an answer: name to value, in words.
    """

    leukolens: str
    bundle: str
    bundle_sha256: str
    engine: str
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SampleReport:
    """Everything that a report of one sample says; every format is written from it alone.

    Attributes:
        name: The sample's name.
        fields: Its fields in reading order, failed ones too.
        differential: Counted from their cells.
        flags: What a person should review.
        origin: What they were read with.
        batch: Whether the sample looks like anything learned; None where it has too few cells to tell, or
            the bundle doesn't know.
    """

    name: str
    fields: tuple[FieldReading, ...]
    differential: Differential
    flags: tuple[Flag, ...]
    origin: Origin
    batch: BatchCheck | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before using it, each one sentence or two; the gravest first."""
        strange = (self.batch.message,) if self.batch is not None and self.batch.unlike else ()
        return (*strange, *self.differential.warnings)


def counted_as(cell: Cell, *, count_edges: bool = False) -> str:
    """Where a cell goes in the tally: its class key, or *unsure*, *at_edge* or *not_leukocyte*.

    Args:
        cell: The cell.
        count_edges: Whether cells cut by a field's edge count like others.
    """
    if cell.at_edge and not count_edges:
        return "at_edge"
    if not cell_class(cell.label).leukocyte:
        return "not_leukocyte"
    return cell.label if cell.decision == "accept" else "unsure"


def tally(
    fields: Iterable[FieldReading],
    classes: Iterable[str],
    *,
    count_edges: bool = False,
    nucleated_red_cells: int | None = None,
) -> Tally:
    """Counts the cells of a sample's fields.

    Args:
        fields: The fields.
        classes: Class keys that the bundle can name.
        count_edges: Whether cells cut by a field's edge count like others.
        nucleated_red_cells: What a person counted along the way.
    """
    known = set(classes)
    counts = {kind.key: 0 for kind in CLASSES if kind.leukocyte and kind.key in known}
    outside = {"unsure": 0, "at_edge": 0, "not_leukocyte": 0}
    for field in fields:
        for cell in field.cells:
            place = counted_as(cell, count_edges=count_edges)
            (counts if place in counts else outside)[place] += 1
    return Tally(counts, **outside, nucleated_red_cells=nucleated_red_cells)
