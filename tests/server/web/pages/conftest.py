"""Samples as the worker leaves them, and pages taken apart as a browser does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image as Picture
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leukolens.server.actor import ROLES, Actor
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import BundleFile, Cell, Crop, Field, Identity, Image, Job, Sample
from leukolens.server.web.app import create_app
from leukolens.server.web.context import Context
from leukolens.taxonomy import CLASS_KEYS

WIDTH, HEIGHT = 320, 240
READ_OUT = ("aria-label", "title", "alt", "placeholder")
# Class, probability, decision, and whether the edge cuts it: what they are shown as is written in the tests.
CELLS = (
    ("neutrophil", 0.97, "accept", False),
    ("lymphocyte", 0.90, "accept", False),
    ("monocyte", 0.60, "review", False),
    ("eosinophil", 0.99, "accept", True),
    ("other", 0.90, "accept", False),
)


@dataclass
class StandIn:
    """In the worker's place: does nothing, but looks at what it was woken for."""

    database: Database
    woken: list[int] = field(default_factory=list)

    def wake(self) -> None:
        with self.database.reading() as session:
            waiting = select(func.count(Job.id)).where(Job.state == "waiting", Job.kind != "webhook")
            self.woken.append(session.scalar(waiting) or 0)


@dataclass
class Shelf:
    """The samples of a server, with the bundle that they were read with and a drawn field."""

    database: Database
    files: Files
    bundle: str
    smear: bytes

    def add(self, key: str, identifier: str, *, two_readers: bool = False, cells: bool = True) -> list[int]:
        """A sample: a field with `CELLS`, and one without; gives its cells' ids."""
        with self.database.writing() as session:
            sample = Sample(key=key, bundle_sha256=self.bundle, two_readers=two_readers, white_count=8.0)
            session.add(sample)
            session.flush()
            session.add(Identity(sample_id=sample.id, identifier=identifier, notes=f"ward 3 & {identifier}"))
        if not cells:
            return []
        first = self.field(key, self.smear, "ok")
        self.field(key, image_file("TIFF", seed=7), "no_cell", reason="no white cell found")
        with self.database.writing() as session:
            row = session.get_one(Field, first)
            made = [_cell(row, place, *one) for place, one in enumerate(CELLS)]
            session.add_all(made)
            session.flush()
            session.add_all(Crop(cell_id=cell.id, jpeg=image_file("JPEG", seed=cell.id)) for cell in made)
            return [cell.id for cell in made]

    def field(self, key: str, content: bytes, state: str, reason: str | None = None) -> int:
        """One more field of a sample; gives its id."""
        kept = self.files.put(BytesIO(content), len(content))
        with self.writing(key) as (session, sample):
            if session.get(Image, kept.sha256) is None:
                session.add(Image(sha256=kept.sha256, bytes=kept.bytes))
                session.flush()
            last = session.scalar(select(func.max(Field.place)).where(Field.sample_id == sample.id)) or 0
            row = Field(
                sample_id=sample.id, image_sha256=kept.sha256, place=last + 1, state=state, reason=reason,
                width=WIDTH, height=HEIGHT, bundle_sha256=self.bundle, engine="engine 1",
            )  # fmt: skip
            session.add(row)
            session.flush()
            return row.id

    @contextmanager
    def writing(self, key: str) -> Iterator[tuple[Session, Sample]]:
        with self.database.writing() as session:
            yield session, session.scalars(select(Sample).where(Sample.key == key)).one()

    def rows(self, query: Any) -> list[tuple[Any, ...]]:
        with self.database.reading() as session:
            return [tuple(row) for row in session.execute(query)]


def _cell(row: Field, place: int, key: str, probability: float, decision: str, at_edge: bool) -> Cell:
    rest = (1 - probability) / (len(CLASS_KEYS) - 1)
    x = 0 if at_edge else 20 + 55 * place
    return Cell(
        sample_id=row.sample_id, field_id=row.id, x0=x, y0=40, x1=x + 40, y1=80, at_edge=at_edge, score=0.9,
        machine_class=key, probability=probability, decision=decision, reason=f"{key}, because", distance=1.5,
        probabilities={other: probability if other == key else rest for other in CLASS_KEYS},
        class_set=sorted({key, "monocyte"}),
    )  # fmt: skip


def image_file(kind: str, seed: int) -> bytes:
    colour = np.random.default_rng(seed).integers(90, 250, 3).tolist()
    Picture.new("RGB", (WIDTH, HEIGHT), tuple(colour)).save(buffer := BytesIO(), kind)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def picture() -> Callable[..., bytes]:
    """Makes an image file of a kind, of one colour that its seed decides."""
    return image_file


@pytest.fixture
def worker(database: Database) -> StandIn:
    return StandIn(database)


@pytest.fixture
def app(settings: Settings, database: Database, worker: StandIn) -> FastAPI:
    files = Files(settings.folder)
    return create_app(settings, context=Context(settings, database, files, cast(Any, worker)))


@pytest.fixture
def shelf(
    settings: Settings, database: Database, staff: SimpleNamespace, bundle_path: Path, smear: bytes
) -> Shelf:
    files = Files(settings.folder)
    sha256 = files.put_bundle(bundle_path)
    with database.writing() as session:
        for row in session.scalars(select(BundleFile)):
            row.active = False
        session.add(BundleFile(sha256=sha256, name="tiny", active=True))
    return Shelf(database, files, sha256, smear)


@pytest.fixture
def actors(staff: SimpleNamespace) -> SimpleNamespace:
    """The staff, for what a test does past the pages."""
    return SimpleNamespace(**{role: Actor(getattr(staff, role), role, role) for role in ROLES})


@pytest.fixture
def post() -> Callable[..., Any]:
    """Sends JSON as the pages' scripts do, or what it is given as ``content``."""

    def send(visit: Any, address: str, body: Any = None, *, content: bytes | None = None) -> Any:
        headers = {
            "Content-Type": "application/json", "Accept": "application/json", "X-CSRF-Token": visit.csrf,
        }  # fmt: skip
        sent = json.dumps({} if body is None else body).encode() if content is None else content
        return visit.post(address, content=sent, headers=headers)

    return send


class Page(HTMLParser):
    """A page taken apart.

    Attributes:
        tags: Every element's name and attributes, in order.
        said: What a person reads or hears: texts, and attributes that are read out.
        data: The blocks of JSON by their id.
        labelled: Positions in ``tags`` of what stands inside a label.
        scripts: Text of scripts and styles that are not JSON.
    """

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.said: list[str] = []
        self.data: dict[str, Any] = {}
        self.labelled: set[int] = set()
        self.scripts: list[str] = []
        self._within: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "label" in self._within:
            self.labelled.add(len(self.tags))
        self.tags.append((tag, found))
        self.said += [found[name] for name in READ_OUT if found.get(name)]
        if tag in {"label", "script", "style"}:
            self._within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._within and self._within[-1] == tag:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        made = self.tags[-1][1] if self.tags else {}
        if {"script", "style"} & set(self._within):
            if made.get("type") == "application/json":
                self.data[made["id"]] = json.loads(data)
            else:
                self.scripts.append(data)
        elif data.strip():
            self.said.append(data.strip())

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        """The attributes of every element of this kind that has these."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [found for name, found in self.tags if name == tag and wanted.items() <= found.items()]


@pytest.fixture(scope="session")
def parsed() -> Callable[[Any], Page]:
    """A response's page."""
    return lambda answer: Page(answer.text)
