"""Sets of reviewed cells: made by one act, kept as they were named then, so that it stays known what was learned."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import distinct, func, select
from sqlalchemy.orm import Session

from leukolens.errors import Missing, Refused, Unfit
from leukolens.server.actor import Actor
from leukolens.server.learning import settled
from leukolens.server.store import trail
from leukolens.server.store.tables import LearningCell, LearningSet, User
from leukolens.taxonomy import cell_class

SCOPE = "bundles"
"""What a token needs for all of learning."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A set in the list.

    Attributes:
        id: Its number.
        made: When, UTC.
        made_by: The person's full name.
        signed_only: Whether cells of open samples were passed over.
        cells: How many it has.
        samples: That they come from.
        grouped: How many of the cells were named with others by one act.
        labels: How many cells of each class, as persons named them.
        left_out: Why, of `settled.REASONS`, and how many named cells.
    """

    id: int
    made: datetime
    made_by: str
    signed_only: bool
    cells: int
    samples: int
    grouped: int
    labels: Mapping[str, int]
    left_out: Mapping[str, int]


def make(session: Session, actor: Actor, *, signed_only: bool = False) -> LearningSet:
    """Makes a set of all cells that persons have named for good.

    Args:
        session: In a writing transaction.
        actor: A reviewer at least.
        signed_only: Whether cells of open samples are passed over.

    Raises:
        Refused: Where this is no person, or one who may not.
        Unfit: Where there is no such cell.
    """
    user = may(actor, "make sets of cells")
    cells, left_out = settled.named(session, signed_only=signed_only)
    if not cells:
        raise Unfit("no person has named a cell yet", "Confirm or name cells in the gallery first")
    made = LearningSet(made_by=user, signed_only=signed_only, left_out=left_out)
    session.add(made)
    session.flush()
    session.add_all(
        LearningCell(
            set_id=made.id,
            cell_id=one.cell_id,
            sample_id=one.sample_id,
            image_sha256=one.image_sha256,
            label=one.label,
            grouped=one.grouped,
        )
        for one in cells
    )
    session.flush()
    after = {
        "cells": len(cells),
        "labels": Counter(one.label for one in cells),
        "left_out": left_out,
        "signed_only": signed_only,
        "sha256": digest(cells),
    }
    trail.append(session, actor, "make set", f"set {made.id}", after=after)
    return made


def digest(cells: Iterable[settled.Named]) -> str:
    """sha256 of which cells a set has and what they were named: the trail holds a set to it."""
    lines = sorted(f"{one.cell_id} {one.image_sha256} {one.label}\n" for one in cells)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def find(session: Session, set_id: int) -> LearningSet:
    """A set.

    Raises:
        Missing: Where there is none of that number.
    """
    found = session.get(LearningSet, set_id)
    if found is None:
        raise Missing(f"there is no set {set_id}", "Look at the list of sets")
    return found


def listed(session: Session) -> list[Summary]:
    """All sets, the newest first."""
    rows = session.execute(
        select(LearningSet, User.full_name)
        .join(User, User.id == LearningSet.made_by)
        .order_by(LearningSet.id.desc())
    ).all()
    labels: dict[int, dict[str, int]] = defaultdict(dict)
    by_label = select(LearningCell.set_id, LearningCell.label, func.count())
    for number, label, count in session.execute(by_label.group_by(LearningCell.set_id, LearningCell.label)):
        labels[number][label] = count
    by_set = select(LearningCell.set_id, func.count(distinct(LearningCell.sample_id)))
    samples = dict(session.execute(by_set.group_by(LearningCell.set_id)).all())
    in_groups = select(LearningCell.set_id, func.count()).where(LearningCell.grouped.is_(True))
    grouped = dict(session.execute(in_groups.group_by(LearningCell.set_id)).all())
    return [
        Summary(
            id=one.id,
            made=one.made,
            made_by=name,
            signed_only=one.signed_only,
            cells=sum(labels[one.id].values()),
            samples=samples.get(one.id, 0),
            grouped=grouped.get(one.id, 0),
            labels=labels[one.id],
            left_out=one.left_out,
        )
        for one, name in rows
    ]


def taught_as(label: str, classes: Collection[str]) -> str | None:
    """The class that a cell of this label teaches a bundle; None where it knows nothing of the kind.

    Args:
        label: A class's key, the machine's or the reviewer's.
        classes: What the bundle may answer.
    """
    kind = cell_class(label)
    return next((key for key in (kind.key, kind.form_of) if key in classes), None)


def taught(labels: Mapping[str, int], classes: Sequence[str]) -> tuple[dict[str, int], dict[str, int]]:
    """What a set teaches a bundle, in cells of each of its classes; and what it doesn't, in cells of each label."""
    known: Counter[str] = Counter()
    unknown: dict[str, int] = {}
    for label, count in labels.items():
        key = taught_as(label, classes)
        if key is None:
            unknown[label] = count
        else:
            known[key] += count
    return {key: known[key] for key in classes if key in known}, unknown


def may(actor: Actor, what: str) -> int:
    """The reviewer's number.

    Raises:
        Refused: Where it is none, or no person.
    """
    actor.must_have(SCOPE)
    actor.must_be("reviewer", what)
    if actor.user_id is None:
        raise Refused(f"{actor.name} is no person, and may not {what}", "Sign in")
    return actor.user_id
