"""What is looked at first: the host, and how much is sent by whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request, UploadFile

from leukolens.server.settings import Limits, Settings
from leukolens.server.web.context import Acting
from leukolens.server.web.gate import STRANGERS_BYTES

LIMIT = 300_000
router = APIRouter(include_in_schema=False)


@router.post("/probe/raw")
async def raw(request: Request) -> dict[str, int]:
    return {"bytes": len(await request.body())}


@router.post("/probe/upload")
def upload(actor: Acting, files: list[UploadFile]) -> dict[str, int]:
    return {"files": len(files)}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, limits=Limits(upload_bytes=LIMIT))


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    app.include_router(router)
    return app


class TestHosts:
    @pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:8000", "[::1]:8000"])
    def test_this_machines_names_are_answered(self, browser: Any, staff: SimpleNamespace, host: str) -> None:
        assert browser().get("/login", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host", ["evil.example", "127.0.0.1.evil.example", "localhost:8000@evil", "", "a b", "x/y"]
    )
    def test_a_name_that_anothers_dns_may_have_pointed_here_is_not(
        self, browser: Any, staff: SimpleNamespace, host: str
    ) -> None:
        answer = browser().get("/login", headers={"Host": host})
        assert answer.status_code == 422
        assert "<form" not in answer.text

    def test_behind_a_proxy_it_answers_to_the_proxys_name(
        self, browser: Any, settings: Settings, app: FastAPI, staff: SimpleNamespace
    ) -> None:
        from leukolens.server.web.app import create_app

        behind = create_app(replace(settings, secure=True), context=app.state.context)
        assert type(browser())(behind, "https://lab.example").get("/login").status_code == 200


class TestBodies:
    def test_one_within_the_limit_is_taken(self, browser: Any, staff: SimpleNamespace) -> None:
        visit = browser().sign_in("reader")
        answer = visit.post("/probe/raw", content=b"x" * LIMIT, headers={"X-CSRF-Token": visit.csrf})
        assert answer.json() == {"bytes": LIMIT}

    def test_one_that_says_it_is_larger_is_refused(self, browser: Any, staff: SimpleNamespace) -> None:
        visit = browser().sign_in("reader")
        answer = visit.post("/probe/raw", content=b"x" * (LIMIT + 1), headers={"X-CSRF-Token": visit.csrf})
        assert answer.status_code == 413

    def test_one_that_does_not_say_is_counted_as_it_comes(self, browser: Any, staff: SimpleNamespace) -> None:
        visit = browser().sign_in("reader")
        sent = 0

        def endless() -> Iterator[bytes]:
            nonlocal sent
            for _ in range(1000):
                sent += 10_000
                yield b"x" * 10_000

        answer = visit.post("/probe/raw", content=endless(), headers={"X-CSRF-Token": visit.csrf})
        assert answer.status_code == 413

    def test_an_upload_is_counted_while_its_parts_are_taken_apart(
        self, browser: Any, staff: SimpleNamespace
    ) -> None:
        visit = browser().sign_in("reader")
        head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'

        def parts() -> Iterator[bytes]:
            yield head
            for _ in range(100):
                yield b"x" * 10_000
            yield b"\r\n--b--\r\n"

        headers = {"X-CSRF-Token": visit.csrf, "Content-Type": "multipart/form-data; boundary=b"}
        answer = visit.post("/probe/upload", content=parts(), headers=headers)
        assert answer.status_code == 413
        assert "300000" in answer.text

    def test_of_whoever_is_not_known_no_more_than_a_form_is_taken(
        self, browser: Any, staff: SimpleNamespace
    ) -> None:
        visit = browser()
        assert visit.post("/probe/raw", content=b"x" * STRANGERS_BYTES).status_code == 200
        assert visit.post("/probe/raw", content=b"x" * (STRANGERS_BYTES + 1)).status_code == 413
        stream = iter([b"x" * 40_000, b"x" * 40_000])
        assert visit.post("/probe/raw", content=stream).status_code == 413
