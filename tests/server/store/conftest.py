"""Both kinds of database, empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from leukolens.server.actor import Actor
from leukolens.server.store import trail
from leukolens.server.store.backup import backup
from leukolens.server.store.columns import now
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import (
    Act,
    Activation,
    Adaptation,
    Answer,
    Attempt,
    Base,
    BlindAnswer,
    BundleFile,
    Cell,
    Comment,
    Crop,
    Field,
    Identity,
    Image,
    Job,
    LearningCell,
    LearningSet,
    Login,
    Reading,
    Report,
    Sample,
    Token,
    User,
)

KINDS = ("sqlite", "postgresql")
IMAGES = (b"first field", b"second field", b"")
BUNDLE = b"a bundle"
MakeDatabase = Callable[[str], Database]


@pytest.fixture
def url_of(new_url: Callable[..., str]) -> Callable[[str], str]:
    """URL of a new, empty database of a kind."""
    return new_url


@pytest.fixture
def empty(url_of: Callable[[str], str]) -> Iterator[MakeDatabase]:
    """Makes databases without tables."""
    made: list[Database] = []

    def make(kind: str) -> Database:
        made.append(Database(url_of(kind)))
        return made[-1]

    yield make
    for database in made:
        database.close()


@pytest.fixture
def migrated(new_url: Callable[..., str], originals: Callable[[str], str]) -> Iterator[MakeDatabase]:
    """Makes databases with tables and no rows."""
    made: list[Database] = []

    def make(kind: str) -> Database:
        made.append(Database(new_url(kind, originals(kind))))
        return made[-1]

    yield make
    for database in made:
        database.close()


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, migrated: MakeDatabase) -> Database:
    """A database with tables, once of each kind."""
    return migrated(request.param)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "server")


def fill(database: Database, files: Files, folder: Path) -> None:
    """At least one row in every table, with values that are easily lost on the way."""
    (folder / "mine.leukolens").write_bytes(BUNDLE)
    bundle = files.put_bundle(folder / "mine.leukolens")
    with database.writing() as session:
        session.add(BundleFile(sha256=bundle, name="drawn", active=True))
        ann = User(id=41, name="ann", full_name="Änn Ø 血", role="reviewer", password_hash="$argon2id$x")
        session.add(ann)
        session.flush()
        session.add(Login(token_hash="1" * 64, user_id=41, expires=now()))
        session.add(Attempt(key="ann"))
        session.add(Token(user_id=41, name="robot", token_hash="2" * 64, scopes=["samples:read"]))
        sample = Sample(id=7, key="3F7KQ2AB", bundle_sha256=bundle, white_count=0.1 + 0.2, created_by=41)
        session.add(sample)
        session.flush()
        session.add(Identity(sample_id=7, identifier='O\'Neil; "x"\n\t\\u0041', notes="\u2028 ½"))
        session.add(Comment(sample_id=7, finding="rouleaux", grade="2"))
        session.add(Reading(sample_id=7, turn=1, user_id=41))
        for place, content in enumerate(IMAGES, 1):
            kept = files.put(BytesIO(content), 100)
            session.add(Image(sha256=kept.sha256, bytes=kept.bytes))
            session.flush()
            session.add(Field(id=place, sample_id=7, place=place, image_sha256=kept.sha256, read_at=now()))
        session.flush()
        session.add(
            Cell(
                id=900, sample_id=7, field_id=1, x0=-3, y0=0, x1=5, y1=9, machine_class="monocyte",
                probability=1 / 3, probabilities={"monocyte": 1 / 3, "other": 5e-324}, decision="accept",
                class_set=["monocyte"], distance=1e300, blind=True,
            )
        )  # fmt: skip
        session.add(Cell(id=901, sample_id=7, field_id=1, x0=0, y0=0, x1=5, y1=9, drawn_by=41))
        session.flush()
        session.add(Crop(cell_id=900, jpeg=bytes(range(256)) * 3))
        session.add(Answer(cell_id=900, turn=1, label="blast", user_id=41, blind=True))
        session.add(BlindAnswer(cell_id=900, turn=1, label="blast", user_id=41))
        session.add(Act(sample_id=7, user_id=41, kind="label", changes=[[900, None, "blast"]]))
        session.add(Job(kind="read", sample_id=7, field_id=1, request={}, result=None, problem="it\nbroke"))
        session.add(Job(id=31, kind="adapt", state="done", request={"adaptation": 9}, result={"kept": True}))
        session.add(LearningSet(id=3, made_by=41, signed_only=True, left_out={"unsure": 2}))
        session.flush()
        session.add(
            LearningCell(
                set_id=3, cell_id=900, sample_id=7, image_sha256=kept.sha256, label="blast", grouped=True
            )
        )
        session.add(
            Adaptation(
                id=9, set_id=3, parent_sha256=bundle, fine_tune=False, asked_by=41, job_id=31,
                progress={"stage": "learning"}, grouped_by="field", bundle_sha256=bundle,
                document={"accuracy": None, "classes": [0.1 + 0.2]}, refusal="it\nbroke",
            )
        )  # fmt: skip
        session.add(Activation(user_id=41, bundle_sha256=bundle))
        actor = Actor(41, "ann", "reviewer")
        trail.append(session, actor, "label", "cell 900", after={"label": "blast", "p": 1e16})
        signed = trail.append(session, actor, "sign", "sample 3F7KQ2AB")
        session.add(
            Report(
                sample_id=7, version=1, status="final", signed_by=41, signed_at=now(), trail_hash=signed.hash,
                document={"cells": [1, 2.5, None, "é"]},
            )
        )  # fmt: skip


@pytest.fixture
def full(migrated: MakeDatabase, files: Files, tmp_path: Path) -> MakeDatabase:
    """Makes databases with rows, whose files are in ``files``."""

    def make(kind: str) -> Database:
        database = migrated(kind)
        fill(database, files, tmp_path)
        return database

    return make


@pytest.fixture
def other_files(tmp_path: Path) -> Files:
    """Of the server that a backup is restored to."""
    return Files(tmp_path / "other")


@pytest.fixture
def made(full: MakeDatabase, files: Files, tmp_path: Path) -> Path:
    """A backup of SQLite."""
    backup(full("sqlite"), files, tmp_path / "made.backup")
    return tmp_path / "made.backup"


@pytest.fixture
def content() -> Callable[[Database], dict[str, list[Any]]]:
    """Looks at every row of every table."""

    def look(database: Database) -> dict[str, list[Any]]:
        with database.engine.connect() as connection:
            return {
                table.name: [
                    tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))
                ]
                for table in Base.metadata.sorted_tables
            }

    return look


@pytest.fixture
def images() -> tuple[bytes, ...]:
    """The images of `full`."""
    return IMAGES


@pytest.fixture
def bundle() -> bytes:
    """The bundle of `full`."""
    return BUNDLE
