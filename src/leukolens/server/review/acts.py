"""What a person did to a sample's cells, and how it is undone and done again, without end and over restarts.

An act knows of each cell what was there before and after. It is turned back only where each cell is still as the act
left it: what another person did to one since stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from leukolens.errors import Conflict, Refused
from leukolens.server.actor import Actor
from leukolens.server.intake.samples import find_open
from leukolens.server.jobs.queue import enqueue
from leukolens.server.review import turns
from leukolens.server.store import trail
from leukolens.server.store.tables import Act, Answer, Cell, Crop, Sample

Kind = Literal["label", "delete", "draw"]
CROP = "crop"
"""Kind of the job that cuts out a drawn cell, ``{"cell": id}``: a client's image is never decoded in this process."""
AT_ONCE = 500
"""Values in one question to a database; each has a limit on them."""
CHANGED = "has been changed by another person since"


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said of a cell, all that an `Answer` holds of it.

    Attributes:
        label: A class's key, or ``unsure``.
        user: Whose answer it is.
        at: When, UTC.
        grouped: Whether it was given to several cells by one act.
        blind: Whether the machine's answer was hidden.
    """

    label: str
    user: int
    at: datetime
    grouped: bool
    blind: bool

    @classmethod
    def of(cls, answer: Answer | None) -> Said | None:
        """What an answer's row says."""
        if answer is None:
            return None
        return cls(answer.label, answer.user_id, answer.at, answer.grouped, answer.blind)

    @classmethod
    def read(cls, entry: Mapping[str, Any] | None) -> Said | None:
        """What `entry` wrote."""
        return None if entry is None else cls(**{**entry, "at": datetime.fromisoformat(entry["at"])})

    def entry(self) -> dict[str, Any]:
        """As JSON."""
        at = self.at.isoformat(timespec="microseconds")
        return {
            "label": self.label, "user": self.user, "at": at, "grouped": self.grouped, "blind": self.blind,
        }  # fmt: skip


def opened(session: Session, actor: Actor, sample: Sample, what: str) -> tuple[Sample, int]:
    """The sample, locked until the transaction ends, and whoever may work on it.

    Raises:
        Refused: Where this is no person, or the role or the token does not allow it.
        Conflict: Where the sample is signed.
        Missing: Where it was deleted.
    """
    actor.must_have("review")
    actor.must_be("reader", what)
    if actor.user_id is None:
        raise Refused(f"{actor.name} is no person, and may not {what}", "Sign in")
    return find_open(session, sample.key), actor.user_id


def record(session: Session, sample: Sample, user: int, kind: Kind, changes: Sequence[dict[str, Any]]) -> Act:
    """Adds an act; what was undone before it can no longer be done again."""
    act = Act(sample_id=sample.id, user_id=user, kind=kind, changes=list(changes))
    session.add(act)
    session.flush()
    return act


def undo(session: Session, actor: Actor, sample: Sample) -> Act | None:
    """Takes back this person's last act on the sample that isn't taken back yet; None where there is none.

    Raises:
        Conflict: Where another person has changed one of its cells since, the person's turn is done, or the sample
            is signed.
    """
    sample, user = opened(session, actor, sample, "undo")
    act = session.scalars(
        _acts(sample, user).where(Act.undone.is_(False)).order_by(Act.id.desc()).limit(1)
    ).first()
    if act is not None:
        _turn_over(session, actor, sample, act, forwards=False)
    return act


def redo(session: Session, actor: Actor, sample: Sample) -> Act | None:
    """Does again what this person undid last, unless something was done after it; None where there is nothing.

    Raises:
        Conflict: As in `undo`.
    """
    sample, user = opened(session, actor, sample, "redo")
    last = session.scalar(
        select(func.max(Act.id)).where(Act.sample_id == sample.id, Act.user_id == user, Act.undone.is_(False))
    )
    act = session.scalars(
        _acts(sample, user).where(Act.undone.is_(True), Act.id > (last or 0)).order_by(Act.id).limit(1)
    ).first()
    if act is not None:
        _turn_over(session, actor, sample, act, forwards=True)
    return act


def have_cut_out(session: Session, cell: Cell) -> None:
    """Has a drawn cell's picture made, by a job."""
    enqueue(session, CROP, sample_id=cell.sample_id, field_id=cell.field_id, request={"cell": cell.id})


def answers_of(session: Session, cell_ids: Sequence[int], turn: int) -> dict[int, Answer]:
    """The answers of a turn that cells have, by the cell's id."""
    found: dict[int, Answer] = {}
    for some in in_parts(cell_ids):
        query = select(Answer).where(Answer.turn == turn, Answer.cell_id.in_(some))
        found |= {answer.cell_id: answer for answer in session.scalars(query)}
    return found


def put(session: Session, turn: int, said: Mapping[int, Said | None], there: Mapping[int, Answer]) -> None:
    """Gives cells these answers, or takes theirs away.

    Args:
        session: In a writing transaction.
        turn: Which turn's.
        said: Cell's id to answer; None for none.
        there: The answers of these cells, as `answers_of` gives them.
    """
    for cell, one in said.items():
        answer = there.get(cell)
        if one is None:
            if answer is not None:
                session.delete(answer)
            continue
        if answer is None:
            answer = Answer(cell_id=cell, turn=turn)
            session.add(answer)
        answer.label, answer.user_id, answer.at = one.label, one.user, one.at
        answer.grouped, answer.blind = one.grouped, one.blind
    session.flush()


def in_parts(values: Sequence[int]) -> Iterator[Sequence[int]]:
    """The values in as many parts as it takes to ask a database for all."""
    for start in range(0, len(values), AT_ONCE):
        yield values[start : start + AT_ONCE]


def _acts(sample: Sample, user: int) -> Select[Act]:
    return select(Act).where(Act.sample_id == sample.id, Act.user_id == user)


def _turn_over(session: Session, actor: Actor, sample: Sample, act: Act, *, forwards: bool) -> None:
    """Takes an act back, or does it again."""
    now, then = ("before", "after") if forwards else ("after", "before")
    cells = _cells(session, [change["cell"] for change in act.changes])
    if act.kind == "label":
        said = _answers_turned(session, actor, sample, act, cells, (now, then))
    else:
        said = _cells_turned(session, actor, sample, act, cells, (now, then))
    act.undone = not forwards
    before, after = said
    trail.append(
        session, actor, "redo" if forwards else "undo", f"sample {sample.key}", before=before, after=after
    )


Told = tuple[dict[str, Any], dict[str, Any]]


def _answers_turned(
    session: Session, actor: Actor, sample: Sample, act: Act, cells: dict[int, Cell], ends: tuple[str, str]
) -> Told:
    now, then = ends
    turn = act.changes[0]["turn"]
    turns.hold(session, actor, sample, turn)
    there = answers_of(session, list(cells), turn)
    for change in act.changes:
        cell = change["cell"]
        if cells[cell].deleted or Said.of(there.get(cell)) != Said.read(change[now]):
            raise Conflict(f"cell {cell} {CHANGED}", "Name it as it should be now")
    said = {change["cell"]: Said.read(change[then]) for change in act.changes}
    put(session, turn, said, there)
    labels = [
        {str(change["cell"]): change[end] and change[end]["label"] for change in act.changes} for end in ends
    ]
    return {"turn": turn, "cells": labels[0]}, {"turn": turn, "cells": labels[1]}


def _cells_turned(
    session: Session, actor: Actor, sample: Sample, act: Act, cells: dict[int, Cell], ends: tuple[str, str]
) -> Told:
    now, then = ends
    turns.hold(session, actor, sample, None)
    for change in act.changes:
        if cells[change["cell"]].deleted != change[now]:
            raise Conflict(f"cell {change['cell']} {CHANGED}", "Draw it, or strike it out")
    # A drawn cell that another person has named would take that answer with it.
    if act.kind == "draw" and _named_by_others(session, act.user_id, list(cells)):
        raise Conflict(f"cell {act.changes[0]['cell']} {CHANGED}", "Strike it out where it is none")
    for change in act.changes:
        cells[change["cell"]].deleted = change[then]
    session.flush()
    for cell in cells.values():
        # While it was away, it was passed over.
        if not cell.deleted and cell.drawn_by is not None and session.get(Crop, cell.id) is None:
            have_cut_out(session, cell)
    there = [{str(change["cell"]): change[end] for change in act.changes} for end in ends]
    return {"deleted": there[0]}, {"deleted": there[1]}


def _named_by_others(session: Session, user: int, cell_ids: Sequence[int]) -> bool:
    others = select(Answer.cell_id).where(Answer.cell_id.in_(cell_ids), Answer.user_id != user).limit(1)
    return session.scalar(others) is not None


def _cells(session: Session, cell_ids: Sequence[int]) -> dict[int, Cell]:
    found: dict[int, Cell] = {}
    for some in in_parts(cell_ids):
        found |= {cell.id: cell for cell in session.scalars(select(Cell).where(Cell.id.in_(some)))}
    return found
