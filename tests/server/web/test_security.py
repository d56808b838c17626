"""What an intruder tries: forms of other sites and other logins, ended logins, tokens beyond their scope."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, UploadFile
from sqlalchemy import update

from leukolens.server.actor import SERVER, Actor
from leukolens.server.people import tokens, users
from leukolens.server.store.columns import now
from leukolens.server.store.database import Database
from leukolens.server.store.tables import Login
from leukolens.server.web.context import Acting, Person, Reading, Writing, holding

PASSWORD = "a fine smear on glass"
router = APIRouter(include_in_schema=False)


@router.get("/probe")
def see(actor: Acting, session: Reading) -> dict[str, str]:
    return {"name": actor.name}


@router.post("/probe")
def act(actor: Acting, session: Writing) -> dict[str, str]:
    return {"name": actor.name}


@router.post("/probe/upload")
def upload(actor: Acting, files: list[UploadFile]) -> dict[str, int]:
    return {"files": len(files)}


@router.post("/probe/forgetful")
def forgetful() -> dict[str, str]:
    """A route that asks for nobody."""
    return {"done": "yes"}


@router.get("/api/probe")
def api_see(actor: Acting) -> dict[str, str]:
    return {"name": actor.name}


@router.post("/api/probe")
def api_act(actor: Acting) -> dict[str, str]:
    return {"name": actor.name}


@router.post("/api/probe/review")
def api_review(actor: Annotated[Actor, Depends(holding("review"))]) -> dict[str, str]:
    return {"name": actor.name}


@router.post("/api/probe/person")
def api_person(actor: Person) -> dict[str, str]:
    return {"name": actor.name}


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    app.include_router(router)
    return app


def token(database: Database, user_id: int, *scopes: str, days: int | None = None) -> dict[str, str]:
    with database.writing() as session:
        user = users.find(session, user_id)
        secret = tokens.make(session, Actor(user_id, user.name, user.role), "probe", scopes, days)  # type: ignore[arg-type]
    return {"Authorization": f"Bearer {secret}", "Accept": "application/json"}


class TestForms:
    def test_a_form_with_its_logins_token_is_taken(self, browser: Any, staff: SimpleNamespace) -> None:
        visit = browser().sign_in("reader")
        assert visit.send_own("/probe").json() == {"name": "reader"}
        assert visit.send_form("/probe", csrf=visit.csrf).status_code == 200
        assert visit.post("/probe", json={}, headers={"X-CSRF-Token": visit.csrf}).status_code == 200

    def test_every_form_of_a_page_carries_it(self, browser: Any, staff: SimpleNamespace) -> None:
        visit = browser().sign_in("administrator")
        for address in ("/account", "/people", f"/people/{staff.reader}"):
            page = visit.get(address).text
            forms = re.findall(r'<form method="post".*?</form>', page, re.DOTALL)
            assert forms
            assert all(f'name="csrf_token" value="{visit.csrf}"' in form for form in forms)

    def test_one_without_is_refused(self, browser: Any, staff: SimpleNamespace) -> None:
        visit = browser().sign_in("reader")
        assert visit.post("/probe").status_code == 403
        assert visit.send_form("/probe").status_code == 403
        assert visit.post("/probe", json={"csrf_token": visit.csrf}).status_code == 403
        assert visit.post("/probe", headers={"X-CSRF-Token": ""}).status_code == 403
        assert visit.post("/probe", headers={"X-CSRF-Token": "ü".encode("latin-1")}).status_code == 403  # type: ignore[dict-item]
        assert visit.post(f"/probe?csrf_token={visit.csrf}").status_code == 403

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    def test_a_route_that_forgets_to_ask_who_it_is_refuses_it_too(
        self, browser: Any, staff: SimpleNamespace, method: str
    ) -> None:
        visit = browser().sign_in("reader")
        assert visit.request(method, "/probe/forgetful").status_code == (403 if method == "POST" else 405)

    def test_another_logins_token_is_refused(self, browser: Any, staff: SimpleNamespace) -> None:
        visit, other, again = (
            browser().sign_in("reader"),
            browser().sign_in("reviewer"),
            browser().sign_in("reader"),
        )
        assert visit.send_form("/probe", csrf_token=other.csrf).status_code == 403
        assert visit.send_form("/probe", csrf_token=again.csrf).status_code == 403

    def test_a_token_of_a_login_that_ended_is_refused(self, browser: Any, staff: SimpleNamespace) -> None:
        visit = browser().sign_in("reader")
        old = visit.csrf
        visit.send_own("/logout")
        visit.sign_in("reader")
        assert visit.send_form("/probe", csrf_token=old).status_code == 403

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "https://evil.example"},
            {"Origin": "https://127.0.0.1:8000"},
            {"Origin": "http://127.0.0.1:8001"},
            {"Origin": "http://127.0.0.1:8000.evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "cross-site"},
        ],
    )
    def test_a_form_of_another_site_is_refused_even_with_the_right_token(
        self, browser: Any, staff: SimpleNamespace, headers: dict[str, str]
    ) -> None:
        visit = browser().sign_in("reader")
        assert visit.post("/probe", headers={"X-CSRF-Token": visit.csrf, **headers}).status_code == 403

    def test_an_upload_carries_it_as_a_field_or_a_header(self, browser: Any, staff: SimpleNamespace) -> None:
        visit = browser().sign_in("reader")
        files = [("files", (f"{number}.png", b"x")) for number in range(3)]
        assert visit.post("/probe/upload", files=files).status_code == 403
        assert visit.post("/probe/upload", files=files, data={"csrf_token": visit.csrf}).json() == {
            "files": 3
        }
        assert visit.post("/probe/upload", files=files, headers={"X-CSRF-Token": visit.csrf}).json() == {
            "files": 3
        }

    def test_looking_needs_none(self, browser: Any, staff: SimpleNamespace) -> None:
        visit = browser().sign_in("reader")
        assert visit.get("/probe", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


class TestLogins:
    @pytest.mark.parametrize("cookie", ["", "x", "a" * 5000, "%00", "../../etc/passwd"])
    def test_a_made_up_cookie_is_nobodys(self, browser: Any, staff: SimpleNamespace, cookie: str) -> None:
        visit = browser()
        visit.cookies.set("leukolens", cookie)
        assert visit.get("/probe").status_code == 303
        assert visit.get("/probe", headers={"Accept": "application/json"}).status_code == 401

    def test_an_expired_login_is_nobodys(
        self, browser: Any, staff: SimpleNamespace, database: Database
    ) -> None:
        visit = browser().sign_in("reader")
        csrf = visit.csrf
        with database.writing() as session:
            session.execute(update(Login).values(expires=now()))
        assert visit.get("/probe").status_code == 303
        answer = visit.post("/probe", headers={"X-CSRF-Token": csrf, "Accept": "application/json"})
        assert answer.status_code == 401

    def test_a_login_in_use_is_prolonged(
        self, browser: Any, staff: SimpleNamespace, database: Database
    ) -> None:
        from datetime import timedelta

        visit = browser().sign_in("reader")
        soon = now() + timedelta(minutes=5)
        with database.writing() as session:
            session.execute(update(Login).values(expires=soon))
        assert visit.get("/probe").status_code == 200
        with database.reading() as session:
            assert session.query(Login.expires).scalar() > soon + timedelta(hours=11)

    def test_a_disabled_persons_cookie_and_token_open_nothing(
        self, browser: Any, staff: SimpleNamespace, database: Database
    ) -> None:
        visit, bearer = browser().sign_in("reader"), token(database, staff.reader, "samples:read")
        assert browser().get("/api/probe", headers=bearer).status_code == 200
        with database.writing() as session:
            users.disable(session, SERVER, staff.reader)
        assert visit.get("/probe").status_code == 303
        assert browser().get("/api/probe", headers=bearer).status_code == 401

    def test_a_csrf_token_is_no_cookie(self, browser: Any, staff: SimpleNamespace) -> None:
        thief = browser()
        thief.cookies.set("leukolens", browser().sign_in("reader").csrf)
        assert thief.get("/probe").status_code == 303


class TestTokens:
    def test_one_opens_what_its_scope_says_and_needs_no_csrf_token(
        self, browser: Any, staff: SimpleNamespace, database: Database
    ) -> None:
        bearer = token(database, staff.reader, "samples:read", "samples:write", "review")
        assert browser().get("/api/probe", headers=bearer).json() == {"name": "reader"}
        assert browser().post("/api/probe", headers=bearer).json() == {"name": "reader"}
        assert browser().post("/api/probe/review", headers=bearer).json() == {"name": "reader"}

    def test_one_without_the_scope_is_refused(
        self, browser: Any, staff: SimpleNamespace, database: Database
    ) -> None:
        reads, writes = (
            token(database, staff.reader, "samples:read"),
            token(database, staff.reader, "samples:write"),
        )
        answer = browser().post("/api/probe", headers=reads)
        assert (answer.status_code, answer.json()["problem"]) == (
            403,
            "this token has no scope samples:write",
        )
        assert browser().get("/api/probe", headers=writes).status_code == 403
        assert browser().post("/api/probe/review", headers=writes).status_code == 403

    def test_one_opens_no_page_and_nothing_that_a_person_must_do(
        self, browser: Any, staff: SimpleNamespace, database: Database
    ) -> None:
        bearer = token(database, staff.administrator, *tokens.SCOPES)
        for address in ("/probe", "/account", "/people"):
            assert browser().get(address, headers=bearer).status_code == 403
        assert browser().post("/account/tokens", headers=bearer).status_code == 403
        assert browser().post("/api/probe/person", headers=bearer).status_code == 403

    @pytest.mark.parametrize(
        "sent", ["Bearer", "Bearer ", "Bearer x", "bearer leukolens_x", "Bearer leukolens_\u00fc"]
    )
    def test_a_made_up_one_is_nobodys_even_beside_a_good_cookie(
        self, browser: Any, staff: SimpleNamespace, sent: str
    ) -> None:
        visit = browser().sign_in("reader")
        headers = {"Authorization": sent.encode("latin-1"), "Accept": b"application/json"}
        answer = visit.get("/api/probe", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"

    def test_a_cookie_opens_the_api_too_but_with_its_csrf_token(
        self, browser: Any, staff: SimpleNamespace
    ) -> None:
        visit = browser().sign_in("reader")
        assert visit.get("/api/probe").status_code == 200
        assert visit.post("/api/probe").status_code == 403
        assert visit.post("/api/probe", headers={"X-CSRF-Token": visit.csrf}).status_code == 200


def test_a_scope_that_there_is_not_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="no scope"):
        holding("everything")
