"""The limit on failed attempts: it grows, it ends, and it hits nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from leukolens.server.people import throttle
from leukolens.server.people.throttle import ADDRESS, NAME, OWN_TRIES, PAIR, Source, TooMany
from leukolens.server.store.database import Database
from leukolens.server.store.tables import Attempt

HOME = Source("anna", "192.0.2.1")


def fail(database: Database, source: Source) -> None:
    with database.writing() as session:
        throttle.reserve(session, source)


def fail_until_stopped(database: Database, source: Source) -> int:
    """How many failures it took."""
    for count in range(1000):
        try:
            fail(database, source)
        except TooMany:
            return count
    raise AssertionError("never stopped")


def wait(database: Database, source: Source) -> int:
    with database.reading() as session:
        return throttle.wait(session, source)


def test_each_failure_beyond_the_free_ones_doubles_the_wait(database: Database, clock: Any) -> None:
    assert fail_until_stopped(database, HOME) == PAIR.free
    waits = []
    for _ in range(8):
        waits.append(wait(database, HOME))
        clock.passes(seconds=waits[-1])
        fail(database, HOME)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128]


def test_the_wait_never_exceeds_its_longest(database: Database, clock: Any) -> None:
    for _ in range(25):
        clock.passes(seconds=wait(database, HOME))
        fail(database, HOME)
    assert 0 < wait(database, HOME) <= PAIR.longest


def test_a_refused_attempt_does_not_count(database: Database, clock: Any) -> None:
    fail_until_stopped(database, HOME)
    for _ in range(50):
        with pytest.raises(TooMany), database.writing() as session:
            throttle.reserve(session, HOME)
    assert wait(database, HOME) == 1
    with database.reading() as session:
        assert session.scalar(select(func.count(Attempt.id))) == 3 * PAIR.free


def test_it_is_all_forgotten_after_an_hour(database: Database, clock: Any) -> None:
    fail_until_stopped(database, HOME)
    clock.passes(hours=1.1)
    assert wait(database, HOME) == 0
    fail(database, HOME)
    with database.reading() as session:
        assert session.scalar(select(func.count(Attempt.id))) == 3  # the old ones are not kept


def test_an_address_that_tries_many_names_is_stopped_for_all(database: Database, clock: Any) -> None:
    for number in range(ADDRESS.free):
        fail(database, Source(f"name{number}", "192.0.2.1"))
    assert wait(database, Source("another", "192.0.2.1")) == 1
    assert wait(database, Source("another", "192.0.2.2")) == 0


def test_a_name_that_is_tried_from_many_addresses_is_slowed_but_its_person_elsewhere_gets_in(
    database: Database, clock: Any
) -> None:
    for number in range(NAME.free):
        fail(database, Source("anna", f"192.0.2.{number}"))
    for _ in range(OWN_TRIES):  # an address that was no part of it
        assert wait(database, Source("anna", "198.51.100.1")) == 0
        fail(database, Source("anna", "198.51.100.1"))
    assert wait(database, Source("anna", "198.51.100.1")) == 2**OWN_TRIES


def test_an_ipv6_host_is_one_with_its_network(database: Database, clock: Any) -> None:
    for number in range(ADDRESS.free):
        fail(database, Source(f"name{number}", f"2001:db8::{number:x}"))
    assert wait(database, Source("another", "2001:db8::ffff")) == 1
    assert wait(database, Source("another", "2001:db8:0:1::1")) == 0
    assert Source("", "::ffff:192.0.2.1").by_address == Source("", "192.0.2.1").by_address


def test_success_forgets_the_names_failures_but_not_what_the_address_did_to_others(
    database: Database, clock: Any
) -> None:
    for number in range(ADDRESS.free - 1):
        fail(database, Source(f"name{number}", "192.0.2.1"))
    with database.writing() as session:
        reserved = throttle.reserve(session, HOME)
        assert throttle.take_back(session, reserved) == 0
    assert wait(database, HOME) == 0
    fail(database, HOME)
    assert wait(database, HOME) == 1


def test_the_trail_is_told_at_the_limit_and_at_each_doubling() -> None:
    told = [count for count in range(1, 200) if throttle.worth_telling(count, NAME)]
    assert told == [10, 20, 40, 80, 160]


def test_the_longest_names_and_addresses_fit_their_column() -> None:
    longest = Source("n" * 80, "not an address" * 40)
    assert len(longest.by_both) <= 200
    assert len(Source("n" * 80, "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff").by_both) <= 200
