"""The differential of a sample, and what persons say of its red cells and platelets."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field

from leukolens.differential import counts as counting
from leukolens.server.intake import samples
from leukolens.server.review import comments, counted
from leukolens.server.web.api.door import Asked, Naming, Seeing, Short, Told
from leukolens.server.web.context import Reading, Writing, context_of
from leukolens.server.web.pages.frame import place_of

router = APIRouter(prefix="/samples/{key}", tags=["differential"], route_class=Short)


class Share(Told):
    """A percentage with its 95 % limits, all from 0 to 100."""

    percent: float
    low: float
    high: float


class Concentration(Told):
    """Cells in a volume of blood, 10^9/L, with the 95 % limits that the count allows."""

    value: float
    low: float
    high: float


class ClassCount(Told):
    """One class's row of a differential."""

    key: str
    count: int
    share: Share
    """Of the named leukocytes; the limits are widened by the unsure cells."""
    corrected: Share | None
    """After correction for the classifier's known confusion; null where that isn't known."""
    concentration: Concentration | None
    """Null where the total white cell count isn't known."""
    to_halve: int
    """How many more cells would have to be counted to halve the width of the limits."""


class Differential(Told):
    """A differential count."""

    denominator: int
    """The named leukocytes: what percentages are over."""
    unsure: int
    at_edge: int
    not_leukocyte: int
    blasts: int
    """Cells that a person named a blast, those at an edge too."""
    classes: list[ClassCount]
    nucleated_red_cells: float | None
    """Per 100 leukocytes; null where nobody counted them."""
    warnings: list[str]
    """What a reader must know before using it, each one sentence."""


class Flag(Told):
    """Something that a person should review; never a diagnosis."""

    key: str
    message: str
    basis: Literal["absolute", "relative"]
    value: float
    unit: str
    low: float | None
    high: float | None


class Differentials(Told):
    """The differential as it stands now, by whoever asks and by the machine alone."""

    reviewed: Differential
    """As persons named the cells, and the machine those that nobody named."""
    machine: Differential
    flags: list[Flag]
    """Of the reviewed one."""
    hidden: int
    """Cells to be named with the machine's answer hidden: in neither until then. A report counts them."""


class Grade(Asked):
    """What is said of a finding."""

    grade: str = Field(max_length=20)


class Finding(Told):
    """Something that can be said of red cells or platelets."""

    key: str
    name: str
    of: Literal["red cells", "platelets"]
    grades: list[str]
    """What can be said, from the least to the most."""
    grade: str | None
    """What is said; null where nothing is."""


class Comments(Told):
    """Every finding, and what is said of it."""

    findings: list[Finding]


@router.get("/differential", summary="The differential")
def differential(key: str, request: Request, actor: Seeing, session: Reading) -> Differentials:
    """The counts with their limits and flags, machine and reviewed: a second reader's own until both are done."""
    sample = samples.find(session, key)
    seen, _, _ = place_of(session, actor, sample)
    live = counted.live(session, sample, context_of(request).files, turn=seen)
    return Differentials(
        reviewed=_told(live.reviewed),
        machine=_told(live.machine),
        flags=[Flag.model_validate(flag) for flag in live.flags],
        hidden=live.hidden,
    )


@router.get("/comments", summary="List comments")
def said(key: str, actor: Seeing, session: Reading) -> Comments:
    """What can be said of red cells and platelets, and what is."""
    grades = dict(comments.said(session, samples.find(session, key)))
    return Comments(findings=[_finding(one, grades.get(one)) for one in comments.FINDINGS])


@router.put("/comments/{finding}", summary="Comment")
def comment(key: str, finding: str, body: Grade, actor: Naming, session: Writing) -> Finding:
    """Says a finding's grade."""
    comments.grade(session, actor, samples.find(session, key), finding, body.grade)
    return _finding(next(one for one in comments.FINDINGS if one.key == finding), body.grade)


@router.delete("/comments/{finding}", summary="Take a comment back", status_code=204)
def take_back(key: str, finding: str, actor: Naming, session: Writing) -> None:
    """Says nothing of a finding any more."""
    comments.clear(session, actor, samples.find(session, key), finding)


def _told(one: counting.Differential) -> Differential:
    return Differential(
        denominator=one.denominator, unsure=one.tally.unsure, at_edge=one.tally.at_edge,
        not_leukocyte=one.tally.not_leukocyte, blasts=one.tally.blasts,
        classes=[ClassCount.model_validate(row) for row in one.classes],
        nucleated_red_cells=one.nucleated_red_cells, warnings=list(one.warnings),
    )  # fmt: skip


def _finding(one: comments.Finding, grade: str | None) -> Finding:
    return Finding(key=one.key, name=one.name, of=one.of, grades=list(one.grades), grade=grade)
