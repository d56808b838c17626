"""A cell that a person drew gets its picture, as the other cells have theirs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from leukolens.imaging.decode import decode
from leukolens.imaging.framing import Box
from leukolens.report.page_pictures import CLOSE_CROP_SIDE
from leukolens.report.page_pictures import crop as cut
from leukolens.server.intake import samples
from leukolens.server.jobs import queue, worker
from leukolens.server.jobs.answers import Picture, ReadingFailedError
from leukolens.server.jobs.bench import Bench
from leukolens.server.jobs.cropping import crop
from leukolens.server.jobs.reading_client import ReadingClient
from leukolens.server.jobs.writing import ANOTHER_FILE
from leukolens.server.review import labels
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Act, Cell, Crop, Field, Job

JPEG = b"\xff\xd8\xff\xe0 and so on"
MIDDLE = Box(100, 80, 150, 128)
Draw = Callable[..., int]


@pytest.fixture
def draw(database: Database, people: SimpleNamespace, key: str, send: Any, smears: tuple[bytes, ...]) -> Draw:
    """Draws a cell in the sample's first field, which was read and had none; gives its id."""
    send(smears[:1])
    with database.writing() as session:
        field = session.scalars(select(Field)).one()
        field.state, field.width, field.height = "no_cell", 320, 240
        queue.finish(session, session.scalars(select(Job)).one())

    def drawing(box: Box = MIDDLE) -> int:
        with database.writing() as session:
            field = session.scalars(select(Field)).one()
            return labels.draw(session, people.reader, samples.find(session, key), field, box).id

    return drawing


@pytest.fixture
def do(database: Database, files: Files, settings: Settings) -> Callable[..., Job]:
    """Takes the next job that cuts out, does it with this reader, and gives what became of it."""

    def doing(reader: Any, before: Callable[[], None] = lambda: None) -> Job:
        with database.writing() as session:
            taken = queue.take(session, ("crop",))
        assert taken is not None
        before()
        crop(Bench(database, files, settings, reader), taken)
        return job_of(database, taken.id)

    return doing


def job_of(database: Database, job_id: int) -> Job:
    with database.reading() as session:
        job = session.get_one(Job, job_id)
        session.expunge(job)
    return job


def cell_of(database: Database, cell_id: int) -> tuple[bytes | None, bool]:
    """A cell's picture, and whether an edge cuts it."""
    with database.reading() as session:
        picture = session.get(Crop, cell_id)
        at_edge = session.get_one(Cell, cell_id).at_edge
    return None if picture is None else picture.jpeg, at_edge


def saying(digest: str, *, at_edge: bool = False, then: Callable[[], None] = lambda: None) -> SimpleNamespace:
    """A reader that cuts everything out alike; meanwhile something else happens."""

    def cut_out(image: Path, box: Box) -> Picture:
        then()
        return Picture(JPEG, at_edge, digest)

    return SimpleNamespace(cut_out=cut_out)


def failing(problem: str) -> SimpleNamespace:
    def cut_out(image: Path, box: Box) -> Picture:
        raise ReadingFailedError(problem, "Read it again")

    return SimpleNamespace(cut_out=cut_out)


def never(image: Path, box: Box) -> Picture:
    raise AssertionError("it was cut out for nobody")


NEVER = SimpleNamespace(cut_out=never)


@pytest.fixture
def image(draw: Draw, database: Database) -> str:
    with database.reading() as session:
        return session.scalars(select(Field.image_sha256)).one()


def test_a_picture_is_kept_and_the_job_done(
    database: Database, draw: Draw, image: str, do: Callable[..., Job]
) -> None:
    cell = draw()
    job = do(saying(image))
    assert (job.state, job.result) == ("done", {"pictures": 1})
    assert cell_of(database, cell) == (JPEG, False)


@pytest.mark.parametrize(
    ("box", "found", "at_edge"),
    [(MIDDLE, True, True), (Box(0, 80, 40, 120), False, True), (MIDDLE, False, False)],
)
def test_a_cell_is_at_the_edge_where_its_box_or_the_image_says_so(
    database: Database,
    draw: Draw,
    image: str,
    do: Callable[..., Job],
    box: Box,
    found: bool,
    at_edge: bool,
) -> None:
    cell = draw(box)
    do(saying(image, at_edge=found))
    assert cell_of(database, cell) == (JPEG, at_edge)


def test_a_signed_sample_is_counted_as_it_was_signed(
    database: Database, draw: Draw, image: str, key: str, do: Callable[..., Job]
) -> None:
    cell = draw()
    with database.writing() as session:
        samples.find(session, key).state = "signed"
    assert do(saying(image, at_edge=True)).state == "done"
    assert cell_of(database, cell) == (JPEG, False)


def test_a_cell_that_was_struck_out_or_taken_back_is_passed_over(
    database: Database, draw: Draw, people: SimpleNamespace, key: str, do: Callable[..., Job]
) -> None:
    struck, _ = draw(), draw()
    with database.writing() as session:
        sample = samples.find(session, key)
        labels.undo(session, people.reader, sample)
        labels.strike(session, people.reader, sample, [struck])
    for _ in range(2):
        job = do(NEVER)
        assert (job.state, job.result) == ("done", {"pictures": 0})
    with database.reading() as session:
        assert session.scalars(select(Crop)).all() == []


def test_a_cell_that_is_struck_out_while_it_is_cut_out_gets_no_picture(
    database: Database, draw: Draw, image: str, people: SimpleNamespace, key: str, do: Callable[..., Job]
) -> None:
    cell = draw()

    def strike() -> None:
        with database.writing() as session:
            labels.strike(session, people.reader, samples.find(session, key), [cell])

    assert do(saying(image, at_edge=True, then=strike)).result == {"pictures": 0}
    assert cell_of(database, cell) == (None, False)


@pytest.mark.parametrize("when", ["before", "then"])
def test_nothing_is_kept_of_a_sample_that_was_deleted_meanwhile(
    database: Database,
    draw: Draw,
    image: str,
    people: SimpleNamespace,
    key: str,
    do: Callable[..., Job],
    when: str,
) -> None:
    cell = draw()

    def delete() -> None:
        with database.writing() as session:
            samples.delete(session, people.reviewer, samples.find(session, key), "kept long enough")

    job = do(NEVER, delete) if when == "before" else do(saying(image, then=delete))
    assert (job.state, job.problem) == ("failed", "the sample was deleted")
    assert cell_of(database, cell) == (None, False)


def test_a_cell_that_has_its_picture_keeps_it(
    database: Database, draw: Draw, image: str, key: str, do: Callable[..., Job]
) -> None:
    cell = draw()
    do(saying(image))
    with database.writing() as session:
        queue.enqueue(session, "crop", sample_id=samples.find(session, key).id, request={"cell": cell})
    assert do(NEVER).result == {"pictures": 0}
    assert cell_of(database, cell) == (JPEG, False)


@pytest.mark.parametrize(
    ("reader", "problem"),
    [(failing("there is no such file"), "there is no such file"), (saying("f" * 64), ANOTHER_FILE)],
    ids=["gone", "another image"],
)
def test_a_cell_that_cannot_be_cut_out_fails_in_words_and_its_field_does_not(
    database: Database, draw: Draw, key: str, do: Callable[..., Job], reader: Any, problem: str
) -> None:
    cell = draw()
    job = do(reader)
    assert (job.state, job.problem) == ("failed", problem)
    assert cell_of(database, cell) == (None, False)
    with database.reading() as session:
        assert session.scalars(select(Field.state)).one() == "no_cell"


def test_progress_counts_fields_alone(database: Database, draw: Draw, key: str) -> None:
    draw()
    with database.writing() as session:
        assert queue.take(session, ("crop",)) is not None
    with database.reading() as session:
        assert queue.progress(session, samples.find(session, key)) == queue.Progress(0, 0, 1, 0)


def states(database: Database) -> Sequence[str]:
    with database.reading() as session:
        return session.scalars(select(Job.state).where(Job.kind == "crop").order_by(Job.id)).all()


def test_a_drawn_cell_gets_its_picture_from_the_worker_once_it_is_woken(
    database: Database,
    files: Files,
    settings: Settings,
    draw: Draw,
    smears: tuple[bytes, ...],
    until: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "LOOK_EVERY", 600.0)
    running = worker.Worker(database, files, settings)
    running.start()
    try:
        cell = draw()
        running.wake()
        until(lambda: states(database) == ["done"])
        missing = draw(Box(10, 10, 60, 60))
        files.remove(next(iter(files.all())))
        running.wake()
        until(lambda: states(database) == ["done", "failed"])
    finally:
        running.stop()
    assert cell_of(database, cell) == (cut(decode(smears[0]), MIDDLE, CLOSE_CROP_SIDE), False)
    assert cell_of(database, missing) == (None, False)
    with database.reading() as session:
        assert len(session.scalars(select(Act)).all()) == 2
        failed = session.scalars(select(Job.problem).where(Job.state == "failed")).one()
    assert failed == "there is no such file"


def test_cutting_out_is_tried_three_times_where_the_process_cannot_begin(
    database: Database,
    files: Files,
    settings: Settings,
    draw: Draw,
    until: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "LOOK_EVERY", 0.01)
    draw()
    reader = ReadingClient(settings.limits, (sys.executable, "-c", "raise SystemExit(3)"))
    running = worker.Worker(database, files, settings, reader=reader)
    running.start()
    try:
        until(lambda: states(database) == ["failed"])
    finally:
        running.stop()
    with database.reading() as session:
        job = session.scalars(select(Job).where(Job.kind == "crop")).one()
        assert job.attempts == 3
        assert "cannot be started (exit status 3)" in (job.problem or "")


def test_a_cell_that_comes_back_is_cut_out_then(
    database: Database, draw: Draw, image: str, people: SimpleNamespace, key: str, do: Callable[..., Job]
) -> None:
    draw()
    for act, reader, pictures in ((labels.undo, NEVER, 0), (labels.redo, saying(image), 1)):
        with database.writing() as session:
            act(session, people.reader, samples.find(session, key))
        assert do(reader).result == {"pictures": pictures}
