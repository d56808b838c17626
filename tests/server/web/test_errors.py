"""What goes wrong is said calmly, to people as a page and to programs as JSON, and never with what was sent."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI, Form

from leukolens.errors import (
    BundleError,
    Conflict,
    ImageError,
    LeukolensError,
    Missing,
    Refused,
    ServerError,
    Unfit,
)
from leukolens.server.people.throttle import TooMany
from leukolens.server.store.tables import User
from leukolens.server.web.context import Writing
from leukolens.server.web.errors import TooLarge

JSON = {"Accept": "application/json"}
PATIENT = "Maria Müller 1970-01-01"
router = APIRouter(include_in_schema=False)
RAISED: dict[str, LeukolensError] = {
    "refused": Refused("this is <b>not</b> yours", "Ask a reviewer"),
    "missing": Missing("there is no sample X", "Look at the list"),
    "conflict": Conflict("the sample is signed", "Open it again first"),
    "unfit": Unfit("this is no box", "Draw one"),
    "large": TooLarge(7),
    "many": TooMany(9),
    "image": ImageError(None, "is none", "Send an image"),
    "server": ServerError("the disk is full", "Free some space"),
    "bundle": BundleError("the bundle is damaged", "Fetch it again"),
}
STATUS = {
    "refused": 403, "missing": 404, "conflict": 409, "unfit": 422, "large": 413, "many": 429, "image": 422,
    "server": 500, "bundle": 500,
}  # fmt: skip


@router.get("/raises/{name}")
@router.get("/api/raises/{name}")
def raises(name: str) -> None:
    raise RAISED[name]


@router.get("/breaks/{words}")
@router.get("/api/breaks/{words}")
def breaks(words: str) -> None:
    try:
        raise KeyError(words)
    except KeyError as error:
        raise RuntimeError(f"patient {words}") from error


@router.post("/api/number")
def number(count: Annotated[int, Form()]) -> dict[str, int]:
    return {"count": count}


@router.get("/broken-writing")
def broken_writing(session: Writing) -> dict[str, str]:
    session.add(User(name="half", full_name="Half", role="reader", password_hash="none"))
    session.flush()
    raise Conflict("it was changed meanwhile", "Load it again")


@router.get("/late-writing")
def late_writing(session: Writing) -> dict[str, str]:
    session.add(User(name="late", full_name=None, role="reader", password_hash="none"))
    return {"kept": "yes"}


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    app.include_router(router)
    return app


@pytest.mark.parametrize("name", RAISED)
def test_programs_get_problem_and_remedy(browser: Any, name: str) -> None:
    raised = RAISED[name]
    for answer in (
        browser().get(f"/raises/{name}", headers=JSON),
        browser().get(f"/api/raises/{name}"),
        browser().get(f"/raises/{name}", headers={"HX-Request": "true"}),
    ):
        assert answer.status_code == STATUS[name]
        assert answer.json() == {"problem": raised.problem, "remedy": raised.remedy}


@pytest.mark.parametrize("name", RAISED)
def test_people_get_a_page(browser: Any, name: str) -> None:
    answer = browser().get(f"/raises/{name}")
    assert answer.status_code == STATUS[name]
    assert answer.headers["content-type"].startswith("text/html")
    assert RAISED[name].remedy in answer.text
    assert "<b>" not in answer.text


def test_a_wait_is_said_in_the_header_too(browser: Any) -> None:
    assert browser().get("/api/raises/many").headers["retry-after"] == "9"


def test_an_address_that_is_none_and_a_method_that_is_none(browser: Any) -> None:
    assert browser().get("/nothing/here").status_code == 404
    assert (
        browser().get("/nothing/here", headers=JSON).json()["problem"] == "there is nothing at this address"
    )
    answer = browser().put("/login", headers=JSON)
    assert answer.status_code == 405
    assert set(answer.json()) == {"problem", "remedy"}


def test_what_does_not_fit_is_named_but_not_repeated(browser: Any) -> None:
    answer = browser().post("/api/number", data={"count": PATIENT})
    assert answer.status_code == 422
    assert answer.json()["problem"].startswith("body.count: ")
    assert PATIENT not in answer.text


def test_what_nobody_foresaw_is_answered_calmly(browser: Any) -> None:
    answer = browser().get(f"/api/breaks/{PATIENT}")
    assert answer.status_code == 500
    assert answer.json()["problem"] == "something went wrong here"
    page = browser().get(f"/breaks/{PATIENT}")
    assert page.status_code == 500
    assert "Traceback" not in page.text
    assert "Müller" not in page.text


def test_the_log_says_where_but_nothing_of_the_patient(
    browser: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "leukolens"):
        answer = browser().get(f"/api/breaks/{PATIENT}")
    number = answer.json()["remedy"].split()[-1]
    assert f"{number}: RuntimeError after KeyError at GET /api/breaks/{{words}}" in caplog.text
    assert "test_errors.py" in caplog.text
    assert "breaks" in caplog.text
    assert "Müller" not in caplog.text
    assert "M%C3%BCller" not in caplog.text


def test_a_page_that_cannot_be_drawn_still_says_what_is_wrong(
    browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("leukolens.server.web.rendering.render", broken)
    answer = browser().get("/raises/refused")
    assert answer.status_code == 403
    assert "this is &lt;b&gt;not&lt;/b&gt; yours" in answer.text


def test_what_a_route_wrote_before_it_failed_is_not_kept(
    browser: Any, database: Any, staff: SimpleNamespace
) -> None:
    assert browser().get("/broken-writing", headers=JSON).status_code == 409
    with database.reading() as session:
        assert session.query(User).filter(User.name == "half").count() == 0


def test_what_cannot_be_kept_is_not_acknowledged(browser: Any) -> None:
    answer = browser().get("/late-writing", headers=JSON)
    assert answer.status_code == 500
    assert "kept" not in answer.text
