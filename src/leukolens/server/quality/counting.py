"""What the weekly figures are counted from: cells by day and bundle, as the database adds them up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, Select, String, and_, case, func, or_, select, type_coerce
from sqlalchemy.orm import Session, aliased

from leukolens.server.review.shown import SETTLED, Answers, machine_label
from leukolens.server.store.tables import Answer, BlindAnswer, Cell, Field
from leukolens.taxonomy import CLASSES

LEUKOCYTES = tuple(kind.key for kind in CLASSES if kind.leukocyte)


@dataclass(frozen=True, slots=True)
class Kind:
    """Cells of one day that are alike in all that is counted.

    Attributes:
        day: On which their field was read, UTC.
        bundle: Digest of what it was read with.
        machine: What the machine says of them: a class's key, or ``unsure``.
        said: What a person says of them, likewise; None where nobody has.
        cells: How many there are.
        measured: How many of them have a distance to what was learned that a stain is judged by.
        outside: How many of those lie farther than 95 % of known cells do.
    """

    day: date
    bundle: str
    machine: str
    said: str | None
    cells: int
    measured: int = 0
    outside: int = 0


def kinds(session: Session, since: datetime, usual_within: Mapping[str, float]) -> list[Kind]:
    """The machine's finds that no edge cuts and nobody struck out, with what counts of what persons said in the end.

    Args:
        session: To read by; asked once.
        since: When the first of the fields was read, UTC.
        usual_within: Of a bundle's digest, the distance within which 95 % of known cells lie; without those that
            nobody knows it of.
    """
    answers = Answers(SETTLED)
    day = _day()
    each = answers.joined(
        _finds(
            select(
                day.label("day"), Field.bundle_sha256.label("bundle"), Cell.machine_class, Cell.decision,
                answers.first(Answer.label).label("said"), _measured(usual_within).label("measured"),
                _outside(usual_within).label("outside"),
            ),
            since,
        )
    ).subquery()  # fmt: skip
    keys = each.c.day, each.c.bundle, each.c.machine_class, each.c.decision, each.c.said
    found = session.execute(
        select(*keys, func.count(), func.sum(each.c.measured), func.sum(each.c.outside)).group_by(*keys)
    )
    return [
        Kind(date.fromisoformat(day), bundle, machine_label(key, decision), said, cells, measured, outside)
        for day, bundle, key, decision, said, cells, measured, outside in found
    ]


def blind_kinds(session: Session, since: datetime) -> list[Kind]:
    """The same of the cells that were named while the machine's answer was hidden, by what was said first then.

    A cell that two readers named is counted once, by the first reader's answer.
    """
    day = _day().label("day")
    first = aliased(BlindAnswer)
    earlier = select(func.min(first.turn)).where(first.cell_id == Cell.id).scalar_subquery()
    each = _finds(
        select(
            day, Field.bundle_sha256.label("bundle"), Cell.machine_class, Cell.decision, BlindAnswer.label.label("said")
        ),
        since,
    ).join(BlindAnswer, and_(BlindAnswer.cell_id == Cell.id, BlindAnswer.turn == earlier)).subquery()  # fmt: skip
    keys = each.c.day, each.c.bundle, each.c.machine_class, each.c.decision, each.c.said
    found = session.execute(select(*keys, func.count()).group_by(*keys))
    return [
        Kind(date.fromisoformat(day), bundle, machine_label(key, decision), said, cells)
        for day, bundle, key, decision, said, cells in found
    ]


def samples(session: Session, since: datetime) -> list[tuple[date, str, int]]:
    """Of each field that was read: the day, the bundle's digest, and its sample's id."""
    query = select(_day(), Field.bundle_sha256, Field.sample_id).where(_read(since)).distinct()
    found = session.execute(query)
    return [(date.fromisoformat(day), bundle or "", sample) for day, bundle, sample in found]


def _day() -> ColumnElement[str]:
    return func.substr(type_coerce(Field.read_at, String), 1, 10)


def _read(since: datetime) -> ColumnElement[bool]:
    return and_(Field.read_at >= since, Field.bundle_sha256.is_not(None))


def _finds(query: Select[*tuple[object, ...]], since: datetime) -> Select[*tuple[object, ...]]:
    return query.join_from(Cell, Field, Field.id == Cell.field_id).where(
        _read(since), Cell.machine_class.is_not(None), Cell.at_edge.is_(False), Cell.deleted.is_(False)
    )


def _measured(usual_within: Mapping[str, float]) -> ColumnElement[int]:
    """As `reading.batch_check.asked_of` chooses them."""
    known = Field.bundle_sha256.in_(usual_within)
    asked = and_(known, Cell.distance.is_not(None), Cell.machine_class.in_(LEUKOCYTES))
    return case((asked, 1), else_=0)


def _outside(usual_within: Mapping[str, float]) -> ColumnElement[int]:
    beyond = [
        and_(Field.bundle_sha256 == bundle, Cell.distance > within) for bundle, within in usual_within.items()
    ]
    if not beyond:
        return case((Cell.id.is_(None), 1), else_=0)
    return case((and_(Cell.machine_class.in_(LEUKOCYTES), or_(*beyond)), 1), else_=0)
