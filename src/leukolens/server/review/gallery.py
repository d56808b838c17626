"""The gallery: a sample's cells by the class that they are shown as, the least certain first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.imaging.framing import Box
from leukolens.server.review.blind import BLIND, hidden
from leukolens.server.review.shown import Answers, machine_label
from leukolens.server.store.tables import Answer, Cell, Crop, Field, Sample
from leukolens.taxonomy import ALL_CLASSES, UNSURE, cell_class

ORDER = (BLIND, UNSURE, *(kind.key for kind in ALL_CLASSES))
_OF_CELL = (
    Cell.id, Cell.field_id, Cell.x0, Cell.y0, Cell.x1, Cell.y1, Cell.machine_class, Cell.decision, Cell.probability,
    Cell.reason, Cell.at_edge, Cell.drawn_by, Cell.distance,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GalleryCell:
    """One cell of the gallery.

    Attributes:
        id: The cell's.
        field_id: Its field's.
        field: The field's place in the sample, from 1.
        box: Pixels of the field's image as displayed.
        label: What it is shown as: a class's key, ``unsure``, or ``blind`` where the machine's answer is hidden; all
            that the machine says is left out then.
        machine: What the machine says of it, likewise.
        machine_class: The machine's most probable class, however sure; None where nobody asked it.
        probability: By the machine, of what it is shown as; of its most probable class where it is unsure, and of
            the one that a class of the reviewer's is a form of. 0 where the machine knows none.
        sure: The machine's probability of its most probable class; 0 where nobody asked it.
        reviewed: Whether a person has said what it is.
        grouped: Whether that was said of several cells by one act.
        reason: The machine's, in words.
        at_edge: Whether the field's edge cuts it: it isn't counted.
        drawn: Whether a person drew it.
        distance: To what the model has learned; None where nobody knows.
        strange: Whether it lies farther than any cell that the model has learned.
        pictured: Whether its picture is there yet.
    """

    id: int
    field_id: int
    field: int
    box: Box
    label: str
    machine: str
    machine_class: str | None
    probability: float
    sure: float
    reviewed: bool
    grouped: bool
    reason: str
    at_edge: bool
    drawn: bool
    distance: float | None
    strange: bool
    pictured: bool


@dataclass(frozen=True, slots=True)
class Group:
    """The cells that are shown as one class.

    Attributes:
        label: The class's key, ``unsure`` or ``blind``.
        cells: The least certain first, or as they were found where that is hidden; at least one.
    """

    label: str
    cells: tuple[GalleryCell, ...]


def groups(
    session: Session, sample: Sample, turn: int = 1, *, unlike_beyond: float | None = None
) -> tuple[Group, ...]:
    """The sample's cells: the hidden, the unsure, then class by class in taxonomy order, if they have any.

    Args:
        session: To read by; asked twice, however many cells there are.
        sample: The sample.
        turn: Whose answers are shown, as `turns.seen_by` says.
        unlike_beyond: The card's distance beyond which a cell is like none that was learned.
    """
    found: dict[str, list[GalleryCell]] = defaultdict(list)
    for cell in _cells(session, sample, turn, unlike_beyond):
        found[cell.label].append(cell)
    return tuple(
        Group(label, tuple(sorted(found[label], key=lambda cell: (cell.probability, cell.id))))
        for label in ORDER
        if label in found
    )


def _cells(session: Session, sample: Sample, turn: int, unlike_beyond: float | None) -> list[GalleryCell]:
    answers = Answers(turn)
    query = (
        select(
            *_OF_CELL,
            Field.place,
            Crop.cell_id,
            answers.first(Answer.label),
            answers.first(Answer.grouped),
            hidden(turn),
        )
        .join(Field, Field.id == Cell.field_id)
        .outerjoin(Crop, Crop.cell_id == Cell.id)
        .where(Cell.sample_id == sample.id, Cell.deleted.is_(False))
    )
    renamed = _renamed(session, sample, answers)
    return [_shown(renamed, unlike_beyond, *row) for row in session.execute(answers.joined(query))]


def _renamed(session: Session, sample: Sample, answers: Answers) -> dict[int, Mapping[str, float]]:
    """The machine's probabilities of the cells that a person calls otherwise, the only ones that need them all."""
    said = answers.first(Answer.label)
    query = select(Cell.id, Cell.probabilities).where(
        Cell.sample_id == sample.id,
        Cell.probabilities.is_not(None),
        said.is_not(None),
        said != Cell.machine_class,
    )
    return dict(session.execute(answers.joined(query)).all())


def _shown(
    renamed: Mapping[int, Mapping[str, float]],
    unlike_beyond: float | None,
    cell_id: int,
    field_id: int,
    x0: int,
    y0: int,
    x1: int,
    y1: int,
    machine_class: str | None,
    decision: str | None,
    probability: float | None,
    reason: str,
    at_edge: bool,
    drawn_by: int | None,
    distance: float | None,
    field: int,
    pictured: int | None,
    said: str | None,
    grouped: bool | None,
    unseen: bool,
) -> GalleryCell:
    if unseen:
        machine_class, decision, probability, reason, distance = None, None, None, "", None
    machine = machine_label(machine_class, decision)
    machine = BLIND if unseen else machine
    label = said or machine
    own = label in {UNSURE, BLIND, machine_class}
    return GalleryCell(
        id=cell_id,
        field_id=field_id,
        field=field,
        box=Box(x0, y0, x1, y1),
        label=label,
        machine=machine,
        machine_class=machine_class,
        probability=(probability or 0.0) if own else _of_form(label, renamed.get(cell_id, {})),
        sure=probability or 0.0,
        reviewed=said is not None,
        grouped=bool(grouped),
        reason=reason,
        at_edge=at_edge,
        drawn=drawn_by is not None,
        distance=distance,
        strange=distance is not None and unlike_beyond is not None and distance > unlike_beyond,
        pictured=pictured is not None,
    )


def _of_form(label: str, probabilities: Mapping[str, float]) -> float:
    return probabilities.get(cell_class(label).form_of or label, 0.0)
