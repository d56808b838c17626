"""One sample as every report shows it: its fields, their differential, and with what they were read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from leukolens.differential.counts import Differential, Flag, Tally
from leukolens.reading.batch_check import BatchCheck
from leukolens.reading.cell import Cell, FieldReading
from leukolens.taxonomy import BLAST, CLASSES, NUCLEATED_RED_CELL, UNSURE, cell_class, in_order


@dataclass(frozen=True, slots=True)
class Origin:
    """What a sample was read with.

    Attributes:
        leukolens: The program's version.
        bundle: The bundle's name.
        bundle_sha256: Its digest.
        engine: What ran its graphs, e.g. ``onnxruntime 1.27.0``.
        settings: What was asked for that could change an answer: name to value, in words.
        caution: What its card says must be known before answers are used; empty where there is nothing.
    """

    leukolens: str
    bundle: str
    bundle_sha256: str
    engine: str
    settings: tuple[tuple[str, str], ...] = ()
    caution: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """What persons did to a sample after it was read.

    Attributes:
        status: *preliminary* until it is signed, then *final*; *amended* where it was opened again and signed anew.
        version: Of the signed report, from 1; 0 where it isn't signed.
        reviewer: Full name of whoever signed; empty where nobody did.
        signed: When, UTC; None where it isn't.
        confirmed: Cells whose class a person left as the machine said.
        changed: Cells to which a person gave another class, unsure ones named included.
        drawn: Cells that a person added.
        deleted: Finds that a person struck out.
        machine: The machine's own differential of the same fields.
        comments: What a person says of red cells and platelets: finding and grade, in words.
        reopened: Why each earlier version was opened again, oldest first.
        trail_hash: Newest hash of the audit trail when it was signed; empty where it isn't.
        kappa: Cohen's kappa of two readers; None where one reader read.
    """

    status: Literal["preliminary", "final", "amended"]
    version: int
    reviewer: str
    signed: datetime | None
    confirmed: int
    changed: int
    drawn: int
    deleted: int
    machine: Differential
    comments: tuple[tuple[str, str], ...] = ()
    reopened: tuple[str, ...] = ()
    trail_hash: str = ""
    kappa: float | None = None


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
        review: What persons did to it since; None where nobody looked.
    """

    name: str
    fields: tuple[FieldReading, ...]
    differential: Differential
    flags: tuple[Flag, ...]
    origin: Origin
    batch: BatchCheck | None = None
    review: Review | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before using it, each one sentence or two; the gravest first."""
        strange = (self.batch.message,) if self.batch is not None and self.batch.unlike else ()
        untold = (self.origin.caution,) if self.origin.caution else ()
        return (*strange, *untold, *self.differential.warnings)


def counted_as(cell: Cell, *, count_edges: bool = False) -> str:
    """Where a cell goes in the tally: its class key, or *unsure*, *at_edge* or *not_leukocyte*.

    What a person says goes before what the machine answered, sure or not.

    Args:
        cell: The cell.
        count_edges: Whether cells cut by a field's edge count like others.
    """
    if cell.at_edge and not count_edges:
        return "at_edge"
    said = cell.reviewed or (cell.label if cell.probabilities else UNSURE)
    if said == UNSURE:
        return UNSURE
    if not cell_class(said).leukocyte:
        return "not_leukocyte"
    return said if cell.reviewed or cell.decision == "accept" else UNSURE


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
        nucleated_red_cells: What a person counted along the way; None counts the cells that a person named so.
    """
    cells = ((cell, 1) for field in fields for cell in field.cells)
    return tally_cells(cells, classes, count_edges=count_edges, nucleated_red_cells=nucleated_red_cells)


def tally_cells(
    cells: Iterable[tuple[Cell, int]],
    classes: Iterable[str],
    *,
    count_edges: bool = False,
    nucleated_red_cells: int | None = None,
) -> Tally:
    """As `tally`, of cells of which each stands for as many as its number says."""
    known = set(classes)
    counts = {kind.key: 0 for kind in CLASSES if kind.leukocyte and kind.key in known}
    outside = {UNSURE: 0, "at_edge": 0, "not_leukocyte": 0}
    nucleated = blasts = 0
    for cell, number in cells:
        place = counted_as(cell, count_edges=count_edges)
        if place in outside:
            outside[place] += number
        else:
            counts[place] = counts.get(place, 0) + number
        blasts += number * (cell.reviewed == BLAST)
        nucleated += number * (cell.reviewed == NUCLEATED_RED_CELL and place == "not_leukocyte")
    if nucleated_red_cells is None and nucleated:
        nucleated_red_cells = nucleated
    # Only a person names what the bundle doesn't know: such a class has a row where there is a cell of it.
    rows = {key: counts[key] for key in in_order(set(counts))}
    return Tally(rows, **outside, nucleated_red_cells=nucleated_red_cells, blasts=blasts)
