"""What tests of the jobs share: a database whose bundle is the shipped one, drawn smears, and what became of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from leukolens.datasets.synthetic import draw_field
from leukolens.server.intake import bundles, samples
from leukolens.server.intake.uploads import Upload, receive
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import BundleFile, Field

PATIENCE = 120.0


@pytest.fixture
def files(settings: Settings) -> Files:
    return Files(settings.folder)


@pytest.fixture
def key(database: Database, files: Files, settings: Settings, people: SimpleNamespace) -> str:
    """Of an open sample without fields, to be read with the shipped bundle."""
    with database.writing() as session:
        session.execute(BundleFile.__table__.update().values(active=False))  # type: ignore[attr-defined]
        bundles.ensure_active(session, files, settings)
        return samples.create(session, people.reader, identifier="P-1").key


@pytest.fixture(scope="session")
def smears() -> tuple[bytes, ...]:
    """Twelve drawn fields as PNG, each with one or two white cells."""
    drawn = []
    for seed in range(12):
        cells = ("neutrophil", "lymphocyte") if seed % 2 else ("monocyte",)
        buffer = BytesIO()
        Image.fromarray(draw_field(np.random.default_rng(seed), 320, 240, cells).rgb).save(buffer, "PNG")
        drawn.append(buffer.getvalue())
    return tuple(drawn)


@pytest.fixture
def send(database: Database, files: Files, settings: Settings, people: SimpleNamespace, key: str) -> Any:
    """Sends images to the sample."""

    def sending(contents: Sequence[bytes]) -> None:
        uploads = [Upload("", BytesIO(content)) for content in contents]
        received = receive(database, files, people.reader, key, uploads, settings.limits)
        assert (received.taken, received.refused) == (len(contents), ())

    return sending


@pytest.fixture
def fields(database: Database) -> Callable[[], list[Field]]:
    """All fields as they are now."""

    def now() -> list[Field]:
        with database.reading() as session:
            found = list(session.scalars(select(Field).order_by(Field.id)))
            session.expunge_all()
        return found

    return now


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits until something is so, or fails."""

    def waiting(so: Callable[[], bool], patience: float = PATIENCE) -> None:
        end = time.monotonic() + patience
        while not so():
            assert time.monotonic() < end, "it never came to be"
            time.sleep(0.02)

    return waiting
