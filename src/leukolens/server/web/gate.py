"""What is looked at before a request gets any further: its host, where it comes from, whose it is, how large it is.

Whose it is comes first of all that costs something: a body is read for nobody who is not known.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from fastapi.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leukolens.errors import Refused, ServerError, Unfit
from leukolens.server.actor import Actor
from leukolens.server.people import logins, tokens
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.web.errors import TooLarge

SAFE = ("GET", "HEAD", "OPTIONS")
STRANGERS_BYTES = 64 * 1024
"""Of the body of whoever is not known: a form to sign in with."""
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_HOST = re.compile(r"(?P<name>[a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.IGNORECASE)

log = logging.getLogger("leukolens.server")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whose request it is.

    Attributes:
        actor: The person, with scopes where a token was sent.
        cookie: The login's; None where a token was sent.
        csrf: What the login's forms must carry; empty where a token was sent.
        full_name: As it stands on reports; empty where a token was sent.
    """

    actor: Actor
    cookie: str | None = None
    csrf: str = ""
    full_name: str = ""


def cookie_name(settings: Settings) -> str:
    """What the cookie is called; by TLS, so that no other host of the domain can set it."""
    return "__Host-leukolens" if settings.secure else "leukolens"


class Gate:
    """Lets requests through that may come in, and says whose they are in ``request.state.visitor``.

    Args:
        app: What lies behind it.
        settings: What the server was started with.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Looks at a request and passes it on.

        Raises:
            Refused: Where it comes from another site.
            Unfit: Where its host is not this server's.
            TooLarge: Where its body is, then or while it is read.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        must_be_for_us(request, self.settings)
        token = _token(request)
        if token is None:
            must_be_from_here(request, self.settings)
        visitor = None
        if not request.url.path.startswith("/static/"):
            database: Database = request.app.state.context.database
            visitor = await run_in_threadpool(self._visitor, database, request, token)
        request.state.visitor = visitor
        request.state.csrf = visitor.csrf if visitor else ""
        limit = self.settings.limits.upload_bytes if visitor else STRANGERS_BYTES
        said = request.headers.get("content-length", "")
        if said.isdecimal() and int(said) > limit:
            raise TooLarge(limit)
        await self.app(scope, counted(receive, limit), send)

    def _visitor(self, database: Database, request: Request, token: str | None) -> Visitor | None:
        if token is not None:  # a cookie beside it does not count
            with database.reading() as session:
                actor = tokens.who(session, token)
            return Visitor(actor) if actor else None
        cookie = request.cookies.get(cookie_name(self.settings))
        if not cookie:
            return None
        with database.reading() as session:
            found = logins.find(session, cookie, self.settings.session_hours)
        if found is None:
            return None
        if found.due:
            try:
                with database.writing() as session:
                    logins.prolong(session, cookie, self.settings.session_hours)
            except ServerError as error:  # the next request does it
                log.warning("a login could not be prolonged: %s", error.problem)
        return Visitor(found.actor, cookie, found.csrf, found.full_name)


def must_be_for_us(request: Request, settings: Settings) -> None:
    """Refuses a request under a name that another's DNS may have pointed here.

    A server that binds to this machine alone, and has no proxy, is called by this machine's names.

    Raises:
        Unfit: Naming those that it answers to.
    """
    found = _HOST.fullmatch(request.headers.get("host", ""))
    if found is None:
        raise Unfit("the request names no host", "Send a Host header")
    here = {*LOOPBACK, settings.host.lower()}
    if is_loopback(settings.host) and not settings.secure and found["name"].lower() not in here:
        raise Unfit(
            "this server does not answer to that name",
            f"Use http://{LOOPBACK[1]} with its port, or start it with --secure",
        )


def must_be_from_here(request: Request, settings: Settings) -> None:
    """Refuses what another site's page makes a browser send.

    Raises:
        Refused: Saying so.
    """
    if request.method in SAFE:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    foreign = site not in (None, "same-origin", "none")
    if origin == "null":
        foreign = foreign or site != "same-origin"
    elif origin is not None:
        named = f"{'https' if settings.secure else 'http'}://{request.headers.get('host', '')}"
        foreign = foreign or origin.lower() != named.lower()
    if foreign:
        raise Refused(
            "the request comes from another site",
            "Use this server's own pages; a proxy has to pass the Host header on as it is",
        )


def counted(receive: Receive, limit: int) -> Receive:
    """The body as it comes, until it has become too large."""
    taken = 0

    async def counting() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise TooLarge(limit)
        return message

    return counting


def is_loopback(host: str) -> bool:
    """Whether an address to bind to can be reached from this machine alone."""
    return host.lower() in ("localhost", "::1") or host.startswith("127.")


def _token(request: Request) -> str | None:
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else None
