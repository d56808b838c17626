"""What stands at the head of every page of a sample, and what may be changed there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leukolens.server.actor import Actor
from leukolens.server.intake import samples
from leukolens.server.review import turns
from leukolens.server.store.tables import BundleFile, Field, Reading, Sample

LARGEST = 2**31 - 1
"""Number that every database takes; a larger one is of nothing."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A sample at the head of its pages.

    Attributes:
        key: As it stands in addresses.
        identifier: Whose smear it is.
        notes: Free text.
        state: *open* or *signed*.
        created: When, UTC.
        white_count: 10^9/L as it was typed; empty where it isn't known.
        two_readers: Whether two persons read it.
        seen: The turn whose answers this person is shown; 0 for the machine's alone.
        turn: The turn in which this person would name cells.
        lock: Why this person can change nothing, the key of a text; empty where it can be changed.
        begin: The turn of reading that this person could begin; None for none.
        end: The turn that this person could end; None for none.
        bundle: Name of what it is read with.
        bundle_sha256: Its digest.
        first_field: Place of the first field; None where there is none.
    """

    key: str
    identifier: str
    notes: str
    state: str
    created: datetime
    white_count: str
    two_readers: bool
    seen: int
    turn: int
    lock: str
    begin: int | None
    end: int | None
    bundle: str
    bundle_sha256: str
    first_field: int | None


def frame(session: Session, actor: Actor, sample: Sample) -> Frame:
    """What a page of the sample begins with."""
    identity = samples.identity(session, sample)
    seen, turn, lock = place_of(session, actor, sample)
    bundle = session.get(BundleFile, sample.bundle_sha256)
    first = session.scalar(select(func.min(Field.place)).where(Field.sample_id == sample.id))
    return Frame(
        key=sample.key,
        identifier=identity.identifier,
        notes=identity.notes,
        state=sample.state,
        created=sample.created,
        white_count="" if sample.white_count is None else f"{sample.white_count:g}",
        two_readers=sample.two_readers,
        seen=seen,
        turn=turn,
        lock=lock,
        begin=may_begin(session, actor, sample),
        end=may_end(session, actor, sample),
        bundle=bundle.name if bundle else "",
        bundle_sha256=sample.bundle_sha256,
        first_field=first,
    )


def place_of(session: Session, actor: Actor, sample: Sample) -> tuple[int, int, str]:
    """Whose answers a person is shown, in which turn the person names cells, and why not, where not."""
    seen = turns.seen_by(session, actor, sample)
    turn: int = 1 if seen == 0 else seen
    if sample.state != "open":
        return seen, turn, "gallery.locked"
    if not sample.two_readers:
        return seen, turn, ""
    own = readings(session, sample).get(turn)
    if seen == 0 or own is None or own.user_id != actor.user_id:
        return seen, turn, "turns.begin_first"
    return seen, turn, "turns.ended" if own.done and turn != turns.SETTLING else ""


def in_reach(number: int) -> int:
    """A number of a client's, or one that is of nothing too and can be asked a database for."""
    return number if abs(number) <= LARGEST else -1


def readings(session: Session, sample: Sample) -> dict[int, Reading]:
    """The turns of a sample that somebody has begun."""
    rows = session.scalars(select(Reading).where(Reading.sample_id == sample.id).order_by(Reading.turn))
    return {row.turn: row for row in rows}


def may_begin(session: Session, actor: Actor, sample: Sample) -> int | None:
    """The turn that this person could begin now; None for none."""
    if not sample.two_readers or sample.state != "open":
        return None
    begun = readings(session, sample)
    if any(row.user_id == actor.user_id for row in begun.values()):
        return None
    free = next((turn for turn in (turns.FIRST, turns.SECOND) if turn not in begun), None)
    if free is not None:
        return free
    both = begun[turns.FIRST].done and begun[turns.SECOND].done
    settling = begun.get(turns.SETTLING)
    return turns.SETTLING if both and (settling is None or settling.done) else None


def may_end(session: Session, actor: Actor, sample: Sample) -> int | None:
    """The turn that this person could end now; None for none."""
    if not sample.two_readers or sample.state != "open":
        return None
    mine = (
        row.turn
        for row in readings(session, sample).values()
        if row.user_id == actor.user_id and not row.done
    )
    return next(mine, None)
