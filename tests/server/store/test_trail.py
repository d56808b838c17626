"""The chain of the audit trail: no entry is changed, added or taken away unnoticed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from leukolens.server.actor import SERVER, Actor
from leukolens.server.store import trail
from leukolens.server.store.database import Database
from leukolens.server.store.tables import TrailEntry, User

ANN = Actor(1, "ann", "reviewer")


def append(session: Session, number: int) -> TrailEntry:
    return trail.append(
        session, ANN, "label", f"cell {number}", before={"label": "monocyte"}, after={"label": "blast"}
    )


@pytest.fixture
def five(store: Database) -> Database:
    """A trail of five entries."""
    with store.writing() as session:
        for number in range(1, 6):
            append(session, number)
    return store


def verified(store: Database, *known: tuple[str, str]) -> trail.Verified:
    with store.reading() as session:
        return trail.verify(session, known)


def hashes(store: Database) -> list[str]:
    with store.reading() as session:
        return list(session.scalars(select(TrailEntry.hash).order_by(TrailEntry.id)))


def test_an_empty_trail_holds(store: Database) -> None:
    assert verified(store) == trail.Verified(0, trail.FIRST, ())
    assert verified(store, ("a report from before the first entry", trail.FIRST)).problems == ()


def test_entries_follow_each_other_from_one(five: Database) -> None:
    with five.reading() as session:
        entries = session.scalars(select(TrailEntry).order_by(TrailEntry.id)).all()
        assert [entry.id for entry in entries] == [1, 2, 3, 4, 5]
        assert [entry.previous for entry in entries] == [trail.FIRST, *[entry.hash for entry in entries[:-1]]]
        assert trail.newest(session) == entries[-1].hash
        assert trail.verify(session) == trail.Verified(5, entries[-1].hash, ())


def test_an_entry_says_who_did_what(store: Database) -> None:
    with store.writing() as session:
        append(session, 7)
        trail.append(session, SERVER, "start", "server")
    with store.reading() as session:
        first, second = session.scalars(select(TrailEntry).order_by(TrailEntry.id)).all()
        assert (first.actor, first.action, first.subject) == ("ann", "label", "cell 7")
        assert (first.before, first.after) == ({"label": "monocyte"}, {"label": "blast"})
        assert (second.actor, second.before, second.after) == ("server", None, None)


def test_a_raised_exception_keeps_neither_the_change_nor_the_entry(five: Database) -> None:
    def fail() -> None:
        with five.writing() as session:
            session.add(User(name="ben", full_name="Ben", role="reader", password_hash="none"))
            append(session, 6)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with five.reading() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 0
    assert verified(five).entries == 5
    assert verified(five).problems == ()


def test_writers_at_once_keep_an_unbroken_chain(store: Database) -> None:
    start = Barrier(4)

    def work(person: int) -> None:
        start.wait()
        for number in range(5):
            with store.writing() as session:
                append(session, 100 * person + number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    found = verified(store)
    assert (found.entries, found.problems) == (20, ())


TAMPERED: dict[str, Any] = {
    "at": "2020-01-01T00:00:00.000000+00:00",
    "actor": "ben",
    "action": "delete",
    "subject": "cell 30",
    "before": {"label": "blast"},
    "after": {"label": "blast", "more": None},
    "previous": "e" * 64,
    "hash": "f" * 64,
    "id": 30,
}


def test_every_column_is_among_those_that_are_tampered_with() -> None:
    assert set(TAMPERED) == set(TrailEntry.__table__.columns.keys())


@pytest.mark.parametrize("number", [1, 3, 5])
@pytest.mark.parametrize("column", TAMPERED)
def test_a_changed_field_is_found(five: Database, column: str, number: int) -> None:
    with five.writing() as session:
        session.execute(update(TrailEntry).where(TrailEntry.id == number).values({column: TAMPERED[column]}))
    problems = verified(five).problems
    assert problems
    if column not in ("id", "hash"):
        assert f"entry {number} is not what was written" in problems


@pytest.mark.parametrize("column", ["before", "after"])
def test_an_emptied_field_is_found(five: Database, column: str) -> None:
    with five.writing() as session:
        session.execute(update(TrailEntry).where(TrailEntry.id == 2).values({column: None}))
    assert verified(five).problems == ("entry 2 is not what was written",)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_an_entry_taken_out_is_found(five: Database, number: int) -> None:
    with five.writing() as session:
        session.execute(delete(TrailEntry).where(TrailEntry.id == number))
    assert f"entry {number} is missing" in verified(five).problems


def test_an_entry_taken_out_with_the_later_ones_moved_up_is_found(five: Database) -> None:
    with five.writing() as session:
        session.execute(delete(TrailEntry).where(TrailEntry.id == 3))
        for number in (4, 5):
            session.execute(update(TrailEntry).where(TrailEntry.id == number).values(id=number - 1))
    assert "entry 3 does not follow the one before it" in verified(five).problems


@pytest.mark.parametrize("pair", [(1, 2), (2, 4), (4, 5)])
def test_a_swapped_pair_is_found(five: Database, pair: tuple[int, int]) -> None:
    first, second = pair
    with five.writing() as session:
        for old, new in ((first, 99), (second, first), (99, second)):
            session.execute(update(TrailEntry).where(TrailEntry.id == old).values(id=new))
    assert verified(five).problems


def test_an_entry_put_in_is_found(five: Database) -> None:
    with five.writing() as session:
        for number in (5, 4):
            session.execute(update(TrailEntry).where(TrailEntry.id == number).values(id=number + 1))
        previous = session.scalar(select(TrailEntry.hash).where(TrailEntry.id == 3))
        forged = TrailEntry(
            id=4, at="2020-01-01T00:00:00.000000+00:00", actor="ann", action="label", subject="cell 9",
            before=None, after=None, previous=previous,
        )  # fmt: skip
        forged.hash = trail.digest(forged)
        session.add(forged)
    assert "entry 5 does not follow the one before it" in verified(five).problems


@pytest.mark.parametrize("kept", [0, 1, 4])
def test_a_cut_end_is_found_by_what_a_signed_report_says(five: Database, kept: int) -> None:
    report = ("report 1 of sample 3F7KQ2AB", hashes(five)[4])
    assert verified(five, report).problems == ()
    with five.writing() as session:
        session.execute(delete(TrailEntry).where(TrailEntry.id > kept))
    assert verified(five).problems == ()  # nothing in the chain itself tells
    assert verified(five, report).problems == (
        "the hash of report 1 of sample 3F7KQ2AB is in no entry: the end was cut, or it is another trail's",
    )


def test_a_trail_hashed_anew_is_found_by_what_a_signed_report_says(five: Database) -> None:
    report = ("report 1 of sample 3F7KQ2AB", hashes(five)[3])
    with five.writing() as session:
        previous = trail.FIRST
        for entry in session.scalars(select(TrailEntry).order_by(TrailEntry.id)):
            if entry.id == 2:
                entry.actor = "ben"
            entry.previous = previous
            previous = entry.hash = trail.digest(entry)
    assert verified(five).problems == ()
    assert len(verified(five, report).problems) == 1


def test_a_hash_of_another_trail_is_found(five: Database) -> None:
    assert "the hash of a printed report" in verified(five, ("a printed report", "a" * 64)).problems[0]


KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.none() | st.dictionaries(KEYS, VALUES, max_size=4)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=DOCUMENTS, after=DOCUMENTS)
def test_what_any_entry_says_comes_back_with_its_hash(
    store: Database, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> None:
    with store.writing() as session:
        session.execute(delete(TrailEntry))
        trail.append(session, ANN, "label", "cell 1", before=before, after=after)
    assert verified(store).problems == ()


@pytest.mark.parametrize(
    "said", [{"cells": {10: "a", 9: "b"}}, {"box": (1, 2)}, {"large": 1e16}, {"zero": -0.0}]
)
def test_what_json_or_a_database_would_write_otherwise_keeps_its_hash(
    store: Database, said: dict[str, Any]
) -> None:
    with store.writing() as session:
        trail.append(session, ANN, "label", "cell 1", after=said)
    assert verified(store).problems == ()


def test_what_json_cannot_say_is_refused(store: Database) -> None:
    with pytest.raises(ValueError, match="JSON"), store.writing() as session:
        trail.append(session, ANN, "label", "cell 1", after={"probability": float("nan")})
    assert verified(store).entries == 0


def test_the_trail_is_tampered_with_in_sql_too(five: Database) -> None:
    with five.writing() as session:
        session.execute(text("UPDATE trail SET actor = 'ben ' WHERE id = 4"))
    assert verified(five).problems == ("entry 4 is not what was written",)


def test_a_broken_chain_does_not_hide_a_second_break(five: Database) -> None:
    with five.writing() as session:
        session.execute(update(TrailEntry).where(TrailEntry.id.in_([2, 4])).values(actor="ben"))
    assert verified(five).problems == ("entry 2 is not what was written", "entry 4 is not what was written")
