"""The audit trail: append-only, each entry hashed together with the hash of the one before it.

Whoever changes, adds or removes an entry breaks the chain from there on. Whoever cuts its end is found out by the
hashes that stand on signed reports.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.server.actor import Actor
from leukolens.server.store.columns import now
from leukolens.server.store.database import one_at_a_time
from leukolens.server.store.tables import TrailEntry

FIRST = "0" * 64
"""What stands for the hash before the first entry."""
POSTGRESQL_LOCK = 0x1E0C0


@dataclass(frozen=True, slots=True)
class Verified:
    """What checking the chain found.

    Attributes:
        entries: How many there are.
        newest: The newest entry's hash.
        problems: What is wrong, one sentence each; empty where the chain holds.
    """

    entries: int
    newest: str
    problems: tuple[str, ...]


def append(
    session: Session,
    actor: Actor,
    action: str,
    subject: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> TrailEntry:
    """Adds an entry, in the transaction of the change itself: both are kept, or neither.

    Args:
        session: In a writing transaction.
        actor: Who did it.
        action: A verb: ``label``, ``sign``, ``reopen``.
        subject: What it was done to, by its kind and key; never a patient's identifier.
        before: What was there, without patient identifiers; None where nothing was.
        after: What is there now, likewise.
    """
    one_at_a_time(session, POSTGRESQL_LOCK)
    last = session.execute(
        select(TrailEntry.id, TrailEntry.hash).order_by(TrailEntry.id.desc()).limit(1)
    ).one_or_none()
    number, previous = (last.id + 1, last.hash) if last else (1, FIRST)
    entry = TrailEntry(
        id=number,
        at=now().isoformat(timespec="microseconds"),
        actor=actor.name,
        action=action,
        subject=subject,
        before=_as_read(before),
        after=_as_read(after),
        previous=previous,
    )
    entry.hash = digest(entry)
    session.add(entry)
    session.flush()
    return entry


def digest(entry: TrailEntry) -> str:
    """sha256 of all that an entry says, the hash before it included, as canonical JSON."""
    said = [
        entry.id, entry.at, entry.actor, entry.action, entry.subject, entry.before, entry.after, entry.previous,
    ]  # fmt: skip
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _as_read(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the database will give back: JSON has no tuples, and names that are all text."""
    return None if value is None else dict(json.loads(json.dumps(dict(value), allow_nan=False)))


def newest(session: Session) -> str:
    """The newest entry's hash; zeros where there is none."""
    found = session.execute(select(TrailEntry.hash).order_by(TrailEntry.id.desc()).limit(1)).scalar()
    return found or FIRST


def verify(session: Session, known: Iterable[tuple[str, str]] = ()) -> Verified:
    """Checks the whole chain.

    Args:
        session: To read by.
        known: Where a hash was seen, e.g. on which signed report, and the hash, which must be in it.
    """
    problems: list[str] = []
    previous, number = FIRST, 0
    wanted = {value: where for where, value in known if value != FIRST}
    for entry in session.scalars(
        select(TrailEntry).order_by(TrailEntry.id).execution_options(yield_per=1000)
    ):
        number += 1
        if entry.id != number:
            problems.append(f"entry {number} is missing")
            number = entry.id
        if entry.previous != previous:
            problems.append(f"entry {entry.id} does not follow the one before it")
        if digest(entry) != entry.hash:
            problems.append(f"entry {entry.id} is not what was written")
        previous = entry.hash
        wanted.pop(entry.hash, None)
    problems += [
        f"the hash of {where} is in no entry: the end was cut, or it is another trail's"
        for where in wanted.values()
    ]
    return Verified(number, previous, tuple(problems))
