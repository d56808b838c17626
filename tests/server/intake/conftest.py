"""What tests of the intake share: a folder of files, a watched one, an open sample, and images small enough to make."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from leukolens.server.intake import samples
from leukolens.server.intake.resting import STILL_SECONDS, Rest
from leukolens.server.intake.watched import Watched
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Field, Identity, Sample


@pytest.fixture
def files(settings: Settings) -> Files:
    return Files(settings.folder)


@pytest.fixture
def key(database: Database, people: SimpleNamespace) -> str:
    """Of an open sample without fields."""
    with database.writing() as session:
        return samples.create(session, people.reader, identifier="P-100").key


@pytest.fixture
def image() -> Callable[..., bytes]:
    """Makes an image file; another number, other pixels."""

    def make(number: int = 0, kind: str = "PNG") -> bytes:
        pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        return buffer.getvalue()

    return make


class Desk:
    """A watched folder and a clock that stands until it is told to go on."""

    def __init__(self, folder: Path, database: Database, files: Files, settings: Settings) -> None:
        self.folder, self.database, self.files, self.settings = folder, database, files, settings
        self.now = 0.0
        self.barcode: Callable[[Path], str] = unasked
        self.restart()

    def restart(self, rest: Rest | None = None) -> None:
        self.watched = Watched(
            self.folder,
            self.database,
            self.files,
            self.settings.limits,
            self.read,
            rest or Rest(clock=lambda: self.now),
        )

    def read(self, photograph: Path) -> str:
        return self.barcode(photograph)

    def put(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path

    def settle(self, seconds: float = STILL_SECONDS) -> int:
        """A look, some time, and another look; how many fields there are more."""
        taken = int(self.watched.look())
        self.now += seconds
        return taken + self.watched.look()

    def samples(self) -> dict[str, int]:
        """Identifier to number of fields."""
        with self.database.reading() as session:
            rows = session.execute(
                select(Identity.identifier, Field.id).outerjoin(Field, Field.sample_id == Identity.sample_id)
            ).all()
        return {name: sum(one == name and field is not None for one, field in rows) for name, _ in rows}

    def told(self) -> dict[str, str]:
        return {one.name: one.reason for one in self.watched.not_taken}

    def change(self, identifier: str, act: Callable[[Any, Sample], None]) -> None:
        with self.database.writing() as session:
            act(session, session.scalars(
                select(Sample).join(Identity).where(Identity.identifier == identifier)
            ).one())  # fmt: skip


def unasked(photograph: Path) -> str:
    raise AssertionError(f"{photograph} was read")


@pytest.fixture
def desk(tmp_path: Path, database: Database, files: Files, settings: Settings) -> Desk:
    folder = tmp_path / "watched"
    folder.mkdir()
    return Desk(folder, database, files, settings)
