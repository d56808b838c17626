"""The weekly figures, as JSON."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from leukolens.server.quality import weekly
from leukolens.server.store.columns import now
from leukolens.server.web.api.door import Seeing, Short, Told
from leukolens.server.web.context import Reading, context_of

router = APIRouter(prefix="/quality", tags=["quality"], route_class=Short)


class Part(Told):
    """Some of all, as a share from 0 to 1 with its 95 % limits."""

    count: int
    total: int
    share: float
    low: float
    high: float


class Week(Told):
    """What one bundle read in one week of the ISO calendar, by UTC."""

    year: int
    week: int
    bundle: str
    bundle_sha256: str
    samples: int
    """That had a field read."""
    cells: int
    """White cells that the machine found, without those that were struck out or the edge cuts."""
    blind: Part | None
    """Agreement of machine and person on cells named while the machine's answer was hidden; null where none was."""
    named: Part | None
    """The same on all cells that were named: biased, since the answer was shown. Null where none was."""
    unsure: Part | None
    """Cells that the machine would not name."""
    outside: Part | None
    """Cells outside what the bundle has learned; null where that is not known."""
    unlike: bool | None
    """Whether clearly more are outside than in any laboratory that the bundle knows; null where nobody can say."""


class Weeks(Told):
    """The weeks in which something was read, the newest first."""

    weeks: list[Week]


@router.get("", summary="The weekly figures")
def figures(
    request: Request,
    actor: Seeing,
    session: Reading,
    weeks: Annotated[
        int, Query(ge=1, le=weekly.MOST_WEEKS, description="How many, this one among them.")
    ] = weekly.WEEKS,
) -> Weeks:
    """How often the machine is right, how often it is unsure, and how far the stain has drifted; a reviewer's."""
    found = weekly.weekly(session, context_of(request).files, actor, now(), weeks=weeks)
    return Weeks(weeks=[Week.model_validate(one) for one in found])
