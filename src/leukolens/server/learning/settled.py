"""What persons have said of cells for good: the labels that a bundle can learn from.

A cell counts where a person has named it, by itself or together with others by one act: leaving it as the machine
had it is no label. Of two readers' cells only what both say, or a third has settled, counts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, or_, select
from sqlalchemy.orm import Session, aliased

from leukolens.server.review.shown import machine_label
from leukolens.server.review.turns import FIRST, SECOND, SETTLING
from leukolens.server.store.tables import Answer, Cell, Field, Reading, Sample
from leukolens.taxonomy import UNSURE

NOT_SETTLED, AT_EDGE = "not_settled", "at_edge"
REASONS = (UNSURE, NOT_SETTLED, AT_EDGE)
"""Why a cell that a person has named teaches nothing: it has no class, readers differ, part of it is not seen."""


@dataclass(frozen=True, slots=True)
class Named:
    """A cell that has a name for good.

    Attributes:
        cell_id: The cell.
        sample_id: Its sample.
        image_sha256: Its field's image.
        label: A class's key, the machine's or the reviewer's.
        grouped: Whether it was named with others by one act.
    """

    cell_id: int
    sample_id: int
    image_sha256: str
    label: str
    grouped: bool


def named(session: Session, *, signed_only: bool) -> tuple[list[Named], dict[str, int]]:
    """The cells that persons have named in samples that were not deleted, in reading order, and what is left out.

    Args:
        session: To read by.
        signed_only: Whether cells of open samples are passed over.

    Returns:
        The cells, and of each of `REASONS` that there is how many named cells are left out for it.
    """
    found: list[Named] = []
    left_out: Counter[str] = Counter()
    for row in _rows(session, signed_only=signed_only):
        label, grouped = _settled(row)
        if label is None:
            left_out[NOT_SETTLED] += 1
        elif label == UNSURE:
            left_out[UNSURE] += 1
        elif row.at_edge:
            left_out[AT_EDGE] += 1
        else:
            found.append(Named(row.id, row.sample_id, row.image_sha256, label, grouped))
    return found, dict(left_out)


def _rows(session: Session, *, signed_only: bool) -> list[Row[Any]]:
    answers = {turn: aliased(Answer) for turn in (FIRST, SECOND, SETTLING)}
    readings = {turn: aliased(Reading) for turn in (FIRST, SECOND)}
    columns = [
        column.label(f"{name}_{turn}")
        for turn, answer in answers.items()
        for name, column in (("label", answer.label), ("grouped", answer.grouped))
    ]
    columns += [reading.done.label(f"done_{turn}") for turn, reading in readings.items()]  # type: ignore[misc]
    query = (
        select(
            Cell.id, Cell.sample_id, Cell.machine_class, Cell.decision, Cell.at_edge, Field.image_sha256,
            Sample.two_readers, *columns,
        )
        .join(Sample, Sample.id == Cell.sample_id)
        .join(Field, Field.id == Cell.field_id)
        .where(Sample.deleted.is_(None), Cell.deleted.is_(False))
    )  # fmt: skip
    if signed_only:
        query = query.where(Sample.state == "signed")
    for turn, answer in answers.items():
        query = query.outerjoin(answer, (answer.cell_id == Cell.id) & (answer.turn == turn))
    for turn, reading in readings.items():
        query = query.outerjoin(reading, (reading.sample_id == Cell.sample_id) & (reading.turn == turn))
    anybody = or_(*(answer.label.is_not(None) for answer in answers.values()))
    return list(session.execute(query.where(anybody).order_by(Cell.id)))


def _settled(row: Row[Any]) -> tuple[str | None, bool]:
    """The label that counts, None where there is none yet, and whether it was given to several cells at once."""
    if not row.two_readers:
        return row.label_1, bool(row.grouped_1)
    if row.done_1 is None or row.done_2 is None:
        return None, False
    if row.label_3 is not None:
        return row.label_3, bool(row.grouped_3)
    own = machine_label(row.machine_class, row.decision)
    first, second = row.label_1 or own, row.label_2 or own
    return (first if first == second else None), bool(row.grouped_1 or row.grouped_2)
