"""A sample's report from its rows: as persons named its cells, and as the machine did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

import leukolens
from leukolens.bundle import load
from leukolens.card import Card
from leukolens.differential.counts import Differential, Flag, Tally
from leukolens.differential.flags import flags
from leukolens.differential.percentages import differential
from leukolens.differential.ranges import Ranges, load_ranges
from leukolens.imaging.framing import Box
from leukolens.reading import cell as reading
from leukolens.reading.reader import NO_WHITE_CELL
from leukolens.report.counting import Asked, confusion_for, counted_report, settings
from leukolens.report.sample import Origin, Review, SampleReport, tally_cells
from leukolens.server.review import comments, turns
from leukolens.server.review.blind import hidden
from leukolens.server.review.shown import SETTLED, Answers, machine_label
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Answer, Cell, Field, Report, Sample
from leukolens.taxonomy import CLASS_KEYS

UNREAD = "no field is read yet"


@dataclass(frozen=True, slots=True)
class Live:
    """The differentials that stand beside a gallery while it is worked on.

    A cell whose machine's answer is hidden is in neither of them until it is named: with a few such cells, what a
    class is short of would tell what the machine calls them. A report counts them as the machine says.

    Attributes:
        reviewed: As persons named the cells.
        machine: As the machine did, on its own.
        flags: Of the reviewed one.
        hidden: Cells that are in neither.
    """

    reviewed: Differential
    machine: Differential
    flags: tuple[Flag, ...]
    hidden: int = 0


def report(session: Session, sample: Sample, files: Files, *, turn: int | None = None) -> SampleReport:
    """The sample as persons named its cells, with what they did to it; preliminary.

    A cell that nobody named counts as the machine says. Fields that are still to be read are left out.

    Args:
        session: To read by.
        sample: The sample.
        files: Where its bundle lies.
        turn: Whose answers count; None for what counts in the end.

    Raises:
        BundleError: Where the bundle that it was read with is not there any more.
    """
    card = card_of(files, sample.bundle_sha256)
    rows = _rows(session, sample, turn)
    fields = _fields(session, sample)
    present = _by_field((row.field_id, _cell(row, said=row.said)) for row in rows if not row.deleted)
    made = _made(sample, card, fields, [_reviewed(field, present[field.id]) for field in fields])
    return replace(made, review=_review(session, sample, rows, files))


def machine(session: Session, sample: Sample, files: Files) -> SampleReport:
    """The sample as the machine read it: exactly what `leukolens read` reports of the same fields.

    Args:
        session: To read by.
        sample: The sample.
        files: Where its bundle lies.

    Raises:
        BundleError: Where the bundle that it was read with is not there any more.
    """
    card = card_of(files, sample.bundle_sha256)
    fields = _fields(session, sample)
    found = _by_field(
        (row.field_id, _cell(row, said=None)) for row in _rows(session, sample, 0) if row.drawn_by is None
    )
    return _made(sample, card, fields, [_as_read(field, found[field.id]) for field in fields])


def live(session: Session, sample: Sample, files: Files, *, turn: int | None = None) -> Live:
    """The differentials alone, fast enough for every key that is pressed.

    Args:
        session: To read by; asked once.
        sample: The sample.
        files: Where its bundle lies.
        turn: As in `report`.

    Raises:
        BundleError: Where the bundle that it was read with is not there any more.
    """
    turn = SETTLED if turn is None else turn
    answers = Answers(turn)
    columns = (
        Cell.machine_class, Cell.decision, Cell.at_edge, Cell.deleted, Cell.drawn_by.is_not(None).label("drawn"),
        answers.first(Answer.label).label("said"), hidden(turn).label("unseen"),
    )  # fmt: skip
    # Grouped from outside, since PostgreSQL groups by no expression that is NULL.
    each = answers.joined(select(*columns).where(Cell.sample_id == sample.id)).subquery()
    found = session.execute(select(each, func.count().label("number")).group_by(*each.c)).all()
    kinds = [kind for kind in found if not kind.unseen]
    reviewed = _differential(
        files, sample, [(_told(kind, said=kind.said), kind.number) for kind in kinds if not kind.deleted]
    )
    own = _differential(
        files, sample, [(_told(kind, said=None), kind.number) for kind in kinds if not kind.drawn]
    )
    unseen = sum(kind.number for kind in found if kind.unseen and not kind.deleted)
    return Live(reviewed, own, flags(reviewed, _ranges()), unseen)


def card_of(files: Files, sha256: str) -> Card:
    """The card of a bundle of the server's.

    Raises:
        BundleError: Where it is not there any more, or damaged.
    """
    return _card(files.bundle(sha256))


@lru_cache(maxsize=16)
def _card(path: Path) -> Card:
    # The file is named by its digest, so that what was read once stays true.
    return load(path).card


@lru_cache(maxsize=1)
def _ranges() -> Ranges:
    return load_ranges().for_person(None, None)


def _made(
    sample: Sample, card: Card, rows: Sequence[Field], fields: Sequence[reading.FieldReading]
) -> SampleReport:
    asked = Asked(white_count=sample.white_count)
    engines = sorted({row.engine for row in rows if row.engine})
    origin = Origin(
        leukolens.__version__,
        card.name,
        sample.bundle_sha256,
        ", ".join(engines) or UNREAD,
        settings(asked),
        card.caution,
    )
    return counted_report(sample.key, fields, card=card, origin=origin, ranges=_ranges(), asked=asked)


def _review(session: Session, sample: Sample, rows: Sequence[Row[Any]], files: Files) -> Review:
    own = [(_told(row, said=None), 1) for row in rows if row.drawn_by is None]
    present = [row for row in rows if not row.deleted]
    found = [row for row in present if row.drawn_by is None and row.said is not None]
    kept = sum(row.said == machine_label(row.machine_class, row.decision) for row in found)
    reopened = (
        select(Report.reopened_why)
        .where(Report.sample_id == sample.id, Report.reopened_why.is_not(None))
        .order_by(Report.version)
    )
    return Review(
        status="preliminary",
        version=0,
        reviewer="",
        signed=None,
        confirmed=kept,
        changed=len(found) - kept,
        drawn=sum(row.drawn_by is not None for row in present),
        deleted=sum(row.deleted and row.drawn_by is None for row in rows),
        machine=_differential(files, sample, own),
        comments=tuple((finding.name, grade) for finding, grade in comments.said(session, sample)),
        reopened=tuple(why for why in session.scalars(reopened) if why is not None),
        kappa=turns.kappa(session, sample),
    )


def _differential(files: Files, sample: Sample, cells: Iterable[tuple[reading.Cell, int]]) -> Differential:
    cells = list(cells)
    path = files.bundle(sample.bundle_sha256)
    card = _card(path)
    counts = tally_cells(cells, card.classes)
    corrected = confusion_for((cell for cell, _ in cells), card) is not None
    return _counted(
        path,
        tuple(counts.counts.items()),
        (counts.unsure, counts.at_edge, counts.not_leukocyte),
        counts.nucleated_red_cells,
        counts.blasts,
        corrected,
        sample.white_count,
    )


@lru_cache(maxsize=256)
def _counted(
    bundle: Path,
    counts: tuple[tuple[str, int], ...],
    outside: tuple[int, int, int],
    nucleated_red_cells: int | None,
    blasts: int,
    corrected: bool,
    white_count: float | None,
) -> Differential:
    # Correcting takes a moment, and the machine's answers are the same whatever key is pressed.
    counted = Tally(dict(counts), *outside, nucleated_red_cells, blasts)
    confusion = _card(bundle).confusion if corrected else None
    return differential(counted, confusion=confusion, white_count=white_count)


def _fields(session: Session, sample: Sample) -> Sequence[Field]:
    read = Field.sample_id == sample.id, Field.state != "waiting"
    return session.scalars(select(Field).where(*read).order_by(Field.place)).all()


def _rows(session: Session, sample: Sample, turn: int | None) -> Sequence[Row[Any]]:
    """Every cell of the sample in reading order, struck out or not, with what a person says of it."""
    answers = Answers(SETTLED if turn is None else turn)
    query = select(
        Cell.field_id, Cell.x0, Cell.y0, Cell.x1, Cell.y1, Cell.machine_class, Cell.probabilities, Cell.decision,
        Cell.reason, Cell.at_edge, Cell.score, Cell.distance, Cell.class_set, Cell.deleted, Cell.drawn_by,
        answers.first(Answer.label).label("said"),
    ).where(Cell.sample_id == sample.id)  # fmt: skip
    return session.execute(
        answers.joined(query).order_by(Cell.field_id, Cell.y0, Cell.x0, Cell.y1, Cell.x1, Cell.id)
    ).all()


def _by_field(cells: Iterable[tuple[int, reading.Cell]]) -> dict[int, list[reading.Cell]]:
    found: dict[int, list[reading.Cell]] = defaultdict(list)
    for field_id, cell in cells:
        found[field_id].append(cell)
    return found


def _cell(row: Row[Any], *, said: str | None) -> reading.Cell:
    given = row.probabilities or {}
    return reading.Cell(
        box=Box(row.x0, row.y0, row.x1, row.y1),
        # PostgreSQL keeps no order of keys, and of two that are equally probable the first one is the class.
        probabilities={key: given[key] for key in CLASS_KEYS if key in given},
        decision=row.decision or "review",
        reason=row.reason,
        at_edge=row.at_edge,
        score=row.score,
        distance=row.distance,
        class_set=None if row.class_set is None else tuple(row.class_set),
        reviewed=said,
    )


def _told(row: Row[Any], *, said: str | None) -> reading.Cell:
    """As much of a cell as counting asks for."""
    sure = {} if row.machine_class is None else {row.machine_class: 1.0}
    return reading.Cell(Box(0, 0, 1, 1), sure, row.decision or "review", "", row.at_edge, reviewed=said)


def _as_read(field: Field, cells: Sequence[reading.Cell]) -> reading.FieldReading:
    return _reading(field, _status(field.state), field.reason, cells)


def _reviewed(field: Field, cells: Sequence[reading.Cell]) -> reading.FieldReading:
    """A field in which a person drew the first cell, or struck out the last, is no longer what was read."""
    if field.state == "failed":
        return _reading(field, "failed", field.reason, ())
    return _reading(field, "ok" if cells else "no_cell", None if cells else NO_WHITE_CELL, cells)


def _reading(
    field: Field, status: reading.Status, reason: str | None, cells: Sequence[reading.Cell]
) -> reading.FieldReading:
    return reading.FieldReading(
        path=Path(f"field-{field.place}"),
        status=status,
        reason=reason,
        sha256=field.image_sha256,
        width=field.width,
        height=field.height,
        cells=tuple(cells),
        red_cells=field.red_cells,
        platelets=field.platelets,
        pixels_per_micrometre=field.pixels_per_micrometre,
    )


def _status(state: str) -> reading.Status:
    return "failed" if state == "failed" else "no_cell" if state == "no_cell" else "ok"
