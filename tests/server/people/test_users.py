"""People: who may manage them, what they are called, and that an administrator always remains."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from sqlalchemy import select

from leukolens.errors import Conflict, Missing, Refused, Unfit
from leukolens.server.actor import SERVER
from leukolens.server.people import passwords, users
from leukolens.server.store import trail
from leukolens.server.store.database import Database
from leukolens.server.store.tables import TrailEntry, User

PASSWORD = "a fine smear on glass"


def newest(database: Database) -> tuple[str, str, str, object, object]:
    with database.reading() as session:
        entry = session.scalars(select(TrailEntry).order_by(TrailEntry.id.desc())).first()
        assert entry is not None
        assert trail.verify(session).problems == ()
        return entry.actor, entry.action, entry.subject, entry.before, entry.after


class TestCreating:
    def test_a_person_is_kept_and_the_trail_says_by_whom(
        self, database: Database, people: SimpleNamespace
    ) -> None:
        with database.writing() as session:
            user = users.create(session, people.administrator, " Änne.B ", " Änne Blüm ", "reader", PASSWORD)
        assert (user.name, user.full_name, user.role, user.disabled) == (
            "änne.b",
            "Änne Blüm",
            "reader",
            False,
        )
        said = {"name": "änne.b", "full name": "Änne Blüm", "role": "reader"}
        assert newest(database) == ("administrator", "create person", f"user {user.id}", None, said)

    def test_neither_the_password_nor_its_hash_is_in_the_trail(self, database: Database, anna: User) -> None:
        assert PASSWORD not in str(newest(database))
        assert anna.password_hash not in str(newest(database))

    @pytest.mark.parametrize("role", ["reader", "reviewer"])
    def test_nobody_but_an_administrator_manages_people(
        self, database: Database, people: SimpleNamespace, role: str
    ) -> None:
        actor, other = getattr(people, role), people.administrator.user_id
        with database.writing() as session:
            for attempt in (
                lambda: users.create(session, actor, "new", "New", "administrator", PASSWORD),
                lambda: users.change(session, actor, actor.user_id, role="administrator"),
                lambda: users.disable(session, actor, other),
                lambda: users.enable(session, actor, other),
                lambda: users.give_password(session, actor, other, PASSWORD),
            ):
                with pytest.raises(Refused):
                    attempt()

    @pytest.mark.parametrize(
        "name", ["", " ", "a b", "a/b", "../x", "<b>", "a\x00", ".a", "_a", "-a", "n" * 81, "a\nb"]
    )
    def test_a_name_that_cannot_be_typed_or_shown_plainly_is_refused(
        self, database: Database, name: str
    ) -> None:
        with database.writing() as session, pytest.raises(Unfit):
            users.create(session, SERVER, name, "Name", "reader", PASSWORD)

    @pytest.mark.parametrize(
        "full_name", ["", "  ", "a\x00b", "two\nlines", "n" * 201, "turned \u202e round"]
    )
    def test_a_full_name_that_would_spoil_a_report_is_refused(
        self, database: Database, full_name: str
    ) -> None:
        with database.writing() as session, pytest.raises(Unfit):
            users.create(session, SERVER, "name", full_name, "reader", PASSWORD)

    def test_an_unknown_role_and_a_weak_password_are_refused(self, database: Database) -> None:
        with database.writing() as session:
            with pytest.raises(Unfit):
                users.create(session, SERVER, "name", "Name", "owner", PASSWORD)
            with pytest.raises(Unfit):
                users.create(session, SERVER, "name", "Name", "reader", "short")
        with database.reading() as session:
            assert not users.anybody(session)

    def test_a_name_is_taken_once_in_whatever_case(self, database: Database, anna: User) -> None:
        with database.writing() as session, pytest.raises(Conflict):
            users.create(session, SERVER, "ANNA", "Another Anna", "reader", PASSWORD)


class TestChanging:
    def test_the_trail_says_from_what_to_what(
        self, database: Database, people: SimpleNamespace, anna: User
    ) -> None:
        with database.writing() as session:
            users.change(
                session, people.administrator, anna.id, role="administrator", full_name="Dr Anna Freud"
            )
        _, action, subject, before, after = newest(database)
        assert (action, subject) == ("change person", f"user {anna.id}")
        assert before == {"name": "anna", "full name": "Anna Freud", "role": "reviewer"}
        assert after == {"name": "anna", "full name": "Dr Anna Freud", "role": "administrator"}

    def test_changing_nothing_says_nothing(self, database: Database, anna: User) -> None:
        before = newest(database)
        with database.writing() as session:
            users.change(session, SERVER, anna.id, role="reviewer", full_name="Anna Freud")
        assert newest(database) == before

    def test_somebody_who_is_not_there_is_missing(self, database: Database) -> None:
        with database.writing() as session, pytest.raises(Missing):
            users.change(session, SERVER, 12345, role="reader")

    def test_the_last_administrator_can_be_neither_disabled_nor_demoted(
        self, database: Database, people: SimpleNamespace
    ) -> None:
        last = people.administrator
        with database.writing() as session:
            with pytest.raises(Conflict):
                users.disable(session, last, last.user_id)
            with pytest.raises(Conflict):
                users.change(session, last, last.user_id, role="reviewer")
        with database.reading() as session:
            assert not users.find(session, last.user_id).disabled
            assert users.find(session, last.user_id).role == "administrator"

    def test_a_disabled_administrator_is_none_who_remains(
        self, database: Database, people: SimpleNamespace, anna: User
    ) -> None:
        with database.writing() as session:
            users.change(session, people.administrator, anna.id, role="administrator")
            users.disable(session, people.administrator, anna.id)
            with pytest.raises(Conflict):
                users.disable(session, people.administrator, people.administrator.user_id)
            users.enable(session, people.administrator, anna.id)
            users.disable(session, people.administrator, people.administrator.user_id)

    def test_a_person_may_change_the_own_password_and_an_administrator_anybodys(
        self, database: Database, people: SimpleNamespace, anna: User
    ) -> None:
        own = people.reader
        with database.writing() as session:
            users.give_password(session, own, own.user_id, "one of my own")
            users.give_password(session, people.administrator, anna.id, "given by another")
        with database.reading() as session:
            assert passwords.verify(users.find(session, own.user_id).password_hash, "one of my own")
            assert passwords.verify(users.find(session, anna.id).password_hash, "given by another")
        assert newest(database)[:3] == ("administrator", "give password", f"user {anna.id}")

    def test_the_list_has_those_who_may_sign_in_first(
        self, database: Database, people: SimpleNamespace, anna: User
    ) -> None:
        with database.writing() as session:
            users.disable(session, people.administrator, anna.id)
            assert [user.name for user in users.listed(session)] == [
                "administrator",
                "reader",
                "reviewer",
                "anna",
            ]
