"""What routes are given: a session that is kept before the answer goes out, and many writers at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from sqlalchemy import func, select
from starlette.responses import StreamingResponse

from leukolens.errors import ServerError
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.tables import Attempt
from leukolens.server.web.app import create_app
from leukolens.server.web.context import Reading, Writing, opened

JSON = {"Accept": "application/json"}
router = APIRouter(include_in_schema=False)


@router.get("/count")
def count(session: Reading) -> dict[str, int | None]:
    return {"count": session.scalar(select(func.count(Attempt.id)))}


@router.get("/write/{key}")
def write(session: Writing, key: str) -> dict[str, str]:
    session.add(Attempt(key=key))
    session.flush()
    return {"key": key}


@router.get("/write-and-stream")
def write_and_stream(request: Request, session: Writing) -> StreamingResponse:
    session.add(Attempt(key="streamed"))
    database: Database = request.app.state.context.database

    def after() -> Any:
        with database.reading() as other:
            yield str(other.scalar(select(func.count(Attempt.id))))

    return StreamingResponse(after())


@router.get("/look-and-write")
def look_and_write(session: Reading) -> dict[str, str]:
    session.add(Attempt(key="looked"))
    session.flush()
    return {}


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    app.include_router(router)
    return app


def test_what_was_written_is_kept_before_anything_is_answered(browser: Any) -> None:
    assert browser().get("/write-and-stream", headers=JSON).text == "1"


def test_who_only_looks_changes_nothing(browser: Any) -> None:
    browser().get("/look-and-write", headers=JSON)
    assert browser().get("/count", headers=JSON).json() == {"count": 0}


def test_sixty_writers_at_once_do_not_stand_in_one_anothers_way(
    app: FastAPI, browser: Any, staff: SimpleNamespace
) -> None:
    # As many threads as the server has: were they all to wait for SQLite, the one that writes could not end.
    with browser() as visit, ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(lambda key: visit.get(f"/write/{key}", headers=JSON).status_code, range(60)))
    assert answers == [200] * 60
    assert browser().get("/count", headers=JSON).json() == {"count": 60}


def test_an_app_that_is_given_nothing_opens_all_itself_and_closes_it(
    settings: Settings, browser: Any
) -> None:
    settings = replace(settings, folder=settings.folder / "own")
    app = create_app(settings)
    with type(browser())(app) as visit:
        assert visit.get("/login").headers["location"] == "/first"
        assert app.state.context.worker is not None
        with pytest.raises(ServerError, match="another server"), opened(settings):
            pass
    with opened(settings) as again:  # the folder is free again
        assert again.files is not None


def test_a_webhook_is_told_by_a_messenger_that_ends_with_the_server(settings: Settings) -> None:
    with opened(settings) as without:
        assert without.messenger is None
    told = replace(settings, webhook_url="https://lis.example/leukolens", webhook_secret="between us")
    with opened(told) as context:
        assert context.messenger is not None
        names = [thread.name for thread in threading.enumerate()]
        assert "leukolens-messenger" in names
    assert "leukolens-messenger" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(ServerError, match="no secret"), opened(replace(told, webhook_secret=None)):
        pass


def test_what_watches_a_folder_and_deletes_what_is_old_begins_and_ends_with_the_server(
    settings: Settings, tmp_path: Path
) -> None:
    watched = tmp_path / "watched"
    watched.mkdir()

    def ours() -> set[str]:
        return {thread.name for thread in threading.enumerate()} & {"leukolens-watcher", "leukolens-keeper"}

    with opened(settings) as without:
        assert (without.watcher, ours()) == (None, set())
    with opened(replace(settings, watch=watched, keep_days=30)) as context:
        assert context.watcher is not None
        assert context.pictures is not None
        assert ours() == {"leukolens-watcher", "leukolens-keeper"}
    assert ours() == set()
    with (
        pytest.raises(ServerError, match="there is no folder"),
        opened(replace(settings, watch=tmp_path / "no")),
    ):
        pass
