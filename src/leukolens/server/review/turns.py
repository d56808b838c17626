"""Two readers: each reads without seeing the other's answers, and where they differ a third person settles it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from leukolens.errors import Conflict, Refused
from leukolens.server.actor import Actor
from leukolens.server.intake.samples import find_open
from leukolens.server.review.shown import machine_label
from leukolens.server.store import trail
from leukolens.server.store.columns import now
from leukolens.server.store.tables import Answer, BlindAnswer, Cell, Field, Reading, Sample
from leukolens.taxonomy import BLAST

FIRST, SECOND, SETTLING = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Difference:
    """A cell that two readers call differently.

    Attributes:
        cell_id: The cell.
        field: Its field's place in the sample, from 1.
        first: What it is to the first reader, a class's key or ``unsure``.
        second: What it is to the second.
        settled: What the third person says; None where that is still to be said.
        at_edge: Whether the field's edge cuts it: it isn't counted.
        unnamed: Whether it was to be named with the machine's answer hidden, and a reader never did: what it is to
            that reader is nobody's answer.
    """

    cell_id: int
    field: int
    first: str
    second: str
    settled: str | None
    at_edge: bool
    unnamed: bool = False


def begin(session: Session, actor: Actor, sample: Sample, turn: int) -> Reading:
    """Makes a turn this person's; nothing happens where it is already.

    Args:
        session: In a writing transaction.
        actor: A reader at least.
        sample: Not signed, of two readers.
        turn: 1 or 2, in either order; 3 once both are done.

    Raises:
        Conflict: Where the turn is another's, the person has another one, or it is too early to settle.
    """
    sample, user = _opened(session, actor, sample, turn)
    readings = _readings(session, sample)
    own = readings.get(turn)
    if own is not None and own.user_id == user:
        return own
    # Whoever settled may be away when the sample is opened again.
    if own is not None and not (turn == SETTLING and own.done):
        raise Conflict(f"turn {turn} of sample {sample.key} is another person's", "Take another turn")
    if any(reading.user_id == user for reading in readings.values()):
        raise Conflict(f"{actor.name} reads sample {sample.key} already", "Let another person take this turn")
    if turn == SETTLING and not _both_done(readings):
        raise Conflict("both readers must be done before a third person settles", "Wait for them")
    before = None if own is None else {"turn": turn, "user": own.user_id}
    if own is None:
        own = Reading(sample_id=sample.id, turn=turn, user_id=user, done=None)
        session.add(own)
    own.user_id, own.done = user, None
    session.flush()
    after = {"turn": turn, "user": user}
    trail.append(session, actor, "begin turn", f"sample {sample.key}", before=before, after=after)
    return own


def done(session: Session, actor: Actor, sample: Sample, turn: int) -> Reading:
    """Ends this person's turn: what is shown now is the reader's answer, cells that were left alone included.

    Raises:
        Conflict: Where the turn isn't this person's, or cells of turn 3 are not settled.
    """
    sample, user = _opened(session, actor, sample, turn)
    own = _readings(session, sample).get(turn)
    if own is None or own.user_id != user:
        raise Conflict(f"turn {turn} of sample {sample.key} is not {actor.name}'s", "Begin it first")
    if turn == SETTLING and (left := unsettled(session, sample)):
        raise Conflict(f"{left} cells are not settled", "Say of each what it is")
    if own.done is None:
        own.done = now()
        session.flush()
        trail.append(session, actor, "end turn", f"sample {sample.key}", after={"turn": turn})
    return own


def take(session: Session, actor: Actor, sample: Sample, turn: int) -> None:
    """Begins the turn that an answer is given in, where nobody has.

    Raises:
        Conflict: Where it is another person's, or done, or the sample has no such turn.
    """
    if not sample.two_readers and turn == FIRST:
        return  # one reading, in which whoever may read takes part
    if begin(session, actor, sample, turn).done and turn != SETTLING:
        raise Conflict(f"turn {turn} of sample {sample.key} is done", "Let a third person settle it")


def hold(session: Session, actor: Actor, sample: Sample, turn: int | None) -> None:
    """Lets only whoever reads a sample of two readers change it.

    Args:
        session: To read by.
        actor: The person.
        sample: The sample.
        turn: Which turn must be this person's; None for any.

    Raises:
        Conflict: Where none is, or it is done.
    """
    if not sample.two_readers:
        return
    for number, reading in _readings(session, sample).items():
        mine = reading.user_id == actor.user_id and turn in {None, number}
        if mine and (not reading.done or number == SETTLING):
            return
    which = "no turn" if turn is None else f"not turn {turn}"
    raise Conflict(
        f"{actor.name} has {which} of sample {sample.key}, or has ended it", "Begin a turn that is free"
    )


def seen_by(session: Session, actor: Actor, sample: Sample) -> int:
    """The turn whose answers a person is shown: the own one, or what counts once both readers are done.

    A person who reads none of the turns sees no answer before: that person might be the second reader yet.
    """
    if not sample.two_readers:
        return FIRST
    readings = _readings(session, sample)
    if _both_done(readings):
        return SETTLING
    for number in (FIRST, SECOND):
        if number in readings and readings[number].user_id == actor.user_id:
            return number
    return 0


def differences(session: Session, sample: Sample) -> tuple[Difference, ...]:
    """The cells that the readers call differently, in reading order; none in a sample of one reader.

    A cell that a reader left alone is to that reader what the machine says it is. Cells at an edge are not counted,
    and so left out, unless one reader calls them a blast: those keep a report from reading as normal.

    Raises:
        Conflict: Where the readers are not both done.
    """
    return tuple(
        one
        for one in _both(session, sample)
        if one.first != one.second and (not one.at_edge or BLAST in {one.first, one.second})
    )


def unsettled(session: Session, sample: Sample) -> int:
    """How many cells the readers call differently and no third person has settled.

    Raises:
        Conflict: As in `differences`.
    """
    return sum(one.settled is None for one in differences(session, sample))


def kappa(session: Session, sample: Sample) -> float | None:
    """Cohen's kappa of the two readers, as `cohens_kappa`; None where one reads, or the two are not both done.

    Of counted cells, without those of which a reader saw no answer and gave none.
    """
    if not sample.two_readers or not _both_done(_readings(session, sample)):
        return None
    both = [one for one in _both(session, sample) if not one.at_edge and not one.unnamed]
    return cohens_kappa([one.first for one in both], [one.second for one in both])


def cohens_kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """How far two readers agree beyond chance, 1 at most (Cohen, Educ Psychol Meas 1960; 20:37).

    Args:
        first: The first reader's labels.
        second: The second's, of the same cells.

    Returns:
        None where there is no cell, or both gave every cell the same one label, so that chance agrees as well.
    """
    cells = len(first)
    agreed = sum(one == other for one, other in zip(first, second, strict=True))
    one, other = Counter(first), Counter(second)
    by_chance = sum(one[key] * other[key] for key in one)  # times cells squared
    if cells**2 == by_chance:
        return None
    return (agreed * cells - by_chance) / (cells**2 - by_chance)


def _opened(session: Session, actor: Actor, sample: Sample, turn: int) -> tuple[Sample, int]:
    actor.must_have("review")
    actor.must_be("reader", "read samples")
    if actor.user_id is None:
        raise Refused(f"{actor.name} is no person, and may not read samples", "Sign in")
    sample = find_open(session, sample.key)
    if not sample.two_readers or turn not in {FIRST, SECOND, SETTLING}:
        raise Conflict(f"sample {sample.key} has no turn {turn}", "Read it in turn 1")
    return sample, actor.user_id


def _readings(session: Session, sample: Sample) -> dict[int, Reading]:
    rows = session.scalars(select(Reading).where(Reading.sample_id == sample.id).order_by(Reading.turn))
    return {row.turn: row for row in rows}


def _both_done(readings: dict[int, Reading]) -> bool:
    return all(turn in readings and readings[turn].done for turn in (FIRST, SECOND))


def _both(session: Session, sample: Sample) -> list[Difference]:
    """Each cell as both readers call it, those too of which they say the same."""
    if not sample.two_readers:
        return []
    if not _both_done(_readings(session, sample)):
        raise Conflict("the readers are not both done", "Wait until they are")
    first, second, settled = aliased(Answer), aliased(Answer), aliased(Answer)
    blindly = select(func.count()).where(
        BlindAnswer.cell_id == Cell.id, BlindAnswer.turn.in_((FIRST, SECOND))
    )
    query = (
        select(
            Cell.id,
            Field.place,
            Cell.machine_class,
            Cell.decision,
            Cell.at_edge,
            first.label.label("first"),
            second.label.label("second"),
            settled.label.label("settled"),
            (Cell.blind & (blindly.scalar_subquery() < 2)).label("unnamed"),
        )
        .join(Field, Field.id == Cell.field_id)
        .where(Cell.sample_id == sample.id, Cell.deleted.is_(False))
        .order_by(Field.place, Cell.y0, Cell.x0, Cell.id)
    )
    for turn, answer in ((FIRST, first), (SECOND, second), (SETTLING, settled)):
        query = query.outerjoin(answer, (answer.cell_id == Cell.id) & (answer.turn == turn))
    return [
        Difference(
            row.id,
            row.place,
            row.first or machine_label(row.machine_class, row.decision),
            row.second or machine_label(row.machine_class, row.decision),
            row.settled,
            row.at_edge,
            row.unnamed,
        )
        for row in session.execute(query)
    ]
