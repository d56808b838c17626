"""The queue of jobs: what waits, what is being done, and how each one ended. The table is the queue."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from leukolens.errors import Conflict
from leukolens.server.actor import Actor
from leukolens.server.store import trail
from leukolens.server.store.columns import now
from leukolens.server.store.tables import Field, Job, Sample

MOST_ATTEMPTS = 3
CUT_OFF = f"reading was cut off {MOST_ATTEMPTS} times"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the reading of a sample is, in fields.

    Attributes:
        waiting: Not begun.
        running: Being read.
        done: Read, whether white cells were found or not.
        failed: Could not be read.
    """

    waiting: int
    running: int
    done: int
    failed: int

    @property
    def ended(self) -> bool:
        """Whether no field is left to read."""
        return self.waiting == 0 and self.running == 0


def enqueue(
    session: Session,
    kind: str,
    *,
    sample_id: int | None = None,
    field_id: int | None = None,
    request: dict[str, Any] | None = None,
) -> Job:
    """A new job, which waits from the moment that the transaction is kept.

    Args:
        session: In a writing transaction.
        kind: ``read``, ``crop``, ``erase``, ``webhook`` or ``adapt``.
        sample_id: Whom it is about.
        field_id: Which of its fields.
        request: What else the work needs to know.
    """
    job = Job(kind=kind, sample_id=sample_id, field_id=field_id, request=request or {})
    session.add(job)
    session.flush()
    return job


def progress(session: Session, sample: Sample) -> Progress:
    """How far the reading of a sample is."""
    by_state = select(Field.state, func.count()).where(Field.sample_id == sample.id).group_by(Field.state)
    states = dict(session.execute(by_state).all())
    running = session.scalar(
        select(func.count())
        .select_from(Job)
        .join(Field, Field.id == Job.field_id)
        .where(
            Job.sample_id == sample.id,
            Job.kind == "read",
            Job.state == "running",
            Field.state == "waiting",
        )
    )
    return Progress(
        waiting=states.get("waiting", 0) - (running or 0),
        running=running or 0,
        done=states.get("ok", 0) + states.get("no_cell", 0),
        failed=states.get("failed", 0),
    )


def take(session: Session, kinds: Collection[str]) -> Job | None:
    """The oldest waiting job of these kinds, which is running from now on; None where none waits."""
    wanted = (
        select(Job)
        .where(Job.state == "waiting", Job.kind.in_(kinds))
        .order_by(Job.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    job = session.scalars(wanted).first()
    if job is not None:
        job.state = "running"
        job.attempts += 1
    return job


def recover(session: Session, kinds: Collection[str]) -> int:
    """Lets jobs that were cut off wait again, those that were so too often fail; gives how many were.

    Only where nobody else works at them: at the start, or by the only worker of these kinds.
    """
    cut_off = session.scalars(select(Job).where(Job.state == "running", Job.kind.in_(kinds))).all()
    for job in cut_off:
        if job.attempts >= MOST_ATTEMPTS:
            fail(session, job, CUT_OFF if job.kind == "read" else f"was cut off {MOST_ATTEMPTS} times")
        else:
            job.state = "waiting"
    return len(cut_off)


def release(session: Session, job: Job) -> None:
    """Lets a running job wait again as if it had never been begun: the server stops."""
    if job.state == "running":
        job.state = "waiting"
        job.attempts -= 1


def finish(session: Session, job: Job, result: dict[str, Any] | None = None) -> None:
    """A running job is done."""
    job.state, job.result, job.ended = "done", result, now()


def fail(session: Session, job: Job, problem: str) -> None:
    """A job failed, and with it the field that it was to read."""
    job.state, job.problem, job.ended = "failed", problem, now()
    if job.kind == "read" and job.field_id is not None:
        field = session.get(Field, job.field_id)
        if field is not None and field.state == "waiting":
            field.state, field.reason, field.read_at = "failed", problem, now()


def cancel(session: Session, sample: Sample, why: str) -> None:
    """Jobs of a sample that have not ended fail, without their fields being said to have failed."""
    session.execute(
        update(Job)
        .where(Job.sample_id == sample.id, Job.state.in_(("waiting", "running")))
        .values(state="failed", problem=why, ended=now())
    )


def again(session: Session, actor: Actor, sample: Sample) -> int:
    """Has the failed fields of a sample read once more; gives how many there are.

    Raises:
        Conflict: Where the sample is signed.
    """
    actor.must_have("samples:write")
    actor.must_be("reader", "read fields again")
    session.refresh(sample, with_for_update=True)
    if sample.state != "open" or sample.deleted is not None:
        raise Conflict(f"sample {sample.key} is signed or deleted", "Open it again first")
    failed = session.scalars(select(Field).where(Field.sample_id == sample.id, Field.state == "failed")).all()
    for field in failed:
        field.state, field.reason, field.read_at = "waiting", None, None
        enqueue(session, "read", sample_id=sample.id, field_id=field.id)
    if failed:
        after = {"fields": [field.id for field in failed]}
        trail.append(session, actor, "read again", f"sample {sample.key}", after=after)
    return len(failed)
