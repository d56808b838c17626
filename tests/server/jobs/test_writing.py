from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, FieldReading
from leukolens.server.intake import samples
from leukolens.server.jobs import queue
from leukolens.server.jobs.answers import Answer
from leukolens.server.jobs.writing import ANOTHER_FILE, write
from leukolens.server.store import tables
from leukolens.server.store.database import Database

DIGEST, BUNDLE = "a" * 64, "b" * 64
CELLS = (
    Cell(
        Box(1, 2, 30, 40),
        {"neutrophil": 0.75, "monocyte": 0.25},
        "accept",
        "",
        True,
        0.9,
        1.5,
        ("neutrophil",),
    ),
    Cell(Box(50, 2, 70, 40), {"neutrophil": 0.4, "monocyte": 0.6}, "review", "probability 0.60 is low"),
)
ANSWER = Answer(
    FieldReading(Path("x"), "ok", None, DIGEST, 100, 80, CELLS, 7, 2, 6.5),
    (b"\xff\xd8\xff1", b"\xff\xd8\xff2"),
    "onnxruntime 1.2",
    "0.1.0",
    BUNDLE,
)


@pytest.fixture
def job(database: Database, people: SimpleNamespace) -> int:
    """A running job that reads the only field of a sample."""
    with database.writing() as session:
        sample = samples.create(session, people.reader, identifier="P-1")
        session.add(tables.Image(sha256=DIGEST, bytes=1))
        session.flush()
        field = tables.Field(sample_id=sample.id, image_sha256=DIGEST, place=1)
        session.add(field)
        session.flush()
        queue.enqueue(session, "read", sample_id=sample.id, field_id=field.id)
        taken = queue.take(session, ("read",))
        assert taken is not None
        return taken.id


def written(database: Database, job: int, answer: Answer = ANSWER) -> bool:
    with database.writing() as session:
        return write(session, job, answer)


def test_a_reading_is_written_whole(database: Database, job: int) -> None:
    assert written(database, job)
    with database.reading() as session:
        field = session.scalars(select(tables.Field)).one()
        first, second = session.scalars(select(tables.Cell).order_by(tables.Cell.id))
        assert (field.state, field.reason, field.width, field.height) == ("ok", None, 100, 80)
        assert (field.red_cells, field.platelets, field.pixels_per_micrometre) == (7, 2, 6.5)
        assert (field.bundle_sha256, field.engine) == (BUNDLE, "onnxruntime 1.2")
        assert field.read_at is not None
        assert (first.x0, first.y0, first.x1, first.y1, first.at_edge) == (1, 2, 30, 40, True)
        assert (first.machine_class, first.probability) == ("neutrophil", 0.75)
        assert first.probabilities == {"neutrophil": 0.75, "monocyte": 0.25}
        assert (first.decision, first.score, first.distance, first.class_set) == (
            "accept",
            0.9,
            1.5,
            ["neutrophil"],
        )
        assert (second.machine_class, second.decision) == ("monocyte", "review")
        assert second.reason == "probability 0.60 is low"
        assert second.drawn_by is None
        assert [session.get_one(tables.Crop, cell.id).jpeg for cell in (first, second)] == list(ANSWER.crops)
        done = session.get_one(tables.Job, job)
        assert (done.state, done.result) == (
            "done",
            {"cells": 2, "engine": "onnxruntime 1.2", "leukolens": "0.1.0"},
        )


@pytest.mark.parametrize(("share", "blind"), [(0.0, [False, False]), (1.0, [False, True])])
def test_a_share_of_the_cells_that_no_edge_cuts_is_to_be_named_blind(
    database: Database, job: int, share: float, blind: list[bool]
) -> None:
    with database.writing() as session:
        assert write(session, job, ANSWER, blind=share)
    with database.reading() as session:
        assert session.scalars(select(tables.Cell.blind).order_by(tables.Cell.id)).all() == blind


def test_a_field_that_was_read_is_not_written_twice(database: Database, job: int) -> None:
    assert written(database, job)
    assert not written(database, job)
    with database.writing() as session:
        session.get_one(tables.Job, job).state = "running"
    assert not written(database, job)
    with database.reading() as session:
        assert len(session.scalars(select(tables.Cell)).all()) == 2
        assert session.get_one(tables.Job, job).state == "done"


def test_a_failed_reading_has_its_reason_and_no_cells(database: Database, job: int) -> None:
    failed = FieldReading(Path("x"), "failed", "is truncated\0 or damaged", DIGEST, 0, 0)
    assert written(database, job, replace(ANSWER, field=failed, crops=()))
    with database.reading() as session:
        field = session.scalars(select(tables.Field)).one()
        assert (field.state, field.reason) == ("failed", "is truncated\\x00 or damaged")
        assert session.scalars(select(tables.Cell)).all() == []


def test_an_image_that_changed_on_the_disk_fails(database: Database, job: int) -> None:
    other = replace(ANSWER.field, sha256="f" * 64)
    assert written(database, job, replace(ANSWER, field=other))
    with database.reading() as session:
        field = session.scalars(select(tables.Field)).one()
        assert (field.state, field.reason) == ("failed", ANOTHER_FILE)
        assert session.scalars(select(tables.Cell)).all() == []


def test_nothing_is_written_to_a_sample_that_was_deleted_while_it_was_read(
    database: Database, job: int, people: SimpleNamespace
) -> None:
    with database.writing() as session:
        sample = session.scalars(select(tables.Sample)).one()
        samples.delete(session, people.reviewer, sample, "wrong patient")
    assert not written(database, job)
    with database.reading() as session:
        assert session.scalars(select(tables.Crop)).all() == []
        assert session.get_one(tables.Job, job).problem == "the sample was deleted"
