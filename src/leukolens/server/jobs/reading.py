"""The job ``read``: one field, read by another process and written as a whole."""

from __future__ import annotations

from sqlalchemy.orm import Session

from leukolens.server.jobs import queue
from leukolens.server.jobs.answers import ReadingFailedError
from leukolens.server.jobs.bench import Bench
from leukolens.server.jobs.writing import running, write
from leukolens.server.store.tables import Field, Job, Sample


def read(bench: Bench, job: Job) -> None:
    """Reads a job's field with its sample's bundle."""
    with bench.database.reading() as session:
        field = session.get_one(Field, job.field_id)
        image, bundle = field.image_sha256, session.get_one(Sample, field.sample_id).bundle_sha256
    try:
        answer = bench.reader.read(bench.files.path(image), bench.files.bundle(bundle))
        if answer.bundle_sha256 != bundle:
            raise ReadingFailedError("the stored bundle is damaged", "Restore it from a backup")
    except ReadingFailedError as error:
        problem = error.problem
        bench.keep(lambda session: _fail(session, job.id, problem))
        return
    bench.keep(lambda session: write(session, job.id, answer, blind=bench.settings.blind))


def _fail(session: Session, job_id: int, problem: str) -> None:
    _, job = running(session, job_id)
    if job is not None:
        queue.fail(session, job, problem)
