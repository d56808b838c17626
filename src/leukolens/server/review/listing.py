"""The cells of a sample as a list: turned page by page, in the order in which they were found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, case, func, or_, select
from sqlalchemy.orm import Session

from leukolens.imaging.framing import Box
from leukolens.server.review.blind import hidden
from leukolens.server.review.shown import Answers
from leukolens.server.store.tables import Answer, Cell, Field, Sample
from leukolens.taxonomy import ALL_CLASSES, UNSURE

LARGEST_PAGE = 500
LEUKOCYTES = tuple(kind.key for kind in ALL_CLASSES if kind.leukocyte)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine says of a cell.

    Attributes:
        label: As the differential counts it: a class's key, or ``unsure``.
        most_probable: The most probable class, however sure.
        probability: Of that class.
        probabilities: Of every class that it knows.
        decision: ``accept``, ``review`` or ``unknown``.
        reason: Why, in words.
        distance: To what the model has learned; None where nobody knows.
        class_set: The classes that cannot be excluded; None where nobody knows.
    """

    label: str
    most_probable: str
    probability: float
    probabilities: Mapping[str, float]
    decision: str
    reason: str
    distance: float | None
    class_set: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A cell in the list.

    Attributes:
        id: The cell's.
        field: Its field's place in the sample, from 1.
        box: Pixels of the field's image as displayed.
        label: What it is shown as: a class's key, or ``unsure``; None where the machine's answer is hidden until
            somebody has named it.
        reviewed: Whether a person has said what it is.
        drawn: Whether a person drew it.
        at_edge: Whether the field's edge cuts it: it isn't counted.
        blind: Whether the machine's answer is hidden.
        machine: None where nobody asked the machine, or its answer is hidden.
    """

    id: int
    field: int
    box: Box
    label: str | None
    reviewed: bool
    drawn: bool
    at_edge: bool
    blind: bool
    machine: Machine | None


def listed(
    session: Session,
    sample: Sample,
    turn: int,
    *,
    label: str | None = None,
    field: int | None = None,
    only: int | None = None,
    after_id: int | None = None,
    limit: int = 50,
) -> list[Listed]:
    """Cells that were not struck out, by their ids.

    Args:
        session: To read by.
        sample: The sample.
        turn: Whose answers are shown, as `turns.seen_by` says.
        label: What they must be shown as, which none is that is hidden; None for whatever they are.
        field: The place of their field; None for all.
        only: The one cell's id that is wanted; None for all.
        after_id: The last cell's id of the page before.
        limit: Cells at most, 1 to 500.
    """
    answers = Answers(turn)
    machine = machine_label_column()
    shown, unseen = func.coalesce(answers.first(Answer.label), machine), hidden(turn)
    wanted = (
        select(
            Cell,
            Field.place,
            shown.label("shown"),
            machine.label("machine"),
            answers.first(Answer.label),
            unseen.label("unseen"),
        )
        .join(Field, Field.id == Cell.field_id)
        .where(Cell.sample_id == sample.id, Cell.deleted.is_(False))
        .order_by(Cell.id)
        .limit(min(max(limit, 1), LARGEST_PAGE))
    )
    if label is not None:
        wanted = wanted.where(shown == label, ~unseen)
    if field is not None:
        wanted = wanted.where(Field.place == field)
    if only is not None:
        wanted = wanted.where(Cell.id == only)
    if after_id is not None:
        wanted = wanted.where(Cell.id > after_id)
    return [_listed(*row) for row in session.execute(answers.joined(wanted))]


def machine_label_column() -> ColumnElement[str]:
    """`shown.machine_label`, for the database to work out."""
    named = or_(Cell.decision == "accept", Cell.machine_class.not_in(LEUKOCYTES))
    return case((Cell.machine_class.is_(None), UNSURE), (named, Cell.machine_class), else_=UNSURE)


def _listed(cell: Cell, place: int, shown: str, machine: str, said: str | None, unseen: bool) -> Listed:
    return Listed(
        id=cell.id,
        field=place,
        box=Box(cell.x0, cell.y0, cell.x1, cell.y1),
        label=None if unseen else shown,
        reviewed=said is not None,
        drawn=cell.drawn_by is not None,
        at_edge=cell.at_edge,
        blind=unseen,
        machine=_machine(cell, machine) if cell.machine_class is not None and not unseen else None,
    )


def _machine(cell: Cell, label: str) -> Machine:
    return Machine(
        label=label,
        most_probable=cell.machine_class or "",
        probability=cell.probability or 0.0,
        probabilities=cell.probabilities or {},
        decision=cell.decision or "review",
        reason=cell.reason,
        distance=cell.distance,
        class_set=None if cell.class_set is None else tuple(cell.class_set),
    )
