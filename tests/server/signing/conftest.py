"""A sample that was read and can be signed, with the bundle and one image behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as Picture
from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.bundle import Bundle, save
from leukolens.server.actor import Actor
from leukolens.server.settings import Settings
from leukolens.server.signing.sign import sign, versions
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import (
    Answer,
    BundleFile,
    Cell,
    Comment,
    Field,
    Identity,
    Image,
    Report,
    Sample,
    TrailEntry,
)
from leukolens.taxonomy import CLASS_KEYS

KEY = "SAMPLE22"


@dataclass
class Desk:
    """A sample in a database, and who may do what."""

    database: Database
    files: Files
    people: SimpleNamespace
    image: str
    cells: list[int]

    @property
    def reviewer(self) -> Actor:
        reviewer: Actor = self.people.reviewer
        return reviewer

    @contextmanager
    def writing(self) -> Iterator[tuple[Session, Sample]]:
        with self.database.writing() as session:
            yield session, self.sample(session)

    @contextmanager
    def reading(self) -> Iterator[tuple[Session, Sample]]:
        with self.database.reading() as session:
            yield session, self.sample(session)

    def sample(self, session: Session) -> Sample:
        return session.scalars(select(Sample).where(Sample.key == KEY)).one()

    def say(self, cell: int, label: str, turn: int = 1) -> None:
        """Gives an answer, as a person does."""
        with self.writing() as (session, _):
            found = session.get(Answer, (cell, turn))
            if found is None:
                session.add(Answer(cell_id=cell, turn=turn, label=label, user_id=self.people.reader.user_id))
            else:
                found.label = label

    def sign(self, **how: bool) -> int:
        """Signs, and gives the version."""
        with self.writing() as (session, sample):
            return sign(session, self.files, self.reviewer, sample, **how).version

    @contextmanager
    def signed(self, version: int = 1) -> Iterator[Report]:
        with self.reading() as (session, sample):
            yield versions(session, sample)[version - 1]

    def trail(self) -> list[TrailEntry]:
        with self.reading() as (session, _):
            entries = list(session.scalars(select(TrailEntry).order_by(TrailEntry.id)))
            session.expunge_all()
            return entries


@pytest.fixture
def desk(
    database: Database,
    settings: Settings,
    people: SimpleNamespace,
    make_bundle: Callable[..., Bundle],
    tmp_path: Path,
) -> Desk:
    """An open sample of one field: a sure neutrophil, a sure lymphocyte, and a monocyte that is not."""
    made = make_bundle()
    path = tmp_path / "tiny.leukolens"
    save(made.card, made.classifier, path)
    files = Files(settings.folder)
    pixels = np.random.default_rng(1).integers(100, 250, (120, 160, 3), np.uint8)
    buffer = BytesIO()
    Picture.fromarray(pixels).save(buffer, "PNG")
    image = files.put(BytesIO(buffer.getvalue()), 2**20)
    with database.writing() as session:
        bundle = files.put_bundle(path)
        session.add(BundleFile(sha256=bundle, name="tiny"))
        session.add(Image(sha256=image.sha256, bytes=image.bytes))
        session.flush()
        sample = Sample(key=KEY, bundle_sha256=bundle, created_by=people.reader.user_id, white_count=7.4)
        session.add(sample)
        session.flush()
        session.add(Identity(sample_id=sample.id, identifier="Jane-Doe-1962", notes="ward 3"))
        session.add(Comment(sample_id=sample.id, finding="anisocytosis", grade="2+"))
        field = Field(
            sample_id=sample.id, image_sha256=image.sha256, place=1, state="ok", width=160, height=120,
            red_cells=30, platelets=4, pixels_per_micrometre=6.5, bundle_sha256=bundle, engine="engine 1",
        )  # fmt: skip
        session.add(field)
        session.flush()
        cells = [
            _cell(field, place, key, decision)
            for place, (key, decision) in enumerate(
                (("neutrophil", "accept"), ("lymphocyte", "accept"), ("monocyte", "review"))
            )
        ]
        session.add_all(cells)
        session.flush()
        return Desk(database, files, people, image.sha256, [cell.id for cell in cells])


def _cell(field: Field, place: int, key: str, decision: str) -> Cell:
    chances = {other: 0.94 if other == key else 0.01 for other in CLASS_KEYS}
    return Cell(
        sample_id=field.sample_id, field_id=field.id, x0=10 + 45 * place, y0=30, x1=45 + 45 * place, y1=65,
        machine_class=key, probability=0.94, probabilities=chances, decision=decision, reason="because", score=0.9,
    )  # fmt: skip
