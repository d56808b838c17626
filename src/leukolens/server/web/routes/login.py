"""Coming in and going out: signing in, signing out, and the first administrator."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from leukolens.errors import LeukolensError, Unfit
from leukolens.server.people import first, logins, throttle, users
from leukolens.server.people.logins import WrongPassword
from leukolens.server.people.throttle import TooMany
from leukolens.server.web.context import Reading, context_of
from leukolens.server.web.errors import status_of
from leukolens.server.web.gate import Visitor, cookie_name
from leukolens.server.web.rendering import A_YEAR, language_of, render
from leukolens.server.web.text import translate

router = APIRouter(include_in_schema=False)
Text = Annotated[str, Form()]
SEE_OTHER = 303


@router.get("/login")
def door(request: Request, session: Reading, next: str = "/") -> Response:  # noqa: A002
    """The form to sign in with."""
    if not users.anybody(session):
        return RedirectResponse("/first", SEE_OTHER)
    if request.state.visitor is not None:
        return RedirectResponse(own_place(next), SEE_OTHER)
    return render(request, "door/login.html", next=own_place(next), name="", problem="")


@router.post("/login")
def enter(request: Request, name: Text = "", password: Text = "", next: Text = "/") -> Response:  # noqa: A002
    """Signs in; the form again where that fails."""
    language = language_of(request)
    try:
        return _let_in(request, name, password, own_place(next))
    except TooMany as error:
        problem, status = translate(language, "door.login.wait", count=error.seconds), status_of(error)
        headers = {"Retry-After": str(error.seconds)}
    except WrongPassword:
        problem, status, headers = translate(language, "door.login.wrong"), 401, {}
    # What was typed as the name is not shown again: now and then it is the password.
    page = render(request, "door/login.html", status=status, next=own_place(next), name="", problem=problem)
    page.headers.update(headers)
    return page


@router.post("/logout")
def leave(request: Request) -> Response:
    """Signs out; the login ends here, whatever becomes of the cookie."""
    context = context_of(request)
    visitor: Visitor | None = request.state.visitor
    if visitor is not None and visitor.cookie is not None:
        with context.database.writing() as session:
            logins.sign_out(session, visitor.cookie)
    answer = RedirectResponse("/login", SEE_OTHER)
    answer.delete_cookie(
        cookie_name(context.settings), path="/", secure=context.settings.secure, httponly=True
    )
    return answer


@router.get("/first")
def nobody_yet(request: Request, session: Reading) -> Response:
    """The form for the first administrator."""
    first.must_be_nobody(session)
    return render(request, "door/first.html", name="", full_name="", problem="")


@router.post("/first")
def make_first(
    request: Request,
    code: Text = "",
    name: Text = "",
    full_name: Text = "",
    password: Text = "",
    again: Text = "",
) -> Response:
    """Makes the first administrator and signs in."""
    context = context_of(request)
    try:
        with context.database.reading() as session:
            first.must_be_nobody(session)
        same_twice(request, password, again)
        with context.database.writing() as session:
            first.make(session, context.first, code, name, full_name, password)
        return _let_in(request, name, password, "/")
    except (throttle.TooMany, WrongPassword):
        return RedirectResponse("/login", SEE_OTHER)
    except LeukolensError as error:
        if status_of(error) == 404:
            raise
        return render(
            request, "door/first.html", status=status_of(error), name=name, full_name=full_name, problem=error
        )  # fmt: skip


def own_place(place: str) -> str:
    """Where to go next, if that is a page of this server; its first page otherwise."""
    plain = place.isascii() and place.isprintable() and "\\" not in place
    return place if plain and place.startswith("/") and not place.startswith(("//", "/login")) else "/"


def same_twice(request: Request, password: str, again: str) -> None:
    """Refuses a new password that was typed in two ways.

    Raises:
        Unfit: Saying so.
    """
    if password != again:
        raise Unfit(
            translate(language_of(request), "door.password.differs"),
            translate(language_of(request), "door.password.again"),
        )


def address_of(request: Request) -> str:
    """The address that a request comes from; through a proxy, the one that it names."""
    return request.client.host if request.client else ""


def _let_in(request: Request, name: str, password: str, place: str) -> Response:
    context = context_of(request)
    settings, database = context.settings, context.database
    cookie = logins.sign_in(database, name, password, address_of(request), settings.session_hours)
    old = request.cookies.get(cookie_name(settings))
    with database.writing() as session:
        if old:
            logins.sign_out(session, old)
        found = logins.find(session, cookie, settings.session_hours)
    answer = RedirectResponse(place, SEE_OTHER)
    # Without an age: it goes with the browser, or when the server ends the login.
    answer.set_cookie(
        cookie_name(settings), cookie, path="/", secure=settings.secure, httponly=True, samesite="lax"
    )
    if found is not None and found.language:
        answer.set_cookie("language", found.language, max_age=A_YEAR, path="/", samesite="lax")
    return answer
