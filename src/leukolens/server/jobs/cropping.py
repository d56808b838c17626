"""The job ``crop``: a cell that a person drew gets its picture, cut out by the other process."""

from __future__ import annotations

from sqlalchemy.orm import Session

from leukolens.imaging.framing import Box
from leukolens.server.jobs import queue
from leukolens.server.jobs.answers import Picture, ReadingFailedError
from leukolens.server.jobs.bench import Bench
from leukolens.server.jobs.writing import ANOTHER_FILE, running
from leukolens.server.store.tables import Cell, Crop, Field, Job, Sample


def crop(bench: Bench, job: Job) -> None:
    """Cuts out the cell that a job's request names, ``{"cell": id}``; one that is not there any more is passed over."""
    with bench.database.reading() as session:
        cell = _wanted(session, job)
        place = None if cell is None else _place(session, cell)
    if place is None:
        bench.keep(lambda session: _end(session, job, None))
        return
    image, box = place
    try:
        picture = bench.reader.cut_out(bench.files.path(image), box)
        if picture.image_sha256 != image:
            raise ReadingFailedError(ANOTHER_FILE, "Restore it from a backup")
    except ReadingFailedError as error:
        problem = error.problem
        bench.keep(lambda session: _fail(session, job, problem))
        return
    bench.keep(lambda session: _end(session, job, picture))


def _end(session: Session, job: Job, picture: Picture | None) -> None:
    """Keeps the picture where the cell still wants one, and that the job is done."""
    sample, ongoing = running(session, job.id)
    if sample is None or ongoing is None:
        return
    cell = _wanted(session, ongoing)
    if cell is not None and picture is not None:
        session.add(Crop(cell_id=cell.id, jpeg=picture.jpeg))
        # What was signed is counted as it was.
        if sample.state == "open":
            cell.at_edge = cell.at_edge or picture.at_edge
    queue.finish(session, ongoing, {"pictures": int(cell is not None and picture is not None)})


def _fail(session: Session, job: Job, problem: str) -> None:
    _, ongoing = running(session, job.id)
    if ongoing is not None:
        queue.fail(session, ongoing, problem)


def _place(session: Session, cell: Cell) -> tuple[str, Box]:
    """In which image a cell lies, and where."""
    image = session.get_one(Field, cell.field_id).image_sha256
    return image, Box(cell.x0, cell.y0, cell.x1, cell.y1)


def _wanted(session: Session, job: Job) -> Cell | None:
    """The job's cell, where it is neither struck out nor of a deleted sample, and has no picture yet."""
    cell = session.get(Cell, job.request["cell"])
    if cell is None or cell.deleted or session.get(Crop, cell.id) is not None:
        return None
    return cell if session.get_one(Sample, cell.sample_id).deleted is None else None
