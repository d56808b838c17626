"""Reading changes nothing, writing keeps all or nothing, and two writers wait for each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from threading import Barrier

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError

from leukolens.errors import ServerError
from leukolens.server.store.columns import Moment
from leukolens.server.store.database import Database
from leukolens.server.store.tables import Job, Sample, User


def user(name: str) -> User:
    return User(name=name, full_name=name.title(), role="reader", password_hash="none")


def names(store: Database) -> list[str]:
    with store.reading() as session:
        return list(session.scalars(select(User.name).order_by(User.id)))


def test_what_is_written_is_there_for_who_reads_later(store: Database) -> None:
    with store.writing() as session:
        session.add(user("ann"))
    assert names(store) == ["ann"]


def test_an_exception_keeps_nothing(store: Database) -> None:
    def fail() -> None:
        with store.writing() as session:
            session.add(user("ann"))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(store) == []


def test_reading_drops_what_it_changes(store: Database) -> None:
    with store.reading() as session:
        session.add(user("ann"))
        session.flush()
    assert names(store) == []


def test_a_reader_sees_one_moment_while_another_writes(store: Database) -> None:
    with store.writing() as session:
        session.add(user("ann"))
    with store.reading() as reading:
        found = reading.scalars(select(User)).all()
        with store.writing() as writing:
            writing.add(user("ben"))
        again = reading.scalars(select(User).order_by(User.id)).all()
        assert [one.name for one in found] == [one.name for one in again] == ["ann"]
    assert names(store) == ["ann", "ben"]


def test_writers_that_read_first_wait_for_each_other_and_lose_nothing(store: Database) -> None:
    """Each looks how many there are and then adds one; on SQLite a lock taken late would refuse half of them."""
    start = Barrier(4)

    def add(number: int) -> None:
        start.wait()
        for turn in range(5):
            with store.writing() as session:
                session.execute(select(func.count()).select_from(User)).scalar()
                session.add(user(f"user {number} {turn}"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert len(names(store)) == 20


def test_references_are_kept(store: Database) -> None:
    with pytest.raises(IntegrityError), store.writing() as session:
        session.add(Sample(key="ABCDEFGH", bundle_sha256="0" * 64))


def test_none_is_an_empty_column_not_the_json_null(store: Database) -> None:
    with store.writing() as session:
        session.add(Job(kind="read", result=None))
    with store.reading() as session:
        assert session.execute(text("SELECT count(*) FROM jobs WHERE result IS NULL")).scalar() == 1


def test_a_lock_that_is_never_let_go_says_so(migrated: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leukolens.server.store.database.BUSY_MILLISECONDS", 50)
    store = migrated("sqlite")  # type: ignore[operator]
    with store.writing() as session:
        session.add(user("ann"))
        session.flush()
        with pytest.raises(ServerError, match=r"cannot be written .*locked"), store.writing():
            pass


@pytest.mark.parametrize("url", ["nonsense", "nosuch://host/name", "postgresql+nosuch://u:geheim@host/name"])
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ServerError, match="cannot be used") as refusal:
        Database(url)
    assert "geheim" not in str(refusal.value)


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(1900, 1, 2), datetime(2200, 1, 1), timezones=ZONES)  # noqa: DTZ001
DIALECT = sqlite.dialect()


@settings(deadline=None)
@given(first=MOMENTS, second=MOMENTS)
def test_text_order_is_time_order_and_nothing_is_lost(first: datetime, second: datetime) -> None:
    moment = Moment()
    texts = [moment.process_bind_param(value, DIALECT) for value in (first, second)]
    assert (first < second) == (texts[0] < texts[1])  # type: ignore[operator]
    assert moment.process_result_value(texts[0], DIALECT) == first
    assert len(texts[0] or "") <= 32


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Moment().process_bind_param(datetime.now(UTC).replace(tzinfo=None), DIALECT)
