"""What the weekly figures are counted from: cells by day and bundle, as the database adds them up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    case,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.orm import Session

from leukolens.server.review.blind import said_first
from leukolens.server.review.shown import SETTLED, Answers
from leukolens.server.store.tables import Answer, BlindAnswer, Cell, Field
from leukolens.taxonomy import ALL_CLASSES, CLASSES, UNSURE

NO_LEUKOCYTES = tuple(kind.key for kind in CLASSES if not kind.leukocyte)
FORMS = {kind.key: kind.form_of for kind in ALL_CLASSES if kind.form_of is not None}


@dataclass(frozen=True, slots=True)
class Sums:
    """Cells of one day that were read with one bundle.

    Attributes:
        day: On which their field was read, UTC.
        bundle: Digest of what it was read with.
        cells: How many there are.
        unsure: How many of them the machine would not name.
        measured: How many have a distance to what was learned that a stain is judged by.
        outside: How many of those lie farther than 95 % of known cells do.
        both: How many the machine named and a person named too.
        same: How many of those they call the same.
    """

    day: date
    bundle: str
    cells: int
    unsure: int
    measured: int
    outside: int
    both: int
    same: int


def sums(session: Session, since: datetime, usual_within: Mapping[str, float]) -> list[Sums]:
    """The machine's finds that no edge cuts and nobody struck out, with what counts of what persons said in the end.

    Args:
        session: To read by; asked once.
        since: When the first of the fields was read, UTC.
        usual_within: Of a bundle's digest, the distance within which 95 % of known cells lie; without those that
            nobody knows it of.
    """
    answers = Answers(SETTLED)
    said = answers.first(Answer.label)
    columns = (
        func.count(), _number(_unsure()), _number(_measured(usual_within)), _number(_outside(usual_within)),
        _number(_both(said)), _number(_same(said)),
    )  # fmt: skip
    return [Sums(*row) for row in _by_day(session, answers.joined(_finds(_of_field(*columns), since)))]


def blind_sums(session: Session, since: datetime) -> list[Sums]:
    """The same of the cells that were named while the machine's answer was hidden, by what was said first then.

    A cell that two readers named is counted once, by the first reader's answer. How far cells lie is not told.
    """
    said = type_coerce(BlindAnswer.label, String)
    columns = (
        func.count(), _number(_unsure()), literal(0), literal(0), _number(_both(said)), _number(_same(said)),
    )  # fmt: skip
    found = _finds(_of_field(*columns), since).where(Cell.blind.is_(True))
    return [Sums(*row) for row in _by_day(session, found.join(BlindAnswer, said_first()))]


def samples(session: Session, since: datetime) -> list[tuple[date, str, int]]:
    """Of each field that was read: the day, the bundle's digest, and its sample's id."""
    query = select(_day(), Field.bundle_sha256, Field.sample_id).where(_read(since)).distinct()
    found = session.execute(query)
    return [(date.fromisoformat(day), bundle or "", sample) for day, bundle, sample in found]


def _by_day(session: Session, of_fields: Select[*tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Sums of fields added up: a field's cells lie together in an index, so that SQLite sorts fields, not cells."""
    each = of_fields.group_by(Cell.field_id).subquery()
    field_id, *columns = each.c
    day = _day().label("day")
    query = (
        select(day, Field.bundle_sha256, *(func.sum(column) for column in columns))
        .join_from(each, Field, Field.id == field_id)
        .group_by(day, Field.bundle_sha256)
    )
    for told, bundle, *numbers in session.execute(query):
        yield date.fromisoformat(told), bundle, *map(int, numbers)


def _of_field(*columns: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
    return select(Cell.field_id, *(column.label(f"sum_{place}") for place, column in enumerate(columns)))


def _day() -> ColumnElement[str]:
    return func.substr(type_coerce(Field.read_at, String), 1, 10)


def _read(since: datetime) -> ColumnElement[bool]:
    return and_(Field.read_at >= since, Field.bundle_sha256.is_not(None))


def _finds(query: Select[*tuple[Any, ...]], since: datetime) -> Select[*tuple[Any, ...]]:
    return query.join_from(Cell, Field, Field.id == Cell.field_id).where(
        _read(since), Cell.machine_class.is_not(None), Cell.at_edge.is_(False), Cell.deleted.is_(False)
    )


def _number(so: ColumnElement[bool]) -> ColumnElement[int]:
    """Of how many cells it is so."""
    return func.sum(case((so, 1), else_=0))


def _unsure() -> ColumnElement[bool]:
    """As `shown.machine_label` says."""
    return and_(func.coalesce(Cell.decision, "") != "accept", Cell.machine_class.not_in(NO_LEUKOCYTES))


def _both(said: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(said != UNSURE, not_(_unsure()))  # no answer is no word, which is unlike none


def _same(said: ColumnElement[Any]) -> ColumnElement[bool]:
    """A class that a person names is right where the machine named the one that it is a form of."""
    form = case(FORMS, value=said, else_=None)
    return and_(or_(said == Cell.machine_class, form == Cell.machine_class), not_(_unsure()))


def _measured(usual_within: Mapping[str, float]) -> ColumnElement[bool]:
    """As `reading.batch_check.asked_of` chooses them."""
    known = Field.bundle_sha256.in_(usual_within)
    return and_(known, Cell.distance.is_not(None), Cell.machine_class.not_in(NO_LEUKOCYTES))


def _outside(usual_within: Mapping[str, float]) -> ColumnElement[bool]:
    beyond = [
        and_(Field.bundle_sha256 == bundle, Cell.distance > within) for bundle, within in usual_within.items()
    ]
    return and_(Cell.machine_class.not_in(NO_LEUKOCYTES), or_(false(), *beyond))
