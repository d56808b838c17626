"""Hashes that cost next to nothing, and a person with a password."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from argon2 import PasswordHasher

from leukolens.server.actor import SERVER
from leukolens.server.people import passwords, throttle, users
from leukolens.server.store import columns
from leukolens.server.store.database import Database
from leukolens.server.store.tables import User

PASSWORD = "a fine smear on glass"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    passwords._decoy.cache_clear()
    yield
    passwords._decoy.cache_clear()


@pytest.fixture
def anna(database: Database) -> User:
    """A reviewer whose password is known."""
    with database.writing() as session:
        return users.create(session, SERVER, "anna", "Anna Freud", "reviewer", PASSWORD)


class Clock:
    """A time that passes only when told to."""

    def __init__(self) -> None:
        self.time = columns.now()

    def __call__(self) -> datetime:
        return self.time

    def passes(self, **by: float) -> None:
        self.time += timedelta(**by)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    from leukolens.server.people import logins, tokens

    clock = Clock()
    for module in (throttle, logins, tokens):
        monkeypatch.setattr(module, "now", clock)
    return clock
