"""Keys to the API: shown once, good for what they were made for, and gone with their person."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from leukolens.errors import Missing, Refused, Unfit
from leukolens.server.actor import SERVER, Actor
from leukolens.server.people import tokens, users
from leukolens.server.store.database import Database
from leukolens.server.store.tables import Token, TrailEntry


def make(database: Database, actor: Actor, *scopes: str, days: int | None = None) -> str:
    with database.writing() as session:
        return tokens.make(session, actor, "analyser", scopes or ("samples:read",), days)


def who(database: Database, secret: str) -> Actor | None:
    with database.reading() as session:
        return tokens.who(session, secret)


def test_a_secret_says_who_it_is_and_what_it_may_do(database: Database, people: SimpleNamespace) -> None:
    found = who(database, make(database, people.reader, "samples:read", "review"))
    assert found == Actor(people.reader.user_id, "reader", "reader", frozenset({"samples:read", "review"}))
    found.must_have("review")
    with pytest.raises(Refused):
        found.must_have("sign")


def test_the_secret_is_kept_nowhere(database: Database, people: SimpleNamespace) -> None:
    secret = make(database, people.reader)
    with database.reading() as session:
        token = session.scalars(select(Token)).one()
        entry = session.scalars(select(TrailEntry)).one()
        assert secret not in str(vars(token))
        assert secret not in str(vars(entry))
        assert (entry.action, entry.subject) == ("make token", f"token {token.id}")


def test_it_ends_when_it_should(database: Database, people: SimpleNamespace, clock: Any) -> None:
    secret, endless = make(database, people.reader, days=30), make(database, people.reader)
    clock.passes(days=29)
    assert who(database, secret) is not None
    clock.passes(days=2)
    assert who(database, secret) is None
    assert who(database, endless) is not None


def test_it_can_be_revoked_by_its_person_and_by_an_administrator_alone(
    database: Database, people: SimpleNamespace
) -> None:
    first, second = make(database, people.reader), make(database, people.reader)
    with database.writing() as session:
        with pytest.raises(Missing):
            tokens.revoke(session, people.reviewer, 1)
        tokens.revoke(session, people.reader, 1)
        tokens.revoke(session, people.administrator, 2)
    assert who(database, first) is None
    assert who(database, second) is None


def test_a_disabled_persons_token_opens_nothing_even_when_the_person_is_back(
    database: Database, people: SimpleNamespace
) -> None:
    secret = make(database, people.reader)
    with database.writing() as session:
        users.disable(session, people.administrator, people.reader.user_id)
    assert who(database, secret) is None
    with database.writing() as session:
        users.enable(session, people.administrator, people.reader.user_id)
    assert who(database, secret) is None


def test_a_password_given_by_another_revokes_them_and_one_chosen_does_not(
    database: Database, people: SimpleNamespace
) -> None:
    secret = make(database, people.reader)
    with database.writing() as session:
        users.give_password(session, people.reader, people.reader.user_id, "one of my own")
    assert who(database, secret) is not None
    with database.writing() as session:
        users.give_password(session, people.administrator, people.reader.user_id, "given by another")
    assert who(database, secret) is None


def test_no_token_makes_or_revokes_tokens(database: Database, people: SimpleNamespace) -> None:
    actor = who(database, make(database, people.administrator, *tokens.SCOPES))
    assert actor is not None
    with database.writing() as session:
        for wanting in (actor, SERVER):
            with pytest.raises(Refused):
                tokens.make(session, wanting, "more", ["sign"])
            with pytest.raises(Refused):
                tokens.revoke(session, wanting, 1)


@pytest.mark.parametrize(
    ("name", "scopes", "days"),
    [
        ("", ["review"], 1), ("n" * 81, ["review"], 1), ("a\x00", ["review"], 1), ("a", [], 1), ("a", ["all"], 1),
        ("a", ["review", "all"], 1), ("a", ["review"], 0), ("a", ["review"], 10**9),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(
    database: Database, people: SimpleNamespace, name: str, scopes: list[str], days: int
) -> None:
    with database.writing() as session, pytest.raises(Unfit):
        tokens.make(session, people.reader, name, scopes, days)


@pytest.mark.parametrize("secret", ["", "x", "leukolens_", "leukolens_\ud800", "leukolens_" + "x" * 10_000])
def test_a_made_up_secret_is_nobodys(database: Database, people: SimpleNamespace, secret: str) -> None:
    make(database, people.reader)
    assert who(database, secret) is None


def test_the_list_has_ones_own_that_still_work(
    database: Database, people: SimpleNamespace, clock: Any
) -> None:
    make(database, people.reviewer)
    make(database, people.reader, days=1)
    make(database, people.reader)
    make(database, people.reader)
    clock.passes(days=2)
    with database.writing() as session:
        tokens.revoke(session, people.reader, 3)
        assert [token.id for token in tokens.listed(session, people.reader)] == [4]
