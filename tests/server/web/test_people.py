"""The pages of people and of one's account do what they say, for those who may."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from leukolens.server.people import users
from leukolens.server.store.database import Database

PASSWORD = "a fine smear on glass"
NEW = {
    "name": "clara",
    "full_name": "Clara Immerwahr",
    "role": "reviewer",
    "password": PASSWORD,
    "again": PASSWORD,
}


class TestPeople:
    def test_an_administrator_adds_a_person_who_can_sign_in(
        self, browser: Any, staff: SimpleNamespace
    ) -> None:
        visit = browser().sign_in("administrator")
        answer = visit.send_own("/people", **NEW)
        assert (answer.status_code, answer.headers["location"]) == (303, "/people")
        assert "Clara Immerwahr" in visit.get("/people").text
        browser().sign_in("clara")

    @pytest.mark.parametrize(
        ("wrong", "status"),
        [
            ({"name": "administrator"}, 409), ({"name": "a b"}, 422), ({"role": "owner"}, 422),
            ({"password": "short", "again": "short"}, 422), ({"again": "another password"}, 422),
            ({"full_name": ""}, 422),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_said_on_the_form_which_keeps_what_was_typed(
        self, browser: Any, staff: SimpleNamespace, wrong: dict[str, str], status: int
    ) -> None:
        answer = browser().sign_in("administrator").send_own("/people", **{**NEW, **wrong})
        assert answer.status_code == status
        assert 'role="alert"' in answer.text
        assert 'value="Clara Immerwahr"' in answer.text or wrong == {"full_name": ""}
        assert PASSWORD not in answer.text

    @pytest.mark.parametrize("name", ["reader", "reviewer"])
    def test_nobody_else_sees_or_changes_them(self, browser: Any, staff: SimpleNamespace, name: str) -> None:
        visit = browser().sign_in(name)
        own = getattr(staff, name)
        assert visit.get("/people").status_code == 403
        assert visit.get(f"/people/{own}").status_code == 403
        assert visit.send_own("/people", **NEW).status_code == 403
        promoted = visit.send_own(f"/people/{own}", full_name="Me", role="administrator")
        assert promoted.status_code == 403
        assert visit.send_own(f"/people/{staff.administrator}/disable").status_code == 403
        taken = visit.send_own(f"/people/{staff.administrator}/password", password=PASSWORD, again=PASSWORD)
        assert taken.status_code == 403

    def test_name_and_role_are_changed(
        self, browser: Any, staff: SimpleNamespace, database: Database
    ) -> None:
        visit = browser().sign_in("administrator")
        answer = visit.send_own(f"/people/{staff.reader}", full_name="Rita Reader", role="reviewer")
        assert answer.status_code == 303
        with database.reading() as session:
            user = users.find(session, staff.reader)
            assert (user.full_name, user.role) == ("Rita Reader", "reviewer")

    def test_the_last_administrator_remains(self, browser: Any, staff: SimpleNamespace) -> None:
        visit = browser().sign_in("administrator")
        own = f"/people/{staff.administrator}"
        assert visit.send_own(f"{own}/disable").status_code == 409
        assert visit.send_own(own, full_name="A", role="reader").status_code == 409
        assert visit.get("/people").status_code == 200

    def test_disabling_ends_a_login_and_enabling_lets_in_again(
        self, browser: Any, staff: SimpleNamespace
    ) -> None:
        visit, other = browser().sign_in("administrator"), browser().sign_in("reader")
        assert visit.send_own(f"/people/{staff.reader}/disable").status_code == 303
        assert other.get("/account").status_code == 303
        assert other.send_form("/login", name="reader", password=PASSWORD).status_code == 401
        assert visit.send_own(f"/people/{staff.reader}/enable").status_code == 303
        other.sign_in("reader")

    def test_a_new_password_is_given(self, browser: Any, staff: SimpleNamespace) -> None:
        visit, other = browser().sign_in("administrator"), browser().sign_in("reader")
        address = f"/people/{staff.reader}/password"
        assert visit.send_own(address, password="one", again="one").status_code == 422
        assert visit.send_own(address, password="given to them", again="given to them").status_code == 303
        assert other.get("/account").status_code == 303
        other.sign_in("reader", "given to them")

    @pytest.mark.parametrize("number", ["0", "-1", "12345", "99999999999999999999999"])
    def test_a_person_who_is_not_there_is_not_found(
        self, browser: Any, staff: SimpleNamespace, number: str
    ) -> None:
        visit = browser().sign_in("administrator")
        assert visit.get(f"/people/{number}").status_code == 404
        assert visit.send_own(f"/people/{number}/disable").status_code == 404


class TestAccount:
    def test_the_own_password_needs_the_old_one(self, browser: Any, staff: SimpleNamespace) -> None:
        visit = browser().sign_in("reader")
        form = {"password": "one of my own", "again": "one of my own"}
        assert visit.send_own("/account/password", old="a guess", **form).status_code == 403
        assert visit.send_own("/account/password", old=PASSWORD, password="x", again="x").status_code == 422
        assert visit.send_own("/account/password", old=PASSWORD, **form).headers["location"] == "/login"
        assert visit.get("/account").status_code == 303
        visit.sign_in("reader", "one of my own")

    def test_guessing_the_old_one_is_limited(self, browser: Any, staff: SimpleNamespace) -> None:
        visit = browser().sign_in("reader")
        form = {"password": "one of my own", "again": "one of my own"}
        statuses = [visit.send_own("/account/password", old="a guess", **form).status_code for _ in range(7)]
        assert statuses == [403] * 5 + [429] * 2

    def test_the_language_is_kept_for_the_next_sign_in(self, browser: Any, staff: SimpleNamespace) -> None:
        visit = browser().sign_in("reader")
        assert "Password" in visit.get("/account").text
        visit.send_own("/account/language", language="de")
        assert "Passwort" in visit.get("/account").text
        assert "Passwort" in browser().sign_in("reader").get("/account").text
        assert visit.send_own("/account/language", language="xx").status_code == 422

    def test_a_token_is_shown_once_and_can_be_revoked(self, browser: Any, staff: SimpleNamespace) -> None:
        visit = browser().sign_in("reader")
        answer = visit.send_own(
            "/account/tokens", name="analyser", scopes=["samples:read", "review"], days="30"
        )
        assert answer.status_code == 200
        found = re.search(r"leukolens_[\w-]{43}", answer.text)
        assert found
        bearer = {"Authorization": f"Bearer {found.group()}"}
        assert (
            browser().get("/account", headers=bearer).status_code == 403
        )  # known, but a token opens no page
        page = visit.get("/account").text
        assert found.group() not in page
        assert "analyser" in page
        address = re.search(r"/account/tokens/\d+/revoke", page)
        assert address
        assert browser().sign_in("reviewer").send_own(address.group()).status_code == 404
        assert visit.send_own(address.group()).status_code == 303
        assert browser().get("/account", headers=bearer).status_code == 303  # nobody's any more

    @pytest.mark.parametrize(
        "form", [{"name": "x"}, {"name": "", "scopes": "review"}, {"name": "x", "scopes": "all"}]
    )
    def test_a_token_without_name_or_scope_is_refused(
        self, browser: Any, staff: SimpleNamespace, form: dict[str, str]
    ) -> None:
        assert browser().sign_in("reader").send_own("/account/tokens", **form).status_code == 422
