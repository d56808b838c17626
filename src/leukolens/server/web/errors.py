"""How what goes wrong is answered: a calm page for people, ``{"problem", "remedy"}`` for programs."""

from __future__ import annotations

import logging
import secrets
import traceback
from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leukolens.errors import Conflict, ImageError, LeukolensError, Missing, Refused, Unfit
from leukolens.server.people.throttle import TooMany
from leukolens.server.web import spoken
from leukolens.server.web.text import DEFAULT

log = logging.getLogger("leukolens.server")


class NotSignedIn(Refused):
    """Something that only somebody who is known may do."""

    def __init__(self) -> None:
        super().__init__("nobody is signed in, or not any more", "Sign in, or send a token that is valid")
        self.args = ()


class TooLarge(Unfit):
    """A request with a larger body than is taken."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request holds more than {limit} bytes", "Send less at a time")
        self.args = (limit,)


class Problem(BaseModel):
    """What is answered to a program when something does not go well."""

    problem: str
    remedy: str


DESCRIBED: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": description}
    for status, description in {
        400: "The request cannot be understood",
        401: "Nobody is signed in, or the token is not valid",
        403: "This person or token may not do that",
        404: "There is no such thing",
        409: "What has happened meanwhile does not allow it",
        413: "The request is too large",
        422: "What was sent cannot be taken",
        429: "Too many attempts",
        500: "Something went wrong here",
    }.items()
}
"""Of the API's description, for every address."""

STATUS: tuple[tuple[type[LeukolensError], int], ...] = (
    (NotSignedIn, 401), (TooMany, 429), (TooLarge, 413), (Refused, 403), (Missing, 404), (Conflict, 409),
    (Unfit, 422), (ImageError, 422),
)  # fmt: skip
_SAID = {
    400: ("the request cannot be understood", "Load the page again and try once more"),
    404: ("there is nothing at this address", "Go back to the list of samples"),
    405: ("this address does not answer to that", "Go back to the list of samples"),
}
_BROKEN = ("something went wrong here", "Try again; if it stays, tell who runs this server the number")


def status_of(error: LeukolensError) -> int:
    """The HTTP status that says it; 500 where the server is at fault."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def answer(request: Request, error: LeukolensError) -> Response:
    """What to answer where this was raised."""
    status = status_of(error)
    if isinstance(error, NotSignedIn) and not wants_json(request):
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        there = f"?next={quote(asked, safe='/')}" if request.method == "GET" and asked != "/" else ""
        return RedirectResponse(f"/login{there}", 303)
    if status == 500:
        log.error("%s %s: %s", request.method, _place(request.scope), error.problem)
    headers = {"Retry-After": str(error.seconds)} if isinstance(error, TooMany) else {}
    if isinstance(error, NotSignedIn):
        headers["WWW-Authenticate"] = "Bearer"
    return told(request, status, error.problem, error.remedy, headers)


def told(
    request: Request, status: int, problem: str, remedy: str, headers: Mapping[str, str] | None = None
) -> Response:
    """A problem, said in English, as whoever asks can read it."""
    from leukolens.server.web.rendering import render

    language, english = language_for(request), (problem, remedy)
    problem, remedy = spoken.problem(language, problem), spoken.remedy(language, remedy)
    if wants_json(request):
        return JSONResponse(Problem(problem=problem, remedy=remedy).model_dump(), status, headers)
    visitor = getattr(request.state, "visitor", None)
    try:
        page: Response = render(
            request, "door/problem.html", actor=visitor and visitor.actor, status=status, kind=status,
            problem=problem, remedy=remedy, english=() if language == DEFAULT else english,
        )  # fmt: skip
    except Exception as error:  # the page that says so must not fail itself
        log.error("the page of problems failed: %s", type(error).__name__)
        page = HTMLResponse(
            f"<!doctype html><title>{status}</title><p>{escape(problem)}. {escape(remedy)}.", status
        )
    page.headers.update(headers or {})
    return page


def wants_json(request: Request) -> bool:
    """Whether a program asks, or a script of the page, not a person who waits for a page."""
    headers = request.headers
    return (
        request.url.path.startswith("/api/")
        or "hx-request" in headers
        or "text/html" not in headers.get("accept", "")
    )


def language_for(request: Request) -> str:
    """What problems are told in: the page's language, to its scripts too; English to programs."""
    from leukolens.server.web.rendering import language_of

    is_program = request.url.path.startswith("/api/") or "authorization" in request.headers
    return DEFAULT if is_program else language_of(request)


def add_handlers(app: FastAPI) -> None:
    """Lets the app answer as this file says."""

    async def of_ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, LeukolensError)
        return answer(request, error)

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if isinstance(error.__cause__, LeukolensError):  # what a body's reading raised, wrapped by FastAPI
            return answer(request, error.__cause__)
        problem, remedy = _SAID.get(error.status_code, ("this cannot be answered", "Go back and try again"))
        return told(request, error.status_code, problem, remedy, error.headers)

    async def of_form(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # What was sent is not said again: it may be a patient's.
        wrong = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:5])
        return told(request, 422, "; ".join(wrong), "Send what the description of the API asks for")

    app.add_exception_handler(LeukolensError, of_ours)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_form)


class Catching:
    """Answers what nobody foresaw, and logs where it happened but nothing of what was worked on.

    Args:
        app: What is guarded.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            return  # nobody is left to be answered
        except Exception as error:
            if scope["type"] != "http":
                raise
            request = Request(scope, receive)
            response = (
                answer(request, error) if isinstance(error, LeukolensError) else _unforeseen(request, error)
            )
            if not started:  # else the connection is cut, which says that something is amiss
                await response(scope, receive, send)


def _unforeseen(request: Request, error: Exception) -> Response:
    number = secrets.token_hex(4)
    kinds: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        kinds.append(type(cause).__qualname__)
        cause = cause.__cause__ or cause.__context__
    frames = "".join(
        f"\n  {at.filename}:{at.lineno} {at.name}" for at in traceback.extract_tb(error.__traceback__)
    )
    log.error(
        "%s: %s at %s %s%s", number, " after ".join(kinds), request.method, _place(request.scope), frames
    )
    problem, remedy = _BROKEN
    return told(request, 500, problem, f"{remedy} {number}")


def _place(scope: Scope) -> str:
    """The address without what a client put into it."""
    return str(getattr(scope.get("route"), "path", "an address that is none"))
