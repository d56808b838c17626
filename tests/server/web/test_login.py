"""The door: who gets in, what the browser is given, and how one gets out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from leukolens.server.people.throttle import ADDRESS, PAIR
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.tables import Login, User
from leukolens.server.web.context import Context

PASSWORD = "a fine smear on glass"


class TestSigningIn:
    def test_whoever_is_not_known_is_shown_the_door_and_comes_back_to_where_they_were(
        self, browser: Any, staff: SimpleNamespace
    ) -> None:
        visit = browser()
        answer = visit.get("/account?x=1")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/login?next=/account%3Fx%3D1"
        page = visit.get(answer.headers["location"])
        assert page.status_code == 200
        assert 'name="next" value="/account?x=1"' in page.text
        after = visit.send_form("/login", name="reader", password=PASSWORD, next="/account?x=1")
        assert after.headers["location"] == "/account?x=1"
        assert visit.get("/account?x=1").status_code == 200

    def test_the_cookie_is_kept_from_scripts_and_other_sites(
        self, browser: Any, staff: SimpleNamespace
    ) -> None:
        answer = browser().send_form("/login", name="reader", password=PASSWORD)
        given = answer.headers["set-cookie"].lower()
        assert given.startswith("leukolens=")
        assert "; httponly" in given
        assert "; samesite=lax" in given
        assert "; path=/" in given
        assert "domain" not in given
        assert "max-age" not in given
        assert "secure" not in given

    @pytest.mark.parametrize(
        "place",
        [
            "https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
            "/a\r\nSet-Cookie: a=b", "evil", "", "/login?next=/x", "/ü",
        ],
    )  # fmt: skip
    def test_signing_in_leads_to_no_other_site(
        self, browser: Any, staff: SimpleNamespace, place: str
    ) -> None:
        answer = browser().send_form("/login", name="reader", password=PASSWORD, next=place)
        assert answer.headers["location"] == "/"
        signed_in = browser().sign_in("reader")
        assert signed_in.get("/login", params={"next": place}).headers["location"] == "/"

    def test_a_wrong_one_is_told_in_the_visitors_language_and_shows_nothing_that_was_typed(
        self, browser: Any, staff: SimpleNamespace
    ) -> None:
        visit = browser()
        answer = visit.send_form(
            "/login", name="secret typed in the wrong place", password="another password"
        )
        assert answer.status_code == 401
        assert "The name or the password is not right" in answer.text
        assert "typed in the wrong place" not in answer.text
        assert "set-cookie" not in answer.headers
        visit.headers["Accept-Language"] = "de-CH,en;q=0.5"
        answer = visit.send_form("/login", name="reader", password="another password")
        assert "Name oder Passwort stimmt nicht" in answer.text

    def test_a_storm_of_wrong_ones_is_told_to_wait(self, browser: Any, staff: SimpleNamespace) -> None:
        visit = browser()
        statuses = [
            visit.send_form("/login", name="reader", password="a guess").status_code
            for _ in range(PAIR.free + 3)
        ]
        assert statuses == [401] * PAIR.free + [429] * 3
        answer = visit.send_form("/login", name="reader", password=PASSWORD)
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"
        assert "Wait a second" in answer.text

    def test_a_storm_over_many_names_is_stopped_by_its_address(
        self, browser: Any, staff: SimpleNamespace
    ) -> None:
        visit = browser()
        for number in range(ADDRESS.free):
            assert visit.send_form("/login", name=f"n{number}", password="a guess").status_code == 401
        assert visit.send_form("/login", name="reader", password=PASSWORD).status_code == 429

    def test_signing_in_anew_ends_the_login_before(
        self, browser: Any, staff: SimpleNamespace, database: Database
    ) -> None:
        visit = browser().sign_in("reader")
        old = visit.cookies["leukolens"]
        visit.sign_in("reviewer")
        assert visit.cookies["leukolens"] != old
        with database.reading() as session:
            assert session.scalar(select(func.count(Login.token_hash))) == 1

    def test_an_absurd_form_is_refused_and_breaks_nothing(self, browser: Any, staff: SimpleNamespace) -> None:
        visit = browser()
        assert visit.send_form("/login").status_code == 401
        assert visit.send_form("/login", name="\x00" * 50, password="\x00").status_code == 401
        assert visit.send_form("/login", name="x" * 100_000, password="y").status_code == 413
        assert visit.post("/login", content=b"\xff\xfe=\xff", headers={
            "Content-Type": "application/x-www-form-urlencoded"
        }).status_code == 401  # fmt: skip


class TestSigningOut:
    def test_the_cookie_opens_nothing_any_more_wherever_it_was_copied_to(
        self, browser: Any, staff: SimpleNamespace
    ) -> None:
        visit, thief = browser().sign_in("reader"), browser()
        thief.cookies.set("leukolens", visit.cookies["leukolens"])
        assert thief.get("/account").status_code == 200
        answer = visit.send_own("/logout")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        assert "leukolens" not in visit.cookies
        assert thief.get("/account").status_code == 303

    def test_another_site_cannot_sign_a_person_out(self, browser: Any, staff: SimpleNamespace) -> None:
        visit = browser().sign_in("reader")
        assert visit.post("/logout").status_code == 403
        assert visit.get("/account").status_code == 200


class TestFirst:
    FORM = {"name": "anna", "full_name": "Anna Freud", "password": PASSWORD, "again": PASSWORD}  # noqa: RUF012

    def code(self, app: FastAPI) -> str:
        context: Context = app.state.context
        return context.first.text

    def test_while_there_is_nobody_the_door_asks_for_the_code(self, browser: Any) -> None:
        answer = browser().get("/login")
        assert (answer.status_code, answer.headers["location"]) == (303, "/first")

    def test_the_code_makes_an_administrator_who_is_signed_in(
        self, browser: Any, app: FastAPI, database: Database
    ) -> None:
        visit = browser()
        assert visit.get("/first").status_code == 200
        answer = visit.send_form("/first", code=self.code(app).lower(), **self.FORM)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert visit.get("/people").status_code == 200
        with database.reading() as session:
            assert session.scalars(select(User.role)).all() == ["administrator"]

    def test_it_works_once(self, browser: Any, app: FastAPI) -> None:
        browser().send_form("/first", code=self.code(app), **self.FORM)
        assert browser().get("/first").status_code == 404
        assert browser().send_form("/first", code=self.code(app), **self.FORM).status_code == 404

    def test_without_the_code_there_is_nobody(self, browser: Any, app: FastAPI, database: Database) -> None:
        answer = browser().send_form("/first", code="2222-2222-2222-2222", **self.FORM)
        assert answer.status_code == 403
        assert 'value="anna"' in answer.text
        assert PASSWORD not in answer.text
        with database.reading() as session:
            assert session.scalar(select(func.count(User.id))) == 0

    def test_a_password_typed_in_two_ways_or_too_short_is_refused(self, browser: Any, app: FastAPI) -> None:
        form = {**self.FORM, "code": self.code(app)}
        assert browser().send_form("/first", **{**form, "again": "another password"}).status_code == 422
        assert (
            browser().send_form("/first", **{**form, "password": "short", "again": "short"}).status_code
            == 422
        )
        assert browser().send_form("/first", **form).status_code == 303

    def test_another_site_cannot_send_the_form(self, browser: Any, app: FastAPI) -> None:
        form = {**self.FORM, "code": self.code(app)}
        answer = browser().post("/first", data=form, headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403


def test_by_tls_the_cookie_is_secure_and_bound_to_this_host(
    settings: Settings, database: Database, staff: SimpleNamespace, browser: Any
) -> None:
    from dataclasses import replace

    from leukolens.server.store.files import Files
    from leukolens.server.web.app import create_app

    secure = replace(settings, secure=True)
    kind = type(browser())
    visit = kind(
        create_app(secure, context=Context(secure, database, Files(secure.folder))), "https://lab.example"
    )
    answer = visit.send_form("/login", name="reader", password=PASSWORD)
    given = answer.headers["set-cookie"].lower()
    assert given.startswith("__host-leukolens=")
    assert "; secure" in given
    assert "domain" not in given
    assert "max-age=31536000" in answer.headers["strict-transport-security"]
    assert visit.get("/account").status_code == 200
