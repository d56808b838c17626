"""A server with three people, and browsers to visit it with."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from PIL import Image as Picture

from leukolens.bundle import save
from leukolens.datasets.synthetic import draw_field
from leukolens.server.actor import ROLES, SERVER
from leukolens.server.people import logins, passwords, users
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.web.app import create_app
from leukolens.server.web.context import Context

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it would rather have httpx2
    from fastapi.testclient import TestClient

PASSWORD = "a fine smear on glass"
HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    passwords._decoy.cache_clear()
    yield
    passwords._decoy.cache_clear()


@pytest.fixture
def app(settings: Settings, database: Database) -> FastAPI:
    return create_app(settings, context=Context(settings, database, Files(settings.folder)))


@pytest.fixture
def staff(database: Database) -> SimpleNamespace:
    """One person a role, each by the name of the role, each with the same password."""
    with database.writing() as session:
        made = {role: users.create(session, SERVER, role, role.title(), role, PASSWORD).id for role in ROLES}
    return SimpleNamespace(**made)


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory, make_bundle: Callable[..., Any]) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "tiny.leukolens"
    made = make_bundle()
    save(made.card, made.classifier, path)
    return path


@pytest.fixture(scope="session")
def smear() -> bytes:
    """A drawn field, as PNG."""
    drawn = draw_field(np.random.default_rng(5), 320, 240, ("neutrophil",), crowding=0.2)
    Picture.fromarray(drawn.rgb).save(buffer := BytesIO(), "PNG")
    return buffer.getvalue()


class Browser(TestClient):
    """Asks as a browser does, and follows nothing by itself."""

    def __init__(self, app: FastAPI, base_url: str = "http://127.0.0.1:8000") -> None:
        super().__init__(app, base_url=base_url, headers=HTML, follow_redirects=False)

    def sign_in(self, name: str, password: str = PASSWORD) -> Browser:
        answer = self.send_form("/login", name=name, password=password)
        assert answer.status_code == 303, answer.text
        return self

    @property
    def csrf(self) -> str:
        return logins.csrf_of(self.cookies["leukolens"])

    def send_form(self, address: str, **fields: Any) -> Any:
        """As a form of this site is sent."""
        origin = f"{self.base_url.scheme}://{self.base_url.netloc.decode()}"
        return self.post(address, data=fields, headers={"Origin": origin, "Sec-Fetch-Site": "same-origin"})

    def send_own(self, address: str, **fields: Any) -> Any:
        """Likewise, with this login's token."""
        return self.send_form(address, csrf_token=self.csrf, **fields)


@pytest.fixture
def browser(app: FastAPI) -> Callable[[], Browser]:
    """A new browser, with nobody signed in."""
    return lambda: Browser(app)
