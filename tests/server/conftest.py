"""A server's database, its files and its people, new for every test; PostgreSQL as a server of the tests' own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copyfile
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

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


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a running server without a database's name, run by somebody without rights."""
    programs = shutil.which("initdb"), shutil.which("postgres")
    if None in programs:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "PostgreSQL's initdb and postgres are not on the PATH"
        )
    initdb, postgres = programs
    folder = Path(tempfile.mkdtemp(prefix="leukolens-postgresql-"))
    data = folder / "data"
    as_whom: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
        as_whom["user"] = "nobody"
    try:
        subprocess.run(
            [str(initdb), "-D", data, "-U", "tests", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True,
            **as_whom,
        )
        server = subprocess.Popen(
            [str(postgres), "-D", data, "-k", folder, "-h", "", "-F", "-c", "max_connections=40"], **as_whom
        )
        try:
            url = "postgresql+psycopg://tests@/{}?host=" + str(folder)
            _wait_for(url.format("postgres"), server)
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # at once, whoever is still connected
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    engine = create_engine(url)
    for _ in range(300):
        assert server.poll() is None, "PostgreSQL ended"
        try:
            engine.connect().close()
        except OperationalError:
            time.sleep(0.1)
        else:
            engine.dispose()
            return
    raise AssertionError("PostgreSQL does not answer")


@pytest.fixture(scope="session")
def new_url(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[[str, str | None], str]:
    """URL of a new database of a kind: empty, or a copy of the one at another URL, which nobody is connected to."""

    def make(kind: str, original: str | None = None) -> str:
        name = f"d{uuid.uuid4().hex}"
        if kind == "sqlite":
            path = tmp_path_factory.mktemp("sqlite") / f"{name}.sqlite"
            if original:
                shutil.copy(str(make_url(original).database), path)
            return f"sqlite:///{path}"
        server = request.getfixturevalue("postgresql")
        engine = create_engine(server.format("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            template = f"TEMPLATE {make_url(original).database}" if original else ""
            connection.execute(text(f"CREATE DATABASE {name} {template}"))
        engine.dispose()
        return str(server.format(name))

    return make
