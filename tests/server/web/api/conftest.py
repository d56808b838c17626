"""A server whose worker finds the same cells in every field at once, and programs that use its API."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi import FastAPI
from sqlalchemy import event, select, update

from leukolens.server.actor import ROLES, Actor
from leukolens.server.people import tokens
from leukolens.server.settings import Limits, Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import BundleFile, Cell, Crop, Field, Job
from leukolens.server.web.app import create_app
from leukolens.server.web.context import Context
from leukolens.taxonomy import CLASS_KEYS

IDENTIFIER, NOTES = "Müller, Maria 1970", "ward 3, Maria"
WIDTH, HEIGHT = 320, 240
# Class, probability, decision, and whether the edge cuts it: what they are shown as is written in the tests.
FOUND = (
    ("neutrophil", 0.97, "accept", False),
    ("lymphocyte", 0.90, "accept", False),
    ("monocyte", 0.60, "review", False),
    ("eosinophil", 0.99, "accept", True),
    ("other", 0.55, "review", False),
)


@dataclass
class Worker:
    """In the worker's place: of each job that waits, does what leaves the same rows behind."""

    database: Database
    bundle: str
    woken: list[list[str]] = field(default_factory=list)

    def wake(self) -> None:
        with self.database.writing() as session:
            jobs = session.scalars(select(Job).where(Job.state == "waiting").order_by(Job.id)).all()
            self.woken.append([job.kind for job in jobs])
            for job in jobs:
                job.state = "done"
                if job.kind == "read":
                    row = session.get_one(Field, job.field_id)
                    row.state, row.width, row.height = "ok", WIDTH, HEIGHT
                    row.bundle_sha256, row.engine = self.bundle, "engine 1"
                    made = [_cell(row, place, *one) for place, one in enumerate(FOUND)]
                    session.add_all(made)
                    session.flush()
                    session.add_all(Crop(cell_id=cell.id, jpeg=b"\xff\xd8\xffcrop") for cell in made)


def _cell(row: Field, place: int, key: str, probability: float, decision: str, at_edge: bool) -> Cell:
    rest = (1 - probability) / (len(CLASS_KEYS) - 1)
    x = 0 if at_edge else 20 + 55 * place
    return Cell(
        sample_id=row.sample_id, field_id=row.id, x0=x, y0=40, x1=x + 40, y1=80, at_edge=at_edge, score=0.9,
        machine_class=key, probability=probability, decision=decision, reason=f"{key}, because",
        probabilities={other: probability if other == key else rest for other in CLASS_KEYS},
    )  # fmt: skip


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """The API's description."""
    return create_app(Settings(Path("nowhere"))).openapi()


@pytest.fixture
def database(kind: str, database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Nothing waits for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    if kind == "sqlite":
        event.listen(database.engine, "connect", lambda made, _: made.execute("PRAGMA synchronous=OFF"))
    return database


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With limits that a test can exceed."""
    return replace(settings, limits=Limits(upload_bytes=2**21, image_bytes=2**20, files=5))


@pytest.fixture
def worker(settings: Settings, database: Database, bundle_path: Path) -> Worker:
    bundle = Files(settings.folder).put_bundle(bundle_path)
    with database.writing() as session:
        session.execute(update(BundleFile).values(active=False))
        session.add(BundleFile(sha256=bundle, name="tiny", active=True))
    return Worker(database, bundle)


@pytest.fixture
def app(settings: Settings, database: Database, worker: Worker) -> FastAPI:
    return create_app(
        settings, context=Context(settings, database, Files(settings.folder), cast(Any, worker))
    )


@pytest.fixture
def secret(database: Database, staff: SimpleNamespace) -> Callable[..., str]:
    """Makes a token of one of the staff."""

    def make(role: str, *scopes: str, days: int | None = None) -> str:
        actor = Actor(getattr(staff, role), role, next(one for one in ROLES if one == role))
        with database.writing() as session:
            return tokens.make(session, actor, "a program", scopes or tokens.SCOPES, days)

    return make


@pytest.fixture
def program(app: FastAPI, browser: Any, secret: Callable[..., str]) -> Callable[..., Any]:
    """A program with a token of a role, with all scopes or with these; addresses are those below ``/api/v1``."""

    def make(role: str = "administrator", *scopes: str) -> Any:
        client = type(browser())(app)
        client.headers.update({"Authorization": f"Bearer {secret(role, *scopes)}", "Accept": "*/*"})
        client.base_url = client.base_url.join("/api/v1/")
        return client

    return make


@pytest.fixture
def sample(program: Callable[..., Any], smear: bytes) -> str:
    """Key of a sample with one field that was read."""
    client = program()
    made = client.post("samples", json={"identifier": IDENTIFIER, "notes": NOTES, "white_count": 8.0})
    assert made.status_code == 201, made.text
    key: str = made.json()["key"]
    answer = client.post(f"samples/{key}/fields", files={"files": (f"{IDENTIFIER}.png", smear)})
    assert answer.json() == {"taken": 1, "known": 0, "refused": []}, answer.text
    return key
