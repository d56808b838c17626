"""What a running server holds, and what a route may ask for of it: who acts, a session of the database."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from fastapi.concurrency import contextmanager_in_threadpool
from sqlalchemy.orm import Session

from leukolens.errors import Refused, ServerError
from leukolens.server.actor import Actor
from leukolens.server.people.first import FirstCode
from leukolens.server.people.tokens import SCOPES
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.web.errors import NotSignedIn
from leukolens.server.web.gate import SAFE, Visitor

if TYPE_CHECKING:
    from leukolens.server.intake.watcher import Watcher
    from leukolens.server.jobs.pictures import Pictures
    from leukolens.server.jobs.worker import Worker
    from leukolens.server.signing.messenger import Messenger
    from leukolens.server.store.files import Files

API = "/api/"


@dataclass(frozen=True)
class Context:
    """What every request may use.

    Attributes:
        settings: What the server was started with.
        database: Where its tables are.
        files: Where its images and bundles are.
        worker: What does its jobs; None where nothing is to be read.
        learner: What adapts bundles beside it; None likewise.
        messenger: What tells the webhook of signed reports; None where there is none to tell.
        pictures: What makes pictures for the pages; None where none are made.
        watcher: What takes samples from a watched folder; None where none is watched.
        first: The code that makes the first administrator.
    """

    settings: Settings
    database: Database
    files: Files
    worker: Worker | None = None
    learner: Worker | None = None
    messenger: Messenger | None = None
    pictures: Pictures | None = None
    watcher: Watcher | None = None
    first: FirstCode = field(default_factory=FirstCode)


@contextmanager
def opened(settings: Settings) -> Iterator[Context]:
    """Opens all that a server needs, and closes it in the end, the worker first.

    Raises:
        ServerError: Where the folder or the database cannot be used.
    """
    from leukolens.server.intake import bundles
    from leukolens.server.intake.retention import Keeper
    from leukolens.server.intake.watcher import watcher_of
    from leukolens.server.jobs.pictures import Pictures
    from leukolens.server.jobs.worker import Worker
    from leukolens.server.learning import adapting, workshop
    from leukolens.server.signing.messenger import Messenger
    from leukolens.server.signing.webhook import Webhook
    from leukolens.server.store.files import Files
    from leukolens.server.store.migrate import migrate
    from leukolens.server.store.sweep import sweep

    try:
        settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ServerError(
            f"{settings.folder} cannot be made ({error.strerror})", "Choose another folder"
        ) from error
    with ExitStack() as stack:
        stack.enter_context(_alone(settings.folder))
        database = Database(settings.url)
        stack.callback(database.close)
        migrate(database, settings.folder)
        files = Files(settings.folder)
        with database.writing() as session:
            bundles.ensure_active(session, files, settings)
            sweep(session, files)
        workshop.clear(files)
        worker = Worker(database, files, settings)
        worker.start()
        stack.callback(worker.stop)
        learner = Worker(database, files, settings, kinds=adapting.KINDS)
        learner.start()
        stack.callback(learner.stop)
        pictures = Pictures(files, settings.limits)
        stack.callback(pictures.stop)
        messenger = None
        if settings.webhook_url is not None:
            messenger = Messenger(
                database, files, Webhook(settings.webhook_url, settings.webhook_secret or "")
            )
            messenger.start()
            stack.callback(messenger.stop)
        if settings.keep_days is not None:
            keeper = Keeper(database, files, settings.keep_days, worker.wake)
            keeper.start()
            stack.callback(keeper.stop)
        watcher = watcher_of(settings, database, files, worker.wake)
        if watcher is not None:
            watcher.start()
            stack.callback(watcher.stop)
        yield Context(settings, database, files, worker, learner, messenger, pictures, watcher)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps another server out of the folder: two workers would take each other's jobs for left behind."""
    with (folder / "server.lock").open("w") as lock:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ServerError(
                    f"another server works in {folder}", "End it first, or choose another folder"
                ) from error
        yield


def context_of(request: Request) -> Context:
    """The context of the server that answers."""
    context: Context = request.app.state.context
    return context


def visitor_of(request: Request) -> Visitor:
    """Whose request it is.

    Raises:
        NotSignedIn: Where it is nobody's.
    """
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    if visitor is None:
        raise NotSignedIn
    return visitor


def holding(scope: str) -> Callable[[Request], Actor]:
    """Who acts, for a route that a token needs this scope for; a person needs none.

    Raises:
        ValueError: Where there is no such scope.
    """
    if scope not in SCOPES:
        raise ValueError(f"there is no scope {scope}")

    def acting(request: Request) -> Actor:
        actor = visitor_of(request).actor
        actor.must_have(scope)
        return actor

    return acting


async def _acting(request: Request) -> Actor:
    """A person by the cookie, or a token within the API; what it must hold goes by what the request would do."""
    actor = visitor_of(request).actor
    if actor.scopes is not None:
        if not request.url.path.startswith(API):
            raise Refused("a token opens no page", f"Use the addresses under {API}")
        actor.must_have("samples:read" if request.method in SAFE else "samples:write")
    return actor


async def _person(request: Request) -> Actor:
    """A person by the cookie; no token."""
    visitor = visitor_of(request)
    if visitor.cookie is None:
        raise Refused("a token cannot do that", "Sign in at the page")
    return visitor.actor


async def _administrator(actor: Annotated[Actor, Depends(_person)]) -> Actor:
    actor.must_be("administrator", "manage people")
    return actor


async def _reading(request: Request) -> AsyncIterator[Session]:
    async with contextmanager_in_threadpool(context_of(request).database.reading()) as session:
        yield session


async def _writing(request: Request) -> AsyncIterator[Session]:
    # In line before a thread is taken: those who wait for SQLite's one writer would else hold all threads, and the
    # writer itself could not go on. It is also fairer than SQLite, which wakes up whom it likes.
    async with (
        request.app.state.writers,
        contextmanager_in_threadpool(context_of(request).database.writing()) as session,
    ):
        yield session


Acting = Annotated[Actor, Depends(_acting)]
Person = Annotated[Actor, Depends(_person)]
Administrator = Annotated[Actor, Depends(_administrator)]
# Ended before the answer is sent: what was acknowledged is kept.
Reading = Annotated[Session, Depends(_reading, scope="function")]
Writing = Annotated[Session, Depends(_writing, scope="function")]
