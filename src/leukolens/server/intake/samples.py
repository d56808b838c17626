"""Samples: made, found, changed and deleted. Whose smear it is stands in one row alone, and never in the trail."""

from __future__ import annotations

import math
import secrets
from typing import Any, Literal

from sqlalchemy import delete as delete_from
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from leukolens.errors import Conflict, Missing, Unfit
from leukolens.server.actor import Actor
from leukolens.server.intake import bundles
from leukolens.server.intake.listing import Row, listed
from leukolens.server.jobs import queue
from leukolens.server.store import trail
from leukolens.server.store.columns import now
from leukolens.server.store.tables import Cell, Crop, Identity, Report, Sample

__all__ = [
    "KEEP", "Row", "change", "create", "delete", "find", "find_open", "identifier_of", "identity", "listed",
]  # fmt: skip

KEY_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Without 0, 1, I and O, which are taken for each other."""
KEY_LENGTH = 8
LONGEST_IDENTIFIER, LONGEST_NOTES, LONGEST_WHY = 200, 10_000, 500
HIGHEST_WHITE_COUNT = 10_000.0
KEEP: Literal["keep"] = "keep"
"""Stands for a white cell count that stays as it is, since None takes it away."""


def create(
    session: Session,
    actor: Actor,
    *,
    identifier: str,
    notes: str = "",
    white_count: float | None = None,
    two_readers: bool = False,
) -> Sample:
    """A new sample, to be read with the active bundle.

    Args:
        session: In a writing transaction.
        actor: A reader at least.
        identifier: Whose smear it is, as the laboratory says: one line.
        notes: Free text.
        white_count: Total white cells, 10^9/L.
        two_readers: Whether a second person reads it without seeing the first one's answers.

    Raises:
        Unfit: Where a value cannot be taken.
        ServerError: Where no bundle is active.
    """
    _may(actor, "reader", "create a sample")
    said, notes = identifier_of(identifier), _notes(notes)
    sample = Sample(
        key=_new_key(session),
        created_by=actor.user_id,
        white_count=_white_count(white_count),
        two_readers=two_readers,
        bundle_sha256=bundles.active(session).sha256,
    )
    session.add(sample)
    session.flush()
    session.add(Identity(sample_id=sample.id, identifier=said, notes=notes))
    after = {
        "white_count": sample.white_count,
        "two_readers": two_readers,
        "bundle": sample.bundle_sha256,
        "identity": ["identifier", *(["notes"] if notes else [])],
    }
    trail.append(session, actor, "create", f"sample {sample.key}", after=after)
    return sample


def find(session: Session, key: str) -> Sample:
    """The sample with this key.

    Raises:
        Missing: Where there is none, or it was deleted.
    """
    wanted = key.strip().upper()[:16]
    wanted = wanted if wanted.isascii() and wanted.isalnum() else ""  # PostgreSQL refuses some characters
    sample = session.scalars(select(Sample).where(Sample.key == wanted)).one_or_none()
    if sample is None or sample.deleted is not None:
        raise Missing("there is no such sample", "Look for it in the list of samples")
    return sample


def find_open(session: Session, key: str) -> Sample:
    """The sample with this key, its row locked until the transaction ends, so that nobody signs it meanwhile.

    Raises:
        Missing: Where there is none, or it was deleted.
        Conflict: Where it is signed.
    """
    sample = find(session, key)
    session.refresh(sample, with_for_update=True)
    if sample.deleted is not None:
        raise Missing("there is no such sample", "Look for it in the list of samples")
    if sample.state != "open":
        raise Conflict(f"sample {sample.key} is signed", "Open it again first")
    return sample


def identity(session: Session, sample: Sample) -> Identity:
    """Whose smear it is.

    Raises:
        Missing: Where that was erased.
    """
    found = session.get(Identity, sample.id)
    if found is None:
        raise Missing(f"whose smear sample {sample.key} is was erased", "Look for another sample")
    return found


def change(
    session: Session,
    actor: Actor,
    sample: Sample,
    *,
    identifier: str | None = None,
    notes: str | None = None,
    white_count: float | Literal["keep"] | None = KEEP,
) -> Sample:
    """Changes what is known of a sample; the trail says which columns of its identity, not what stood there.

    Args:
        session: In a writing transaction.
        actor: A reader at least.
        sample: Not signed.
        identifier: None for the one it has.
        notes: None for those it has.
        white_count: Total white cells, 10^9/L; None where it isn't known, `KEEP` for the one it has.

    Raises:
        Conflict: Where the sample is signed.
        Unfit: Where a value cannot be taken.
    """
    _may(actor, "reader", "change a sample")
    sample = find_open(session, sample.key)
    known = identity(session, sample)
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    new = {
        "identifier": known.identifier if identifier is None else identifier_of(identifier),
        "notes": known.notes if notes is None else _notes(notes),
    }
    if columns := [name for name, value in new.items() if value != getattr(known, name)]:
        for name in columns:
            setattr(known, name, new[name])
        after["identity"] = columns
    count = sample.white_count if white_count == KEEP else _white_count(white_count)
    if count != sample.white_count:
        before["white_count"], after["white_count"] = sample.white_count, count
        sample.white_count = count
    if after:
        trail.append(session, actor, "change", f"sample {sample.key}", before=before, after=after)
    return sample


def delete(session: Session, actor: Actor, sample: Sample, why: str) -> None:
    """Erases whose smear it is, its cells' pictures and its reports; the trail stays.

    Its images are removed by the worker once this is certain, where no other sample uses them.

    Args:
        session: In a writing transaction.
        actor: A reviewer at least.
        sample: Signed or not.
        why: Stands in the trail, so it must not hold the patient's identifier.

    Raises:
        Unfit: Where no reason is given, or it names the patient.
        Missing: Where it was deleted already.
    """
    _may(actor, "reviewer", "delete a sample")
    why = _line("the reason", why, LONGEST_WHY)
    known = session.get(Identity, find(session, sample.key).id)
    if known is not None and known.identifier.casefold() in why.casefold():
        raise Unfit("the reason names the patient, and would stand in the trail", "Say it without")
    erase(session, actor, sample, why)


def erase(session: Session, actor: Actor, sample: Sample, why: str) -> None:
    """Does what `delete` does, for a reason that no person wrote.

    Raises:
        Missing: Where it was deleted already.
    """
    sample = find(session, sample.key)
    session.refresh(sample, with_for_update=True)
    if sample.deleted is not None:
        raise Missing("there is no such sample", "Look for it in the list of samples")
    known = session.get(Identity, sample.id)
    if known is not None:
        session.delete(known)
    cells = select(Cell.id).where(Cell.sample_id == sample.id)
    session.execute(delete_from(Crop).where(Crop.cell_id.in_(cells)))
    # Why one was opened again may name the patient; what it was signed as, its trail says without.
    reports = update(Report).where(Report.sample_id == sample.id)
    session.execute(reports.values(reopened_why=None, document={}))
    sample.deleted = now()
    queue.cancel(session, sample, "the sample was deleted")
    queue.enqueue(session, "erase", sample_id=sample.id)
    before = {"state": sample.state}
    trail.append(session, actor, "delete", f"sample {sample.key}", before=before, after={"why": why})


def _may(actor: Actor, role: Literal["reader", "reviewer"], what: str) -> None:
    actor.must_have("samples:write")
    actor.must_be(role, what)


def _new_key(session: Session) -> str:
    while True:
        key = "".join(secrets.choice(KEY_LETTERS) for _ in range(KEY_LENGTH))
        if session.scalars(select(Sample.id).where(Sample.key == key)).first() is None:
            return key


def identifier_of(value: str) -> str:
    """An identifier as it is kept.

    Raises:
        Unfit: Where it is none: empty, too long or not on one line.
    """
    return _line("the identifier", value, LONGEST_IDENTIFIER)


def _line(what: str, value: str, longest: int) -> str:
    value = value.strip()
    if not value:
        raise Unfit(f"{what} is empty", "Write one")
    if len(value) > longest:
        raise Unfit(f"{what} has more than {longest} characters", "Write a shorter one")
    if not value.isprintable():
        raise Unfit(f"{what} holds line breaks or control characters", "Write it on one line")
    return value


def _notes(value: str) -> str:
    value = value.strip()
    if len(value) > LONGEST_NOTES:
        raise Unfit(f"the notes have more than {LONGEST_NOTES} characters", "Write shorter ones")
    if not all(character.isprintable() or character in "\n\r\t" for character in value):
        raise Unfit("the notes hold control characters", "Write them without")
    return value


def _white_count(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and 0 < value <= HIGHEST_WHITE_COUNT):
        raise Unfit(f"{value:g} is no total white cell count", "Give it in 10^9/L, e.g. 6.4")
    return value
