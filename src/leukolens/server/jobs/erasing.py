"""The job ``erase``: a deleted sample's images, where no other sample uses them, go for good."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.server.jobs import queue
from leukolens.server.jobs.bench import Bench
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Field, Image, Job, Sample
from leukolens.server.store.views import Views


def erase(bench: Bench, job: Job) -> None:
    """Removes the images that only a job's deleted sample has; cut off in between, it is done again."""
    bench.keep(lambda session: _erase(session, bench.files, job.id))


def _erase(session: Session, files: Files, job_id: int) -> None:
    job = session.get_one(Job, job_id, with_for_update=True)
    its_own = select(Field.image_sha256).where(Field.sample_id == job.sample_id)
    # Locked: an upload of the same image waits until it is gone, and then puts it there anew.
    images = select(Image.sha256).where(Image.sha256.in_(its_own)).order_by(Image.sha256).with_for_update()
    digests = session.scalars(images).all()
    used = set(
        session.scalars(
            select(Field.image_sha256)
            .join(Sample, Sample.id == Field.sample_id)
            .where(Sample.deleted.is_(None), Field.image_sha256.in_(its_own))
        )
    )
    unused = [digest for digest in digests if digest not in used]
    views = Views(files)
    for digest in unused:
        files.remove(digest)
        views.remove(digest)
    queue.finish(session, job, {"images": len(unused)})
