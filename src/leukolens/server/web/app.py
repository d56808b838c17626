"""The server as an ASGI app: its routes, and what stands before them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import Depends, FastAPI
from fastapi.concurrency import contextmanager_in_threadpool
from fastapi.staticfiles import StaticFiles

from leukolens import __version__
from leukolens.server.settings import Settings
from leukolens.server.web import api, errors, pages
from leukolens.server.web.context import Context, opened
from leukolens.server.web.gate import Gate
from leukolens.server.web.headers import Headers
from leukolens.server.web.rendering import STATIC
from leukolens.server.web.routes import account, learning, login, people
from leukolens.server.web.security import own_form

WRITERS = 8
"""At once, on PostgreSQL; SQLite has one."""


def create_app(settings: Settings, *, context: Context | None = None) -> FastAPI:
    """The app; all that it needs is opened when it starts.

    Args:
        settings: What the server is started with.
        context: What was opened already; whoever opened it closes it.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if context is not None:
            yield
            return
        async with contextmanager_in_threadpool(opened(settings)) as made:
            app.state.context = made
            yield

    app = FastAPI(
        title="Leukolens",
        version=__version__,
        summary="White blood cells of a smear: named, reviewed, counted and signed.",
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        dependencies=[Depends(own_form)],
        form_limits={"max_files": settings.limits.files},
        responses=errors.DESCRIBED,
    )
    app.state.writers = anyio.Semaphore(1 if settings.url.startswith("sqlite") else WRITERS)
    if context is not None:
        app.state.context = context
    errors.add_handlers(app)
    # The one added last is the first that a request meets.
    app.add_middleware(Gate, settings=settings)
    app.add_middleware(errors.Catching)
    app.add_middleware(Headers, secure=settings.secure)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for router in (
        login.router,
        people.router,
        account.router,
        learning.router,
        *pages.routers,
        *api.routers,
    ):
        app.include_router(router)
    return app
