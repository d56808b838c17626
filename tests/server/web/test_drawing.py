"""A cell that is drawn: the worker hears of it, and the gallery knows that its picture is still to come."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, update

from leukolens.server.actor import SERVER
from leukolens.server.intake import bundles, samples
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import BundleFile, Cell, Crop, Field, Image, Job
from leukolens.server.web.app import create_app
from leukolens.server.web.context import Context

DIGEST = "a" * 64


@pytest.fixture
def files(settings: Settings) -> Files:
    return Files(settings.folder)


@pytest.fixture
def key(database: Database, files: Files, settings: Settings) -> str:
    """Of a sample with one field that was read, and had no cell."""
    with database.writing() as session:
        session.execute(update(BundleFile).values(active=False))
        bundles.ensure_active(session, files, settings)
        sample = samples.create(session, SERVER, identifier="P-1")
        session.add(Image(sha256=DIGEST, bytes=1))
        session.flush()
        session.add(
            Field(sample_id=sample.id, image_sha256=DIGEST, place=1, state="no_cell", width=320, height=240)
        )
        return sample.key


def test_a_drawn_cell_wakes_the_worker_and_waits_in_the_gallery_for_its_picture(
    database: Database, files: Files, settings: Settings, staff: SimpleNamespace, browser: Any, key: str
) -> None:
    def waiting_jobs() -> list[str]:
        with database.reading() as session:
            return list(session.scalars(select(Job.kind).where(Job.state == "waiting")))

    woken: list[list[str]] = []
    worker: Any = SimpleNamespace(wake=lambda: woken.append(waiting_jobs()))
    app = create_app(settings, context=Context(settings, database, files, worker))
    visitor = type(browser())(app).sign_in("reader")
    answer = visitor.post(
        f"/samples/{key}/draw",
        json={"place": 1, "box": [100, 80, 150, 128]},
        headers={"X-CSRF-Token": visitor.csrf},
    )
    assert answer.status_code == 200, answer.text
    assert woken == [["crop"]]  # and what it is to do could be seen by then
    assert "data-unpictured" in visitor.get(f"/samples/{key}/gallery").text
    with database.writing() as session:
        cell = session.scalars(select(Cell)).one().id
        assert visitor.get(f"/cells/{cell}/crop.jpg").status_code == 404
        session.add(Crop(cell_id=cell, jpeg=b"\xff\xd8\xff"))
    assert "data-unpictured" not in visitor.get(f"/samples/{key}/gallery").text
    assert visitor.get(f"/cells/{cell}/crop.jpg?cut").content == b"\xff\xd8\xff"
