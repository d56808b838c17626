"""A server's database, its files and its people, new for every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from shutil import copyfile
from types import SimpleNamespace

import numpy as np
import pytest
import zxingcpp
from PIL import Image
from sqlalchemy import make_url

from leukolens.server.actor import ROLES, Actor, Role
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.migrate import migrate
from leukolens.server.store.tables import BundleFile, User

BUNDLE = "b" * 64


@pytest.fixture
def settings(
    tmp_path: Path,
    kind: str,
    own_url: Callable[..., str],
    prepared: Callable[[str], str],
    request: pytest.FixtureRequest,
) -> Settings:
    """Of a new server, whose database has tables only where a test asks for ``database``."""
    folder = tmp_path / "server"
    folder.mkdir()
    if kind == "sqlite":
        return Settings(folder)
    original = prepared(kind) if "database" in request.fixturenames else None
    return Settings(folder, own_url(kind, original))


@pytest.fixture(scope="session")
def originals(new_url: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """URL of a database as migrations make it, without rows, to be copied: that is quicker than to make it anew."""

    @cache
    def make(kind: str) -> str:
        url = new_url(kind)
        database = Database(url)
        migrate(database, tmp_path_factory.mktemp("originals"))
        database.close()
        return url

    return make


@pytest.fixture(scope="session")
def prepared(new_url: Callable[..., str], originals: Callable[[str], str]) -> Callable[[str], str]:
    """The same with one active bundle's row."""

    @cache
    def make(kind: str) -> str:
        url = new_url(kind, originals(kind))
        database = Database(url)
        with database.writing() as session:
            session.add(BundleFile(sha256=BUNDLE, name="drawn", active=True))
        database.close()  # SQLite's last connection writes its journal back into the file
        return url

    return make


@pytest.fixture
def database(settings: Settings, kind: str, prepared: Callable[[str], str]) -> Iterator[Database]:
    """With its tables, one active bundle's row, and nobody in it."""
    if kind == "sqlite":
        copyfile(str(make_url(prepared(kind)).database), str(make_url(settings.url).database))
    database = Database(settings.url)
    yield database
    database.close()


@pytest.fixture
def label() -> Callable[..., bytes]:
    """Draws a slide's label and gives its photograph, a PNG: barcodes one below the other, each a kind and a text."""

    def draw(*barcodes: tuple[str, str | bytes], turned: float = 0) -> bytes:
        paper, below = Image.new("RGB", (900, 900), (240, 235, 220)), 40
        for kind, text in barcodes:
            made = zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, kind))
            bars = Image.fromarray(np.asarray(made.to_image(scale=3)))
            paper.paste(bars, (60, below))
            below += bars.height + 60
        paper.rotate(turned, expand=True).save(buffer := BytesIO(), "PNG")
        return buffer.getvalue()

    return draw


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
