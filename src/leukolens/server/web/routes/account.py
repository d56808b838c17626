"""A person's own account: the password, the language, and the tokens for the API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from leukolens.errors import LeukolensError, Unfit
from leukolens.server.actor import Actor
from leukolens.server.people import logins, tokens, users
from leukolens.server.people.logins import WrongPassword
from leukolens.server.people.throttle import TooMany
from leukolens.server.web.context import Person, Writing, context_of
from leukolens.server.web.errors import status_of
from leukolens.server.web.rendering import A_YEAR, render
from leukolens.server.web.routes.login import address_of, same_twice
from leukolens.server.web.text import LANGUAGES

router = APIRouter(include_in_schema=False)
Text = Annotated[str, Form()]
SEE_OTHER = 303
DAYS = (30, 90, 365)


@router.get("/account")
def account(request: Request, actor: Person) -> Response:
    """The page of the account."""
    return _page(request, actor)


@router.post("/account/password")
def password(
    request: Request, actor: Person, old: Text = "", password: Text = "", again: Text = ""
) -> Response:
    """Changes the own password; every login of the person ends, this one too."""
    database = context_of(request).database
    try:
        same_twice(request, password, again)
        logins.confirm(database, actor, old, address_of(request))
        assert actor.user_id is not None
        with database.writing() as session:
            users.give_password(session, actor, actor.user_id, password)
    except (Unfit, WrongPassword, TooMany) as error:
        return _page(request, actor, problem=error)
    return RedirectResponse("/login", SEE_OTHER)


@router.post("/account/language")
def language(actor: Person, session: Writing, language: Text = "") -> Response:
    """Chooses the language, for this browser and wherever the person signs in next."""
    if language not in LANGUAGES:
        raise Unfit("there is no such language", f"Choose one of {', '.join(LANGUAGES)}")
    users.choose_language(session, actor, language)
    answer = RedirectResponse("/account", SEE_OTHER)
    answer.set_cookie("language", language, max_age=A_YEAR, path="/", samesite="lax")
    return answer


@router.post("/account/tokens")
def make_token(
    request: Request,
    actor: Person,
    name: Text = "",
    scopes: Annotated[tuple[str, ...], Form()] = (),
    days: Text = "",
) -> Response:
    """Makes a token and shows its secret, this once."""
    try:
        # Nothing chosen is the shortest, not for ever.
        lasting = None if days == "never" else int(days) if days.isdecimal() and len(days) < 6 else DAYS[0]
        with context_of(request).database.writing() as session:
            secret = tokens.make(session, actor, name, scopes, lasting)
    except Unfit as error:
        return _page(request, actor, problem=error)
    return _page(request, actor, secret=secret)


@router.post("/account/tokens/{token_id}/revoke")
def revoke_token(actor: Person, session: Writing, token_id: int) -> Response:
    """Ends a token."""
    tokens.revoke(session, actor, token_id)
    return RedirectResponse("/account", SEE_OTHER)


def _page(
    request: Request, actor: Actor, *, problem: LeukolensError | None = None, secret: str = ""
) -> Response:
    with context_of(request).database.reading() as session:
        return render(
            request, "door/account.html", actor=actor, status=status_of(problem) if problem else 200,
            full_name=request.state.visitor.full_name, tokens=tokens.listed(session, actor),
            scopes=tokens.SCOPES, days=DAYS, problem=problem, secret=secret,
        )  # fmt: skip
