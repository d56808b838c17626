"""What a person says of a smear's red cells and platelets, in coded words.

Names are those of the ICSH recommendations for naming and grading blood cells (Palmer et al., Int J Lab Hematol 2015;
37:287), which grade few, moderate and many as 1+, 2+ and 3+; most findings are reported from 2+ on, schistocytes from
1+.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.errors import Unfit
from leukolens.server.actor import Actor
from leukolens.server.review.acts import opened
from leukolens.server.store import trail
from leukolens.server.store.tables import Comment, Sample

GRADES = ("none", "1+", "2+", "3+")
ESTIMATES = ("low", "normal", "high")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that can be said of red cells or platelets.

    Attributes:
        key: Its name in every document.
        name: The name that a person reads.
        of: What it is said of.
        grades: What can be said, from the least to the most.
    """

    key: str
    name: str
    of: Literal["red cells", "platelets"]
    grades: tuple[str, ...] = GRADES


FINDINGS: tuple[Finding, ...] = (
    Finding("anisocytosis", "Anisocytosis", "red cells"),
    Finding("poikilocytosis", "Poikilocytosis", "red cells"),
    Finding("polychromasia", "Polychromasia", "red cells"),
    Finding("hypochromia", "Hypochromia", "red cells"),
    Finding("schistocytes", "Schistocytes", "red cells"),
    Finding("spherocytes", "Spherocytes", "red cells"),
    Finding("target_cells", "Target cells", "red cells"),
    Finding("tear_drop_cells", "Tear drop cells", "red cells"),
    Finding("rouleaux", "Rouleaux", "red cells"),
    Finding("basophilic_stippling", "Basophilic stippling", "red cells"),
    Finding("howell_jolly_bodies", "Howell-Jolly bodies", "red cells"),
    Finding("platelet_clumps", "Platelet clumps", "platelets"),
    Finding("giant_platelets", "Giant platelets", "platelets"),
    Finding("platelet_estimate", "Platelet estimate", "platelets", ESTIMATES),
)
_BY_KEY = {finding.key: finding for finding in FINDINGS}


def grade(session: Session, actor: Actor, sample: Sample, key: str, said: str) -> Comment:
    """Says a finding's grade, in place of one that was said before.

    Args:
        session: In a writing transaction.
        actor: A reader at least.
        sample: Not signed.
        key: The finding's.
        said: One of its grades.

    Raises:
        Unfit: Where there is no such finding or grade.
        Conflict: Where the sample is signed.
    """
    sample, _ = opened(session, actor, sample, "comment")
    finding = _finding(key)
    if said not in finding.grades:
        raise Unfit(f"{said!r} is no grade of {finding.name.lower()}", f"Use {', '.join(finding.grades)}")
    comment = session.get(Comment, (sample.id, key))
    before = None if comment is None else {key: comment.grade}
    if before == {key: said} and comment is not None:
        return comment
    if comment is None:
        comment = Comment(sample_id=sample.id, finding=key, grade=said)
        session.add(comment)
    comment.grade = said
    session.flush()
    trail.append(session, actor, "comment", f"sample {sample.key}", before=before, after={key: said})
    return comment


def clear(session: Session, actor: Actor, sample: Sample, key: str) -> None:
    """Says nothing of a finding any more.

    Raises:
        Unfit: Where there is no such finding.
        Conflict: Where the sample is signed.
    """
    sample, _ = opened(session, actor, sample, "comment")
    comment = session.get(Comment, (sample.id, _finding(key).key))
    if comment is None:
        return
    session.delete(comment)
    session.flush()
    trail.append(session, actor, "comment", f"sample {sample.key}", before={key: comment.grade})


def said(session: Session, sample: Sample) -> tuple[tuple[Finding, str], ...]:
    """Each finding that something is said of, and what, in the list's order."""
    rows = session.execute(select(Comment.finding, Comment.grade).where(Comment.sample_id == sample.id))
    grades = dict(rows.all())
    return tuple((finding, grades[finding.key]) for finding in FINDINGS if finding.key in grades)


def _finding(key: str) -> Finding:
    try:
        return _BY_KEY[key]
    except KeyError:
        raise Unfit(f"{key!r} is no finding", f"Use {', '.join(_BY_KEY)}") from None
