"""Signing in and staying in: what lets a person in, how long, and what an intruder gets."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select

from leukolens.server.actor import SERVER, Actor
from leukolens.server.people import logins, passwords, throttle, users
from leukolens.server.people.logins import LONGEST, WrongPassword, sign_in
from leukolens.server.people.throttle import ADDRESS, PAIR, TooMany
from leukolens.server.store.database import Database
from leukolens.server.store.tables import Login, TrailEntry, User

PASSWORD = "a fine smear on glass"
HOURS = 12.0
HERE = "192.0.2.1"


def enter(database: Database, name: str = "anna", password: str = PASSWORD, address: str = HERE) -> str:
    return sign_in(database, name, password, address, HOURS)


def who(database: Database, cookie: str) -> Actor | None:
    with database.reading() as session:
        return logins.who(session, cookie)


def told(database: Database) -> list[tuple[str, str, str, Any]]:
    with database.reading() as session:
        entries = session.scalars(select(TrailEntry).order_by(TrailEntry.id))
        return [(entry.actor, entry.action, entry.subject, entry.after) for entry in entries]


class TestGettingIn:
    def test_name_and_password_give_a_cookie_that_says_who_it_is(
        self, database: Database, anna: User
    ) -> None:
        assert who(database, enter(database)) == Actor(anna.id, "anna", "reviewer")
        assert told(database)[-1] == ("anna", "sign in", f"user {anna.id}", None)

    def test_the_name_counts_in_whatever_case_and_with_spaces_around(
        self, database: Database, anna: User
    ) -> None:
        assert who(database, enter(database, " Anna ")) is not None

    def test_the_cookie_itself_is_not_kept(self, database: Database, anna: User) -> None:
        cookie = enter(database)
        with database.reading() as session:
            kept = session.scalars(select(Login.token_hash)).one()
        assert kept != cookie
        assert who(database, kept) is None

    def test_two_logins_of_a_person_are_two(self, database: Database, anna: User) -> None:
        first, second = enter(database), enter(database)
        assert first != second
        with database.writing() as session:
            logins.sign_out(session, first)
        assert who(database, first) is None
        assert who(database, second) is not None

    @pytest.mark.parametrize(
        ("name", "password"),
        [
            ("anna", "another password"), ("nobody", PASSWORD), ("", PASSWORD), ("anna", ""),
            ("anna\x00", PASSWORD), ("' or 1=1 --", PASSWORD), ("a" * 100_000, PASSWORD), ("\ud800", "\ud800"),
        ],
    )  # fmt: skip
    def test_anything_else_is_refused_in_the_same_words(
        self, database: Database, anna: User, name: str, password: str
    ) -> None:
        with pytest.raises(WrongPassword) as refused:
            enter(database, name, password)
        assert refused.value.problem == "the name or the password is not right"

    def test_a_disabled_person_is_refused_in_the_same_words(self, database: Database, anna: User) -> None:
        with database.writing() as session:
            users.disable(session, SERVER, anna.id)
        with pytest.raises(WrongPassword):
            enter(database)

    def test_a_hash_of_old_parameters_is_made_anew(self, database: Database, anna: User) -> None:
        with database.writing() as session:
            old = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(PASSWORD)
            session.get_one(User, anna.id).password_hash = old
        enter(database)
        with database.reading() as session:
            kept = session.get_one(User, anna.id).password_hash
        assert kept != old
        assert not passwords.outdated(kept)
        assert passwords.verify(kept, PASSWORD)

    def test_who_is_disabled_while_the_password_is_worked_on_does_not_get_in(
        self, database: Database, anna: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def slow(kept: str | None, password: str) -> bool:
            with database.writing() as session:
                users.disable(session, SERVER, anna.id)
            return True

        monkeypatch.setattr(passwords, "verify", slow)
        with pytest.raises(WrongPassword):
            enter(database)


class TestStayingIn:
    def test_an_idle_login_ends(self, database: Database, anna: User, clock: Any) -> None:
        cookie = enter(database)
        clock.passes(hours=HOURS - 0.1)
        assert who(database, cookie) is not None
        clock.passes(hours=0.2)
        assert who(database, cookie) is None

    def test_one_in_use_is_prolonged_but_not_at_every_request(
        self, database: Database, anna: User, clock: Any
    ) -> None:
        cookie = enter(database)
        with database.reading() as session:
            found = logins.find(session, cookie, HOURS)
        assert found is not None
        assert not found.due
        clock.passes(hours=HOURS - 1)
        with database.writing() as session:
            found = logins.find(session, cookie, HOURS)
            assert found is not None
            assert found.due
            logins.prolong(session, cookie, HOURS)
        clock.passes(hours=HOURS - 1)
        assert who(database, cookie) is not None

    def test_even_one_in_use_ends_some_day(self, database: Database, anna: User, clock: Any) -> None:
        cookie = enter(database)
        for _ in range(LONGEST + 1):
            clock.passes(hours=HOURS * 0.95)
            with database.writing() as session:
                logins.prolong(session, cookie, HOURS)
        assert who(database, cookie) is None

    def test_an_expired_one_cannot_be_prolonged(self, database: Database, anna: User, clock: Any) -> None:
        cookie = enter(database)
        clock.passes(hours=HOURS + 1)
        with database.writing() as session:
            logins.prolong(session, cookie, HOURS)
        assert who(database, cookie) is None

    def test_expired_ones_are_cleared_away_at_the_next_sign_in(
        self, database: Database, anna: User, clock: Any
    ) -> None:
        enter(database)
        clock.passes(hours=HOURS + 1)
        enter(database)
        with database.reading() as session:
            assert session.scalar(select(func.count(Login.token_hash))) == 1

    def test_disabling_ends_a_login_at_once_and_enabling_does_not_bring_it_back(
        self, database: Database, anna: User
    ) -> None:
        cookie = enter(database)
        with database.writing() as session:
            users.disable(session, SERVER, anna.id)
        assert who(database, cookie) is None
        with database.writing() as session:
            users.enable(session, SERVER, anna.id)
        assert who(database, cookie) is None

    def test_a_new_password_ends_every_login(self, database: Database, anna: User) -> None:
        cookie = enter(database)
        with database.writing() as session:
            users.give_password(session, SERVER, anna.id, "quite another one")
        assert who(database, cookie) is None

    def test_a_new_role_counts_at_once(self, database: Database, anna: User) -> None:
        cookie = enter(database)
        with database.writing() as session:
            users.change(session, SERVER, anna.id, role="reader")
        found = who(database, cookie)
        assert found is not None
        assert found.role == "reader"

    @pytest.mark.parametrize("cookie", ["", "x", "\x00", "\ud800", "a" * 10_000])
    def test_a_made_up_cookie_is_nobodys(self, database: Database, anna: User, cookie: str) -> None:
        assert who(database, cookie) is None

    def test_the_csrf_token_is_the_logins_own(self, database: Database, anna: User) -> None:
        first, second = enter(database), enter(database)
        assert logins.csrf_of(first) == logins.csrf_of(first)
        assert logins.csrf_of(first) != logins.csrf_of(second)
        assert first not in logins.csrf_of(first)


class TestStorms:
    @pytest.mark.parametrize("storm", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
    def test_a_storm_of_wrong_ones_works_on_few_passwords_and_fills_no_table(
        self, database: Database, anna: User, monkeypatch: pytest.MonkeyPatch, storm: int
    ) -> None:
        worked: list[str] = []
        monkeypatch.setattr(passwords, "verify", lambda kept, password: bool(worked.append(password)))
        refused = 0
        before = len(told(database))
        for number in range(storm):
            try:
                enter(database, password=f"guess {number}")
            except TooMany:
                refused += 1
            except WrongPassword:
                pass
        assert len(worked) < 3 * PAIR.free
        assert refused == storm - len(worked)
        assert len(told(database)) - before <= 3

    def test_many_names_from_one_address_are_stopped_too(self, database: Database, anna: User) -> None:
        for number in range(ADDRESS.free):
            with pytest.raises(WrongPassword):
                enter(database, f"name{number}")
        with pytest.raises(TooMany):
            enter(database, "another")
        assert told(database)[-1] == (
            "server", "refuse to sign in", "door",
            {"failures within an hour": ADDRESS.free, "from": f"address {HERE}"},
        )  # fmt: skip

    def test_the_person_gets_in_from_elsewhere_while_it_lasts_and_is_told(
        self, database: Database, anna: User, clock: Any
    ) -> None:
        for number in range(30):
            with pytest.raises(WrongPassword):
                enter(database, password="a guess", address=f"198.51.100.{number}")
        assert who(database, enter(database)) is not None
        assert told(database)[-1][3] == {"failed before": 30}
        refusals = [entry for entry in told(database) if entry[1] == "refuse to sign in"]
        assert [entry[3]["failures within an hour"] for entry in refusals] == [10, 20]

    def test_the_right_password_does_not_help_before_the_wait_is_over(
        self, database: Database, anna: User, clock: Any
    ) -> None:
        for _ in range(PAIR.free):
            with pytest.raises(WrongPassword):
                enter(database, password="a guess")
        with pytest.raises(TooMany) as waiting:
            enter(database)
        clock.passes(seconds=waiting.value.seconds)
        assert who(database, enter(database)) is not None

    def test_many_at_once_are_no_way_around_the_limit(
        self, database: Database, anna: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        worked: list[str] = []
        together = threading.Barrier(12)
        monkeypatch.setattr(passwords, "verify", lambda kept, password: bool(worked.append(password)))
        real = throttle.must_not_wait

        def all_look_first(session: Any, source: Any) -> None:
            real(session, source)
            if threading.current_thread() not in passed:
                passed.add(threading.current_thread())
                together.wait(10)

        passed: set[threading.Thread] = set()
        monkeypatch.setattr(throttle, "must_not_wait", all_look_first)

        def guess() -> None:
            with pytest.raises((WrongPassword, TooMany)):
                enter(database, password="a guess")

        threads = [threading.Thread(target=guess) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(worked) == PAIR.free

    def test_asking_for_the_password_once_more_has_the_same_limit(
        self, database: Database, anna: User
    ) -> None:
        actor = Actor(anna.id, "anna", "reviewer")
        logins.confirm(database, actor, PASSWORD, HERE)
        for _ in range(PAIR.free):
            with pytest.raises(WrongPassword):
                logins.confirm(database, actor, "a guess", HERE)
        with pytest.raises(TooMany):
            logins.confirm(database, actor, PASSWORD, HERE)
