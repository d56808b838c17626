"""Learning from reviewed cells: sets, adaptations with before and after, and which bundle is active."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from leukolens.errors import Conflict, LeukolensError, Unfit
from leukolens.server.actor import Actor
from leukolens.server.intake import bundles
from leukolens.server.learning import activation, asking, listing, sets
from leukolens.server.learning.settled import REASONS
from leukolens.server.review.counted import card_of
from leukolens.server.web.context import Person, Reading, Writing, context_of
from leukolens.server.web.errors import status_of
from leukolens.server.web.pages.frame import in_reach
from leukolens.server.web.pages.kinds import kinds
from leukolens.server.web.rendering import language_of, render
from leukolens.server.web.routes.learning_figures import figures, percent

router = APIRouter(prefix="/learning", include_in_schema=False)
Text = Annotated[str, Form()]
HERE = "/learning"
SEE_OTHER = 303


@router.get("")
def page(request: Request, actor: Person, session: Reading) -> Response:
    """The sets, the adaptations and the bundles."""
    return _page(request, actor, session)


@router.get("/results")
def results(request: Request, actor: Person, session: Reading) -> Response:
    """The adaptations and the bundles: the part of the page that looks again by itself."""
    actor.must_be("reviewer", "see what bundles learn from")
    return render(request, "learning_results.html", actor=actor, **_results(request, session))


@router.post("/sets")
def make_set(request: Request, actor: Person, session: Writing, signed_only: Text = "") -> Response:
    """Makes a set of all cells that persons have named."""
    try:
        sets.make(session, actor, signed_only=bool(signed_only))
    except (Unfit, Conflict) as error:
        session.rollback()
        return _page(request, actor, session, error)
    return RedirectResponse(HERE, SEE_OTHER)


@router.post("/sets/{set_id}/adapt")
def adapt(request: Request, actor: Person, session: Writing, set_id: int, fine_tune: Text = "") -> Response:
    """Has a bundle adapted to a set."""
    try:
        asking.ask(session, actor, in_reach(set_id), fine_tune=bool(fine_tune))
    except (Unfit, Conflict) as error:
        session.rollback()
        return _page(request, actor, session, error)
    session.commit()
    learner = context_of(request).learner
    if learner is not None:
        learner.wake()
    return RedirectResponse(HERE, SEE_OTHER)


@router.post("/adaptations/{adaptation_id}/stop")
def stop(request: Request, actor: Person, session: Writing, adaptation_id: int) -> Response:
    """Gives up an adaptation."""
    try:
        asking.stop(session, actor, in_reach(adaptation_id))
    except Conflict as error:
        session.rollback()
        return _page(request, actor, session, error)
    return RedirectResponse(HERE, SEE_OTHER)


@router.post("/bundles/{sha256}/activate")
def activate(request: Request, actor: Person, session: Writing, sha256: str) -> Response:
    """Has samples from now on read with a bundle."""
    try:
        activation.activate(session, actor, context_of(request).files, sha256)
    except Conflict as error:
        session.rollback()
        return _page(request, actor, session, error)
    return RedirectResponse(f"{HERE}#bundles", SEE_OTHER)


def _page(
    request: Request, actor: Actor, session: Session, problem: LeukolensError | None = None
) -> Response:
    actor.must_be("reviewer", "see what bundles learn from")
    classes = _classes(request, session)
    made = [(one, *sets.taught(one.labels, classes)) for one in sets.listed(session)]
    return render(
        request, "learning.html", actor=actor, status=status_of(problem) if problem else 200, problem=problem,
        sets=made, reasons=REASONS, can_fine_tune=asking.can_fine_tune(), **_results(request, session),
    )  # fmt: skip


def _results(request: Request, session: Session) -> dict[str, Any]:
    found = listing.adaptations(session)
    return {
        "adaptations": [(one, figures(one.document)) for one in found],
        "bundles": listing.bundles(session),
        "busy": any(one.busy for one in found),
        "kinds": kinds(language_of(request)),
        "percent": percent,
    }


def _classes(request: Request, session: Session) -> tuple[str, ...]:
    """What the bundle that an adaptation would begin with may answer; nothing where its file is not there."""
    try:
        origin = asking.origin(session, bundles.active(session))
        return tuple(card_of(context_of(request).files, origin.sha256).classes)
    except LeukolensError:
        return ()
