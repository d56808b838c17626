"""The list of samples, newest first: searched by words and turned page by page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from leukolens.server.store.tables import Cell, Field, Identity, Sample

LARGEST_PAGE = 500
MOST_WORDS = 8


@dataclass(frozen=True, slots=True)
class Row:
    """A sample in the list.

    Attributes:
        id: What the next page goes on after.
        key: As it stands in addresses.
        identifier: Whose smear it is.
        created: When, UTC.
        state: *open* or *signed*.
        white_count: 10^9/L; None where it isn't known.
        two_readers: Whether two persons read it.
        fields: How many it has.
        waiting: How many of them are still to be read.
        failed: How many of them could not be read.
        cells: White cells that are counted as found, those that a person struck out left out.
    """

    id: int
    key: str
    identifier: str
    created: datetime
    state: str
    white_count: float | None
    two_readers: bool
    fields: int
    waiting: int
    failed: int
    cells: int


def listed(
    session: Session,
    *,
    words: str = "",
    state: str | None = None,
    after_id: int | None = None,
    limit: int = 50,
) -> list[Row]:
    """Samples that were not deleted, the newest first.

    Args:
        session: To read by.
        words: Each must stand in the identifier, large or small, or begin the key.
        state: *open* or *signed*; None for both.
        after_id: The last row's id of the page before.
        limit: Rows at most, 1 to 500.
    """
    wanted = (
        select(Sample, Identity.identifier)
        .join(Identity, Identity.sample_id == Sample.id)
        .where(Sample.deleted.is_(None))
        .order_by(Sample.id.desc())
        .limit(min(max(limit, 1), LARGEST_PAGE))
    )
    if state is not None:
        wanted = wanted.where(Sample.state == state)
    if after_id is not None:
        wanted = wanted.where(Sample.id < after_id)
    for word in _words(words):
        wanted = wanted.where(
            or_(
                Identity.identifier.icontains(word, autoescape=True),
                Sample.key.istartswith(word, autoescape=True),
            )
        )
    found = session.execute(wanted).all()
    states, cells = _counts(session, [sample.id for sample, _ in found])
    return [
        Row(
            id=sample.id,
            key=sample.key,
            identifier=identifier,
            created=sample.created,
            state=sample.state,
            white_count=sample.white_count,
            two_readers=sample.two_readers,
            fields=sum(states[sample.id].values()),
            waiting=states[sample.id]["waiting"],
            failed=states[sample.id]["failed"],
            cells=cells.get(sample.id, 0),
        )
        for sample, identifier in found
    ]


def _words(said: str) -> list[str]:
    # PostgreSQL takes no zero byte, and nobody means a control character.
    return "".join(letter if letter.isprintable() else " " for letter in said[:200]).split()[:MOST_WORDS]


def _counts(session: Session, ids: Sequence[int]) -> tuple[dict[int, Counter[str]], dict[int, int]]:
    """Of each sample: its fields by their state, and its cells."""
    states: dict[int, Counter[str]] = {number: Counter() for number in ids}
    by_state = (
        select(Field.sample_id, Field.state, func.count())
        .where(Field.sample_id.in_(ids))
        .group_by(Field.sample_id, Field.state)
    )
    for number, state, count in session.execute(by_state):
        states[number][state] = count
    by_sample = (
        select(Cell.sample_id, func.count())
        .where(Cell.sample_id.in_(ids), Cell.deleted.is_(False))
        .group_by(Cell.sample_id)
    )
    return states, dict(session.execute(by_sample).all())
