"""Server and reading process ended with SIGKILL at any moment: nothing acknowledged is lost or read twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select

from leukolens.imaging.decode import decode
from leukolens.imaging.framing import Box
from leukolens.reading.fields import FieldReader
from leukolens.report.page_pictures import CLOSE_CROP_SIDE
from leukolens.report.page_pictures import crop as cut
from leukolens.server.intake import samples
from leukolens.server.jobs import queue
from leukolens.server.jobs.worker import Worker
from leukolens.server.review import labels
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Cell, Crop, Field, Image, Job

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")

Fields = Callable[[], list[Field]]
Until = Callable[[Callable[[], bool]], None]
TIMES = [*range(2), *(pytest.param(number, marks=pytest.mark.slow) for number in range(2, 20))]

BEGIN = """
import sys
from pathlib import Path
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
folder, url = Path(sys.argv[1]), sys.argv[2]
settings = Settings(folder, url)
database, files = Database(url), Files(folder)
"""
SERVE = (
    BEGIN
    + """
from leukolens.server.jobs.worker import Worker
worker = Worker(database, files, settings)
worker.start()
print("started", flush=True)
sys.stdin.read()
worker.stop()
"""
)
UPLOAD = (
    BEGIN
    + """
from io import BytesIO
import hashlib
from leukolens.server.actor import SERVER
from leukolens.server.intake.uploads import Upload, receive
for number in range(4000):
    content = bytes([0xff, 0xd8, 0xff]) + str(number).encode() * 5000
    received = receive(database, files, SERVER, sys.argv[3], [Upload("", BytesIO(content))], settings.limits)
    assert received.taken == 1, received
    print(hashlib.sha256(content).hexdigest(), flush=True)
"""
)


@pytest.fixture
def started(database: Database, settings: Settings) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a program beside this one; none outlives the test."""
    running: list[subprocess.Popen[str]] = []

    def start(code: str, *more: str) -> subprocess.Popen[str]:
        url = database.engine.url.render_as_string(hide_password=False)
        running.append(
            subprocess.Popen(
                [sys.executable, "-c", code, str(settings.folder), url, *more],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def children(pid: int) -> list[int]:
    """The processes that a process began, where the system tells."""
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(number) for number in listed.read_text().split()]
    return found


def check_nothing_half_done(database: Database) -> None:
    """Every field waits without a cell, or is complete with its job done."""
    with database.reading() as session:
        cells: dict[int, int] = dict(
            session.execute(select(Cell.field_id, func.count()).group_by(Cell.field_id)).all()  # type: ignore[arg-type]
        )
        crops: dict[int, int] = dict(
            session.execute(  # type: ignore[arg-type]
                select(Cell.field_id, func.count()).join(Crop).group_by(Cell.field_id)
            ).all()
        )
        jobs = {job.field_id: job for job in session.scalars(select(Job))}
        for field in session.scalars(select(Field)):
            job = jobs[field.id]
            if field.state == "waiting":
                assert job.state in {"waiting", "running"}
                assert cells.get(field.id, 0) == 0
            else:
                assert job.state == "done"
                assert job.result is not None
                assert cells.get(field.id, 0) == crops.get(field.id, 0) == job.result["cells"]


@pytest.mark.parametrize("number", TIMES)
def test_a_server_killed_while_it_reads_has_read_every_field_once_after_its_next_start(
    database: Database,
    settings: Settings,
    started: Callable[..., subprocess.Popen[str]],
    send: Any,
    smears: tuple[bytes, ...],
    fields: Fields,
    until: Until,
    tmp_path: Path,
    number: int,
) -> None:
    send(smears)
    chance = random.Random(number)
    server = started(SERVE)
    assert server.stdout is not None
    assert server.stdout.readline() == "started\n"
    # Some are killed before the first field, most between and amid them.
    wanted = chance.randrange(len(smears) - 2) if number % 4 else 0
    until(lambda: sum(field.state != "waiting" for field in fields()) >= wanted)
    time.sleep(chance.uniform(0, 0.4))
    readers = children(server.pid)
    server.send_signal(signal.SIGKILL)
    server.wait()
    check_nothing_half_done(database)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in readers))

    again = started(SERVE)
    until(lambda: all(field.state != "waiting" for field in fields()))
    check_nothing_half_done(database)
    again.communicate("")
    assert again.returncode == 0
    with database.reading() as session:
        found = [
            session.scalars(select(Cell).where(Cell.field_id == field.id).order_by(Cell.id)).all()
            for field in session.scalars(select(Field).order_by(Field.id))
        ]
        boxes = [[(cell.x0, cell.y0, cell.x1, cell.y1) for cell in cells] for cells in found]
    assert boxes == expected_boxes(smears, tmp_path)


def expected_boxes(smears: tuple[bytes, ...], folder: Path) -> list[list[tuple[int, int, int, int]]]:
    reader, boxes = FieldReader(None, threads=1), []
    for content in smears:
        path = folder / "smear"
        path.write_bytes(content)
        cells = reader.read_one(path).cells
        boxes.append([(cell.box.x0, cell.box.y0, cell.box.x1, cell.box.y1) for cell in cells])
    return boxes


@pytest.mark.parametrize("number", TIMES)
def test_a_reading_process_killed_at_any_moment_costs_no_field(
    database: Database,
    files: Files,
    settings: Settings,
    send: Any,
    smears: tuple[bytes, ...],
    fields: Fields,
    until: Until,
    number: int,
) -> None:
    send(smears)
    chance = random.Random(number)
    worker = Worker(database, files, settings)
    worker.start()
    try:
        reader = worker._bench.reader
        until(lambda: reader._process is not None)
        read = chance.randrange(len(smears) - 2)
        until(lambda: sum(field.state != "waiting" for field in fields()) > read)
        time.sleep(chance.uniform(0, 0.2))
        if (process := reader._process) is not None:
            os.kill(process.pid, signal.SIGKILL)
        until(lambda: all(field.state != "waiting" for field in fields()))
    finally:
        worker.stop()
    assert {field.state for field in fields()} == {"ok"}
    check_nothing_half_done(database)


@pytest.mark.parametrize("number", TIMES)
def test_a_server_killed_while_it_cuts_out_drawn_cells_has_every_picture_once_after_its_next_start(
    database: Database,
    started: Callable[..., subprocess.Popen[str]],
    people: SimpleNamespace,
    key: str,
    send: Any,
    smears: tuple[bytes, ...],
    until: Until,
    number: int,
) -> None:
    send(smears)
    box = Box(100, 80, 150, 128)
    with database.writing() as session:
        for job in session.scalars(select(Job)):
            queue.finish(session, job)
        for field in session.scalars(select(Field).order_by(Field.id)):
            field.state, field.width, field.height = "no_cell", 320, 240
            labels.draw(session, people.reader, samples.find(session, key), field, box)

    def pictures() -> list[bytes]:
        """Of cells whose job is done; no other cell has one."""
        with database.reading() as session:
            jobs = {
                job.request["cell"]: job for job in session.scalars(select(Job).where(Job.kind == "crop"))
            }
            found = {crop.cell_id: crop.jpeg for crop in session.scalars(select(Crop).order_by(Crop.cell_id))}
        assert set(found) == {cell for cell, job in jobs.items() if job.state == "done"}
        assert {job.state for job in jobs.values()} <= {"waiting", "running", "done"}
        return list(found.values())

    chance = random.Random(number)
    server = started(SERVE)
    wanted = chance.randrange(len(smears) - 2) if number % 4 else 0
    until(lambda: len(pictures()) >= wanted)
    time.sleep(chance.uniform(0, 0.1))
    server.send_signal(signal.SIGKILL)
    server.wait()
    pictures()

    again = started(SERVE)
    until(lambda: len(pictures()) == len(smears))
    again.communicate("")
    assert again.returncode == 0
    assert pictures() == [cut(decode(content), box, CLOSE_CROP_SIDE) for content in smears]


@pytest.mark.parametrize("number", TIMES)
def test_a_server_killed_while_images_arrive_has_every_one_that_it_said_to_have_taken(
    database: Database,
    files: Files,
    started: Callable[..., subprocess.Popen[str]],
    fields: Fields,
    key: str,
    number: int,
) -> None:
    server = started(UPLOAD, key)
    assert server.stdout is not None
    first = server.stdout.readline()
    time.sleep(random.Random(number).uniform(0, 1))
    server.send_signal(signal.SIGKILL)
    # A line that was cut off was no answer.
    acknowledged = [
        line.strip() for line in (first + server.stdout.read()).splitlines(keepends=True) if line[-1] == "\n"
    ]
    assert len(acknowledged) >= 1
    kept = {field.image_sha256: field for field in fields()}
    assert set(acknowledged) <= set(kept)
    assert len(kept) <= len(acknowledged) + 1
    with database.reading() as session:
        waiting = set(session.scalars(select(Job.field_id).where(Job.state == "waiting")))
        assert waiting == {field.id for field in kept.values()}
        assert set(session.scalars(select(Image.sha256))) == set(kept)
    for digest in kept:
        files.verify(digest)
    assert [field.place for field in fields()] == list(range(1, len(kept) + 1))
