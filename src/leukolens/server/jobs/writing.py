"""A field's reading into the tables: all of it at once, so that a field waits or is complete, whatever happens."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.reading.cell import Cell as FoundCell
from leukolens.server.jobs import queue
from leukolens.server.jobs.answers import Answer, words
from leukolens.server.review.blind import is_chosen
from leukolens.server.store.columns import now
from leukolens.server.store.tables import Cell, Crop, Field, Job, Sample

ANOTHER_FILE = "the stored image is damaged: it is not what was sent"


def write(session: Session, job_id: int, answer: Answer, *, blind: float = 0.0) -> bool:
    """Writes a field's cells and crops, and that its job is done.

    Args:
        session: In a writing transaction.
        job_id: Of a running job that reads the field.
        answer: What was read.
        blind: Share of the cells, from 0 to 1, that are to be named with the machine's answer hidden; those that the
            edge cuts are none of them, since they are not counted.

    Returns:
        Whether it was written; False where the job has been ended meanwhile, e.g. as its sample was deleted, or the
        field has been read already.
    """
    sample, job = running(session, job_id)
    if sample is None or job is None or job.field_id is None:
        return False
    field = session.get_one(Field, job.field_id, with_for_update=True)
    if sample.deleted is not None:
        queue.fail(session, job, "the sample was deleted")
        return False
    if field.state != "waiting":
        queue.finish(session, job)
        return False
    # A file that is gone has no digest at all, and its own reason.
    if answer.field.sha256 not in {"", field.image_sha256}:
        queue.fail(session, job, ANOTHER_FILE)
        return True
    _fill(field, answer)
    cells = [_cell(sample, field, cell, blind) for cell in answer.field.cells]
    session.add_all(cells)
    session.flush()
    session.add_all(Crop(cell_id=cell.id, jpeg=jpeg) for cell, jpeg in zip(cells, answer.crops, strict=True))
    result = {"cells": len(cells), "engine": answer.engine, "leukolens": answer.leukolens}
    queue.finish(session, job, result)
    return True


def running(session: Session, job_id: int) -> tuple[Sample | None, Job | None]:
    """A job's sample and the job, both locked; no job where it has been ended meanwhile.

    In this order: deleting a sample locks it before it ends its jobs, and PostgreSQL would let neither go on otherwise.
    """
    whose = session.scalar(select(Job.sample_id).where(Job.id == job_id))
    sample = (
        None if whose is None else session.get(Sample, whose, with_for_update=True, populate_existing=True)
    )
    found = session.get(Job, job_id, with_for_update=True, populate_existing=True)
    return sample, found if found is not None and found.state == "running" else None


def _fill(field: Field, answer: Answer) -> None:
    reading = answer.field
    field.state = reading.status
    field.reason = None if reading.reason is None else words(reading.reason)
    field.width, field.height = reading.width, reading.height
    field.red_cells, field.platelets = reading.red_cells, reading.platelets
    field.pixels_per_micrometre = reading.pixels_per_micrometre
    field.bundle_sha256, field.engine = answer.bundle_sha256, answer.engine
    field.read_at = now()


def _cell(sample: Sample, field: Field, cell: FoundCell, blind: float) -> Cell:
    return Cell(
        sample_id=field.sample_id,
        field_id=field.id,
        x0=cell.box.x0,
        y0=cell.box.y0,
        x1=cell.box.x1,
        y1=cell.box.y1,
        at_edge=cell.at_edge,
        score=cell.score,
        machine_class=cell.label,
        probability=cell.probabilities[cell.label],
        probabilities=dict(cell.probabilities),
        decision=cell.decision,
        reason=words(cell.reason),
        distance=cell.distance,
        class_set=None if cell.class_set is None else list(cell.class_set),
        blind=not cell.at_edge and is_chosen(sample.key, field.image_sha256, cell.box, blind),
    )
