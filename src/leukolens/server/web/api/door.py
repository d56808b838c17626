"""What every address of the API has in common: who may come in, how much is read, how lists are turned."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Security
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.security import APIKeyCookie, HTTPBearer, SecurityScopes
from pydantic import BaseModel, ConfigDict

from leukolens.server.actor import Actor
from leukolens.server.intake.listing import LARGEST_PAGE
from leukolens.server.people.tokens import IDENTIFIERS
from leukolens.server.web.context import API, holding, visitor_of
from leukolens.server.web.errors import TooLarge
from leukolens.server.web.gate import counted
from leukolens.server.web.pages.frame import LARGEST

PREFIX = f"{API}v1"
BODY_BYTES = 2**20
"""Of a request that sends no images."""
PAGE = 50

_BEARER = HTTPBearer(
    scheme_name="token", auto_error=False, bearerFormat="leukolens_...",
    description="A token that a person made on the page of the account. It does what its scopes say, and never more "
    "than that person may.",
)  # fmt: skip
COOKIE = APIKeyCookie(
    name="leukolens", scheme_name="session", auto_error=False,
    description="The cookie of whoever is signed in at the page (`__Host-leukolens` by TLS). What changes something "
    "must carry that login's token too, as the header `X-CSRF-Token`: it stands in every page's head.",
)  # fmt: skip


def _acting(
    request: Request,
    asked: SecurityScopes,
    _token: Annotated[Any, Depends(_BEARER)],
) -> Actor:
    for scope in asked.scopes:
        holding(scope)(request)
    return visitor_of(request).actor


Known = Annotated[Actor, Security(_acting)]
Seeing = Annotated[Actor, Security(_acting, scopes=["samples:read"])]
Sending = Annotated[Actor, Security(_acting, scopes=["samples:write"])]
Naming = Annotated[Actor, Security(_acting, scopes=["review"])]
Signing = Annotated[Actor, Security(_acting, scopes=["sign"])]
Activating = Annotated[Actor, Security(_acting, scopes=["bundles"])]


def _identifiers(
    actor: Known,
    identifiers: Annotated[
        bool, Query(description=f"Whether to say whose smear it is; a token needs the scope `{IDENTIFIERS}`.")
    ] = False,
) -> bool:
    if identifiers:
        actor.must_have(IDENTIFIERS)
    return identifiers


Identified = Annotated[bool, Depends(_identifiers)]
"""Whether whose smear it is was asked for, by somebody who may know."""
After = Annotated[
    int | None,
    Query(ge=1, le=LARGEST, description="What the page before said is `next`; nothing for the first."),
]
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="How many at most.")]


class Asked(BaseModel):
    """What a client sends: nothing that is not described, and nothing that must be guessed at."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class Told(BaseModel):
    """What a client is answered."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)


class Short(APIRoute):
    """A route whose request is read into memory, so that it must be small."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Answers a request, or refuses one that is too large."""
        answered = super().get_route_handler()

        async def handler(request: Request) -> Response:
            said = request.headers.get("content-length", "")
            if said.isdecimal() and int(said) > BODY_BYTES:
                raise TooLarge(BODY_BYTES)
            return await answered(Request(request.scope, counted(request.receive, BODY_BYTES)))

        return handler


def wake(request: Request) -> None:
    """Tells the worker that there is something to do, after that was kept."""
    worker = request.app.state.context.worker
    if worker is not None:
        worker.wake()
