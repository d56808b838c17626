"""The weekly figures: how often the machine is right, and whether what it sees has changed."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from leukolens.server.quality.weekly import Share, weekly
from leukolens.server.store.columns import now
from leukolens.server.web.context import Acting, Reading, context_of
from leukolens.server.web.pages.quality_chart import FIGURES, chart
from leukolens.server.web.rendering import language_of, render
from leukolens.server.web.text import translate

router = APIRouter(include_in_schema=False)
NOTHING = "–"


@router.get("/quality")
def page(request: Request, actor: Acting, session: Reading) -> Response:
    """The last half year, week by week; a reviewer's."""
    context = context_of(request)
    weeks = weekly(session, context.files, actor, now())
    language = language_of(request)
    rows = [
        (
            week,
            {figure: _words(language, getattr(week, figure), limits=figure == "blind") for figure in FIGURES},
        )
        for week in weeks
    ]
    return render(
        request, "quality.html", actor=actor, rows=rows, figures=FIGURES,
        chart=chart(weeks, translate(language, "quality.chart")), blind=f"{100 * context.settings.blind:g}",
    )  # fmt: skip


def _words(language: str, share: Share | None, *, limits: bool) -> str:
    if share is None:
        return NOTHING
    said = translate(language, "quality.share", percent=f"{100 * share.share:.1f}", total=share.total)
    if not limits:
        return said
    low, high = f"{100 * share.low:.1f}", f"{100 * share.high:.1f}"
    return f"{said}, {translate(language, 'tally.limits', low=low, high=high)}"
