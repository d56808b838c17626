"""Whoever ends a sample's jobs and whoever writes what they made take their locks in the same order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import select, text

from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, FieldReading
from leukolens.server.actor import Actor
from leukolens.server.intake import samples
from leukolens.server.jobs import queue
from leukolens.server.jobs.answers import Answer
from leukolens.server.jobs.writing import write
from leukolens.server.store.database import Database
from leukolens.server.store.tables import Crop, Field, Job, Sample

KEY = "3F7KQ2AB"
REVIEWER = Actor(41, "ann", "reviewer")


def running_job(database: Database) -> tuple[int, Answer]:
    """A job that reads the sample's first field, and what it found there."""
    with database.writing() as session:
        field = session.get_one(Field, 1)
        job = session.scalars(select(Job).where(Job.kind == "read")).one()
        job.state = "running"
        cells = (Cell(Box(1, 2, 30, 40), {"neutrophil": 1.0}, "accept", ""),)
        reading = FieldReading(Path("x"), "ok", None, field.image_sha256, 100, 80, cells)
        bundle = session.scalars(select(Sample.bundle_sha256)).one()
        return job.id, Answer(reading, (b"\xff\xd8\xff",), "engine", "1", bundle)


def someone_waits(database: Database) -> bool:
    with database.engine.connect() as connection:
        return bool(connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


def test_a_sample_is_deleted_while_what_was_read_of_it_is_written(full: Callable[[str], Database]) -> None:
    database = full("postgresql")
    number, answer = running_job(database)
    deleting = threading.Event()

    def write_it() -> bool:
        assert deleting.wait(30)
        with database.writing() as session:
            return write(session, number, answer)

    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            sample = session.scalars(select(Sample).where(Sample.key == KEY).with_for_update()).one()
            written = pool.submit(write_it)
            deleting.set()
            end = time.monotonic() + 30
            while not someone_waits(database):
                assert time.monotonic() < end, "it did not wait for the sample"
                time.sleep(0.01)
            samples.delete(session, REVIEWER, sample, "kept long enough")
        assert written.result(30) is False
    with database.reading() as session:
        assert session.scalars(select(Crop)).all() == []
        assert session.get_one(Job, number).problem == "the sample was deleted"
        assert queue.progress(session, session.get_one(Sample, 7)).running == 0
