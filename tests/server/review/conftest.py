"""What tests of the review share: a sample that was read, with the reading itself to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.bundle import Bundle, save
from leukolens.differential.confusion import Confusion
from leukolens.imaging.framing import Box
from leukolens.reading import cell as reading
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Answer, BundleFile, Cell, Field, Image, Sample, TrailEntry
from leukolens.taxonomy import CLASS_KEYS

ENGINE = "engine 1"
SIZE = (640, 480)


def made_cell(
    key: str,
    probability: float = 0.97,
    decision: reading.Decision = "accept",
    *,
    place: int = 0,
    at_edge: bool = False,
) -> reading.Cell:
    """A cell whose other classes share what its class leaves."""
    rest = (1 - probability) / (len(CLASS_KEYS) - 1)
    chances = {other: probability if other == key else rest for other in CLASS_KEYS}
    x, y = 40 + 50 * (place % 11), 40 + 60 * (place // 11)
    box = Box(0, y, 40, y + 44) if at_edge else Box(x, y, x + 40, y + 44)
    return reading.Cell(
        box,
        chances,
        decision,
        f"{key}, because",
        at_edge,
        0.9,
        float(place),
        tuple(sorted({key, "monocyte"})),
    )


def made_field(place: int, cells: Sequence[reading.Cell], *, failed: bool = False) -> reading.FieldReading:
    status: reading.Status = "failed" if failed else "ok" if cells else "no_cell"
    reason = {"failed": "broken off", "ok": None, "no_cell": "no white cell found"}[status]
    size = (0, 0) if failed else SIZE
    ordered = sorted(cells, key=lambda cell: (cell.box.y0, cell.box.x0, cell.box.y1, cell.box.x1))
    return reading.FieldReading(
        Path(f"field-{place}"), status, reason, f"{place:064x}", *size, tuple(ordered),
        0 if failed else 40 + place, 0 if failed else place, None if failed else 6.28125,
    )  # fmt: skip


@dataclass
class Bench:
    """A sample in a database, and what was read of it."""

    database: Database
    files: Files
    people: SimpleNamespace
    bundle: Bundle
    key: str = "SAMPLE22"
    fields: list[reading.FieldReading] = field(default_factory=list)

    @contextmanager
    def writing(self) -> Iterator[tuple[Session, Sample]]:
        with self.database.writing() as session:
            yield session, self.sample(session)

    @contextmanager
    def reading(self) -> Iterator[tuple[Session, Sample]]:
        with self.database.reading() as session:
            yield session, self.sample(session)

    def sample(self, session: Session) -> Sample:
        return session.scalars(select(Sample).where(Sample.key == self.key)).one()

    def add(self, *fields: reading.FieldReading) -> list[int]:
        """Stores fields as the worker does; gives their cells' ids, in order."""
        with self.writing() as (session, sample):
            ids = []
            for one in fields:
                self.fields.append(one)
                session.add(Image(sha256=one.sha256, bytes=1))
                session.flush()
                row = _field(one, sample, self.bundle.sha256)
                session.add(row)
                session.flush()
                cells = [_cell(cell, row) for cell in one.cells]
                session.add_all(cells)
                session.flush()
                ids += [cell.id for cell in cells]
        return ids

    def answers(self, turn: int = 1) -> dict[int, str]:
        with self.reading() as (session, _):
            rows = session.execute(select(Answer.cell_id, Answer.label).where(Answer.turn == turn))
            return dict(rows.all())

    def trail(self) -> list[TrailEntry]:
        with self.reading() as (session, _):
            entries = list(session.scalars(select(TrailEntry).order_by(TrailEntry.id)))
            session.expunge_all()  # what is dropped at the end would be asked for again
            return entries

    def set(self, **columns: object) -> None:
        """Changes the sample's row."""
        with self.writing() as (_, sample):
            for name, value in columns.items():
                setattr(sample, name, value)


def _field(one: reading.FieldReading, sample: Sample, sha256: str) -> Field:
    place = int(one.path.name.removeprefix("field-"))
    return Field(
        sample_id=sample.id, image_sha256=one.sha256, place=place, state=one.status, reason=one.reason,
        width=one.width, height=one.height, red_cells=one.red_cells, platelets=one.platelets,
        pixels_per_micrometre=one.pixels_per_micrometre, bundle_sha256=sha256, engine=ENGINE,
    )  # fmt: skip


def _cell(cell: reading.Cell, row: Field) -> Cell:
    # The keys of PostgreSQL's JSON come back in an order of its own.
    probabilities = dict(sorted(cell.probabilities.items()))
    return Cell(
        sample_id=row.sample_id, field_id=row.id, x0=cell.box.x0, y0=cell.box.y0, x1=cell.box.x1,
        y1=cell.box.y1, at_edge=cell.at_edge, score=cell.score, machine_class=cell.label,
        probability=cell.probabilities[cell.label], probabilities=probabilities, decision=cell.decision,
        reason=cell.reason, distance=cell.distance, class_set=list(cell.class_set or ()),
    )  # fmt: skip


@pytest.fixture
def bench(
    database: Database,
    settings: Settings,
    people: SimpleNamespace,
    make_bundle: Callable[..., Bundle],
    tmp_path: Path,
) -> Bench:
    """An open sample without fields, of a bundle that knows its confusion."""
    side = len(CLASS_KEYS)
    answers = np.full((side, side + 1), 0.5) + (19.5 - side / 2) * np.eye(side, side + 1)
    confusion = Confusion(
        classes=CLASS_KEYS, answers=tuple(map(tuple, answers.tolist())), groups=(20,) * side, labs=("Lab A",)
    )
    made = make_bundle()
    judgement = made.card.judgement.model_copy(update={"usual_within": 2.5, "outside_share": 0.05})
    card = made.card.model_copy(
        update={"classes": list(CLASS_KEYS), "confusion": confusion, "judgement": judgement}
    )
    bundle = save(card, made.classifier, tmp_path / "tiny.leukolens")
    files = Files(settings.folder)
    bench = Bench(database, files, people, bundle)
    with database.writing() as session:
        session.add(BundleFile(sha256=files.put_bundle(tmp_path / "tiny.leukolens"), name="tiny"))
        session.flush()
        session.add(Sample(key=bench.key, bundle_sha256=bundle.sha256, created_by=people.reader.user_id))
    return bench


@pytest.fixture
def cell() -> Callable[..., reading.Cell]:
    return made_cell


@pytest.fixture
def smear() -> Callable[..., reading.FieldReading]:
    return made_field
