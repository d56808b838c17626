"""A server's database, its files and its people, new for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from types import SimpleNamespace

import pytest

from leukolens.server.actor import ROLES, Actor, Role
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.migrate import migrate
from leukolens.server.store.tables import BundleFile, User

BUNDLE = "b" * 64


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = tmp_path / "server"
    folder.mkdir()
    return Settings(folder)


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file as migrations make it, with one active bundle's row: copied, it is a database at once."""
    folder = tmp_path_factory.mktemp("empty")
    settings = Settings(folder)
    database = Database(settings.url)
    migrate(database, folder)
    with database.writing() as session:
        session.add(BundleFile(sha256=BUNDLE, name="drawn", active=True))
    database.close()  # the last connection writes its journal back into the file
    assert [path.name for path in folder.glob("leukolens.sqlite*")] == ["leukolens.sqlite"]
    return folder / "leukolens.sqlite"


@pytest.fixture
def database(settings: Settings, empty: Path) -> Iterator[Database]:
    """With its tables, one active bundle's row, and nobody in it."""
    copyfile(empty, settings.folder / empty.name)
    database = Database(settings.url)
    yield database
    database.close()


@pytest.fixture
def people(database: Database) -> SimpleNamespace:
    """One person a role, as ``people.reader`` and so on; their passwords fit nothing."""
    found: dict[str, Actor] = {}
    with database.writing() as session:
        for role in ROLES:
            user = User(name=role, full_name=role.title(), role=role, password_hash="none")
            session.add(user)
            session.flush()
            found[role] = _actor(user, role)
    return SimpleNamespace(**found)


def _actor(user: User, role: Role) -> Actor:
    return Actor(user.id, user.name, role)
