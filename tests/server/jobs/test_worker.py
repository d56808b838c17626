from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from leukolens.errors import ServerError
from leukolens.server.intake import samples
from leukolens.server.intake.uploads import Upload, receive
from leukolens.server.jobs import queue, worker
from leukolens.server.jobs.bench import Bench
from leukolens.server.jobs.reading_client import ReadingClient
from leukolens.server.jobs.worker import KINDS, Worker
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Cell, Crop, Field, Job
from leukolens.server.store.views import Views

Fields = Callable[[], list[Field]]
Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def begun(database: Database, files: Files, settings: Settings, key: str) -> Iterator[Callable[..., Worker]]:
    """Starts workers, and stops them at the end."""
    workers: list[Worker] = []

    def begin(settings: Settings = settings, **other: Any) -> Worker:
        workers.append(Worker(database, files, settings, **other))
        workers[-1].start()
        return workers[-1]

    yield begin
    for one in workers:
        one.stop()


def ended(fields: Fields) -> Callable[[], bool]:
    return lambda: bool(fields()) and all(field.state != "waiting" for field in fields())


def count(database: Database, kind: type[Any]) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(kind)) or 0


def jobs(database: Database) -> list[tuple[str, str]]:
    with database.reading() as session:
        return [(job.kind, job.state) for job in session.scalars(select(Job).order_by(Job.id))]


def test_what_is_sent_is_read_and_its_cells_have_pictures(
    database: Database,
    begun: Callable[..., Worker],
    send: Any,
    smears: tuple[bytes, ...],
    fields: Fields,
    until: Until,
    key: str,
) -> None:
    running = begun()
    send([*smears[:3], b"\xff\xd8\xff no JPEG"])
    running.wake()
    until(ended(fields))
    assert [field.state for field in fields()] == ["ok", "ok", "ok", "failed"]
    assert "makes no sense" in (fields()[-1].reason or "")
    assert count(database, Cell) == count(database, Crop) >= 4
    assert jobs(database) == [("read", "done")] * 4
    with database.reading() as session:
        sample = samples.find(session, key)
        assert {field.bundle_sha256 for field in fields()[:3]} == {sample.bundle_sha256}
        assert queue.progress(session, sample) == queue.Progress(0, 0, 3, 1)


def test_a_stopped_worker_leaves_fields_waiting_and_another_one_reads_them(
    database: Database,
    begun: Callable[..., Worker],
    send: Any,
    smears: tuple[bytes, ...],
    fields: Fields,
    until: Until,
) -> None:
    send(smears[:6])
    first = begun()
    until(lambda: any(field.state == "ok" for field in fields()))
    first.stop()
    left = [field for field in fields() if field.state == "waiting"]
    assert {state for _, state in jobs(database)} <= {"waiting", "done"}
    begun()
    until(ended(fields))
    assert left
    assert {field.state for field in fields()} == {"ok"}
    with database.reading() as session:
        assert {job.attempts for job in session.scalars(select(Job))} == {1}
        per_job = {job.field_id: (job.result or {})["cells"] for job in session.scalars(select(Job))}
        by_field = select(Cell.field_id, func.count()).group_by(Cell.field_id)
        assert dict(session.execute(by_field).all()) == per_job  # type: ignore[arg-type]


def test_a_field_that_takes_too_long_fails_with_the_reason_and_the_next_one_is_read(
    database: Database,
    begun: Callable[..., Worker],
    settings: Settings,
    send: Any,
    smears: tuple[bytes, ...],
    fields: Fields,
    until: Until,
) -> None:
    code = (
        "import sys, json, time; print('{\"ready\": 1}', flush=True)\nfor line in sys.stdin: time.sleep(60)"
    )
    limits = replace(settings.limits, reading_seconds=0.3)
    send(smears[:2])
    begun(reader=ReadingClient(limits, (sys.executable, "-c", code)))
    until(ended(fields))
    assert [field.reason for field in fields()] == ["took longer than 0.3 seconds"] * 2
    assert jobs(database) == [("read", "failed")] * 2


def test_an_image_that_ends_the_process_twice_fails_alone(
    begun: Callable[..., Worker],
    send: Any,
    smears: tuple[bytes, ...],
    fields: Fields,
    until: Until,
    files: Files,
) -> None:
    """The real process, with a decoder that dies of one image."""
    code = (
        "import os, sys; from leukolens.server.jobs import reading_process as real\n"
        "read = real._read\n"
        "def dying(reader, image, pixels):\n"
        "    if image.stat().st_size == 24: os.abort()\n"
        "    return read(reader, image, pixels)\n"
        "real._read = dying\n"
        "sys.argv[1:] = ['--memory', str(2**32), '--pixels', '1000000', '--seconds', '60']\n"
        "real.main()"
    )
    reader = ReadingClient(Settings(files.folder).limits, (sys.executable, "-c", code))
    send([smears[0], b"\x89PNG\r\n\x1a\n" + b"\0" * 16, smears[1]])
    begun(reader=reader)
    until(ended(fields))
    assert [field.state for field in fields()] == ["ok", "failed", "ok"]
    assert fields()[1].reason == "ended the process that read it (SIGABRT)"
    assert reader.starts == 3


def test_a_process_that_cannot_begin_fails_fields_after_three_attempts_in_words(
    database: Database,
    begun: Callable[..., Worker],
    settings: Settings,
    send: Any,
    smears: tuple[bytes, ...],
    fields: Fields,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "LOOK_EVERY", 0.01)
    send(smears[:1])
    begun(reader=ReadingClient(settings.limits, (sys.executable, "-c", "raise SystemExit(3)")))
    until(ended(fields))
    assert "cannot be started (exit status 3)" in (fields()[0].reason or "")
    with database.reading() as session:
        assert [(job.state, job.attempts) for job in session.scalars(select(Job))] == [("failed", 3)]


def test_deleting_a_sample_removes_the_images_that_no_other_sample_uses(
    database: Database,
    begun: Callable[..., Worker],
    files: Files,
    settings: Settings,
    people: SimpleNamespace,
    send: Any,
    smears: tuple[bytes, ...],
    fields: Fields,
    until: Until,
    key: str,
) -> None:
    send(smears[:2])
    with database.writing() as session:
        other = samples.create(session, people.reader, identifier="P-2").key
    receive(database, files, people.reader, other, [Upload("", BytesIO(smears[1]))], settings.limits)
    running = begun()
    until(ended(fields))
    own, shared = fields()[0].image_sha256, fields()[1].image_sha256
    views = Views(files)
    for image in (own, shared):
        views.put(image, "view.jpg", b"a view")
    with database.writing() as session:
        samples.delete(session, people.reviewer, samples.find(session, key), "kept long enough")
    running.wake()
    until(lambda: jobs(database)[-1] == ("erase", "done"))
    assert list(files.all()) == views.all() == [shared]
    assert not files.path(own).exists()
    # Sent once more, to the other sample, it is there again.
    receive(database, files, people.reader, other, [Upload("", BytesIO(smears[0]))], settings.limits)
    assert files.path(own).read_bytes() == smears[0]


def test_other_kinds_of_work_can_be_given_to_it(
    database: Database, begun: Callable[..., Worker], until: Until
) -> None:
    def adapt(bench: Bench, job: Job) -> None:
        bench.keep(
            lambda session: queue.finish(session, session.get_one(Job, job.id), {"asked": job.request})
        )

    with database.writing() as session:
        queue.enqueue(session, "adapt", request={"cells": 40})
    begun(kinds={**KINDS, "adapt": adapt})
    until(lambda: jobs(database) == [("adapt", "done")])
    with database.reading() as session:
        assert session.scalars(select(Job)).one().result == {"asked": {"cells": 40}}


def test_a_kind_that_nobody_does_waits_and_holds_up_nothing(
    database: Database,
    begun: Callable[..., Worker],
    send: Any,
    smears: tuple[bytes, ...],
    fields: Fields,
    until: Until,
) -> None:
    with database.writing() as session:
        queue.enqueue(session, "unheard of")
    send(smears[:1])
    begun()
    until(ended(fields))
    assert jobs(database) == [("unheard of", "waiting"), ("read", "done")]


def test_work_that_goes_wrong_is_tried_three_times_and_the_thread_goes_on(
    database: Database, begun: Callable[..., Worker], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LOOK_EVERY", 0.01)
    done: list[int] = []

    def wrong(bench: Bench, job: Job) -> None:
        done.append(job.id)
        if job.request["how"] == "said":
            raise ServerError("the moon is full", "Wait")
        raise ZeroDivisionError

    with database.writing() as session:
        queue.enqueue(session, "wrong", request={"how": "said"})
        queue.enqueue(session, "wrong", request={"how": "unsaid"})
    begun(kinds={"wrong": wrong})
    until(lambda: jobs(database) == [("wrong", "failed")] * 2)
    assert done == [1, 1, 1, 2, 2, 2]
    with database.reading() as session:
        problems = [job.problem for job in session.scalars(select(Job).order_by(Job.id))]
    assert problems == ["the moon is full. Wait.", "ZeroDivisionError"]


def test_a_database_that_cannot_be_written_for_a_while_costs_no_attempt(
    database: Database,
    begun: Callable[..., Worker],
    send: Any,
    smears: tuple[bytes, ...],
    fields: Fields,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    full = threading.Event()
    full.set()

    def work(bench: Bench, job: Job) -> None:
        def change(session: Any) -> None:
            if full.is_set():
                raise OperationalError("INSERT", {}, Exception("database or disk is full"))
            queue.finish(session, session.get_one(Job, job.id))

        bench.keep(change)

    with database.writing() as session:
        queue.enqueue(session, "work")
    with caplog.at_level(logging.WARNING):
        begun(kinds={"work": work})
        until(lambda: "disk is full" in caplog.text)
    full.clear()
    until(lambda: jobs(database) == [("work", "done")])
    with database.reading() as session:
        assert session.scalars(select(Job)).one().attempts == 1
