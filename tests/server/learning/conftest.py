"""What tests of learning share: drawn smears whose cells have names, and who works with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as Picture
from sqlalchemy import update
from sqlalchemy.orm import Session

from leukolens.datasets.synthetic import DrawnField, draw_field
from leukolens.imaging.framing import Box
from leukolens.server.intake import bundles
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Answer, BundleFile, Cell, Field, Image, Sample

CLASSES = ("neutrophil", "eosinophil", "lymphocyte", "monocyte")
FIELDS, WIDTH, HEIGHT = 9, 440, 330
PATIENCE = 300.0


@dataclass(frozen=True)
class Smear:
    """A drawn field as it is sent, and what is in it."""

    png: bytes
    drawn: DrawnField


@dataclass
class Lab:
    """A server's database and files, and who works there."""

    database: Database
    files: Files
    settings: Settings
    people: SimpleNamespace
    bundle: str
    smears: Sequence[Smear]
    made: int = field(default=0)

    def sample(
        self,
        smears: Sequence[Smear] = (),
        *,
        state: str = "open",
        two_readers: bool = False,
        name: Callable[[str], str | None] = lambda label: label,
    ) -> str:
        """A sample whose cells are named by a person, or not where that gives None; gives its key."""
        self.made += 1
        key = f"SAMPLE{self.made:02}"
        with self.database.writing() as session:
            sample = Sample(key=key, state=state, two_readers=two_readers, bundle_sha256=self.bundle)
            session.add(sample)
            session.flush()
            for place, smear in enumerate(smears, 1):
                self._field(session, sample, place, smear, name)
        return key

    def _field(
        self, session: Session, sample: Sample, place: int, smear: Smear, name: Callable[[str], str | None]
    ) -> None:
        kept = self.files.put(BytesIO(smear.png), len(smear.png))
        if session.get(Image, kept.sha256) is None:
            session.add(Image(sha256=kept.sha256, bytes=kept.bytes))
            session.flush()
        row = Field(
            sample_id=sample.id, place=place, image_sha256=kept.sha256, state="ok", width=WIDTH, height=HEIGHT
        )
        session.add(row)
        session.flush()
        for drawn in smear.drawn.cells:
            cell = self.cell(session, sample, row, drawn.box, drawn.label)
            label = name(drawn.label)
            if label is not None:
                session.add(Answer(cell_id=cell.id, turn=1, label=label, user_id=self.people.reader.user_id))

    @staticmethod
    def cell(session: Session, sample: Sample, row: Field, box: Box, label: str, **more: bool) -> Cell:
        """A cell as the machine found it."""
        cell = Cell(
            sample_id=sample.id, field_id=row.id, x0=box.x0, y0=box.y0, x1=box.x1, y1=box.y1,
            machine_class=label, probability=0.9, decision="accept", **more,
        )  # fmt: skip
        session.add(cell)
        session.flush()
        return cell


@pytest.fixture(scope="session")
def smears() -> tuple[Smear, ...]:
    """Nine drawn fields of four white cells each."""
    found = []
    for seed in range(FIELDS):
        drawn = draw_field(np.random.default_rng(100 + seed), WIDTH, HEIGHT, CLASSES)
        buffer = BytesIO()
        Picture.fromarray(drawn.rgb).save(buffer, "PNG")
        found.append(Smear(buffer.getvalue(), drawn))
    return tuple(found)


@pytest.fixture
def lab(database: Database, settings: Settings, people: SimpleNamespace, smears: tuple[Smear, ...]) -> Lab:
    files = Files(settings.folder)
    with database.writing() as session:
        session.execute(update(BundleFile).values(active=False))
        active = bundles.ensure_active(session, files, settings).sha256
    return Lab(database, files, settings, people, active, smears)


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits until something is so, or fails."""

    def waiting(so: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not so():
            assert time.monotonic() < end, "it never came to be"
            time.sleep(0.02)

    return waiting
