from __future__ import annotations

from types import SimpleNamespace

import pytest
from sqlalchemy import select

from leukolens.errors import Conflict
from leukolens.server.intake import samples
from leukolens.server.jobs import queue
from leukolens.server.store.database import Database
from leukolens.server.store.tables import Field, Image, Job, TrailEntry

READ = ("read",)


@pytest.fixture
def sample(database: Database, people: SimpleNamespace) -> str:
    """The key of a sample with three waiting fields, each with its job."""
    with database.writing() as session:
        sample = samples.create(session, people.reader, identifier="P-1")
        for place in (1, 2, 3):
            session.add(Image(sha256=f"{place:064x}", bytes=1))
            session.flush()
            field = Field(sample_id=sample.id, image_sha256=f"{place:064x}", place=place)
            session.add(field)
            session.flush()
            queue.enqueue(session, "read", sample_id=sample.id, field_id=field.id)
        return sample.key


def taken(database: Database, kinds: tuple[str, ...] = READ) -> int | None:
    with database.writing() as session:
        job = queue.take(session, kinds)
        return None if job is None else job.id


def states(database: Database) -> list[tuple[str, int, str | None]]:
    with database.reading() as session:
        return [
            (job.state, job.attempts, job.problem) for job in session.scalars(select(Job).order_by(Job.id))
        ]


def test_jobs_are_taken_in_their_order_once_each(database: Database, sample: str) -> None:
    assert [taken(database) for _ in range(4)] == [1, 2, 3, None]
    assert states(database) == [("running", 1, None)] * 3


def test_jobs_of_other_kinds_are_left_alone(database: Database, sample: str) -> None:
    with database.writing() as session:
        queue.enqueue(session, "adapt", request={"by": "me"})
    assert taken(database, ("adapt",)) == 4
    assert taken(database, ("adapt",)) is None
    with database.reading() as session:
        assert session.get_one(Job, 4).request == {"by": "me"}


def test_a_job_that_was_cut_off_waits_again_and_fails_in_words_after_three_attempts(
    database: Database, sample: str
) -> None:
    for attempt in (1, 2, 3):
        assert taken(database) == 1
        assert states(database)[0] == ("running", attempt, None)
        with database.writing() as session:
            assert queue.recover(session, READ) == 1
    assert states(database)[0] == ("failed", 3, "reading was cut off 3 times")
    with database.reading() as session:
        field = session.get_one(Field, 1)
        assert (field.state, field.reason) == ("failed", "reading was cut off 3 times")
    assert taken(database) == 2


def test_a_job_that_is_released_has_not_been_attempted(database: Database, sample: str) -> None:
    for _ in range(5):
        assert taken(database) == 1
        with database.writing() as session:
            queue.release(session, session.get_one(Job, 1))
    assert states(database)[0] == ("waiting", 0, None)


def test_progress_counts_fields(database: Database, sample: str) -> None:
    def now() -> queue.Progress:
        with database.reading() as session:
            return queue.progress(session, samples.find(session, sample))

    assert now() == queue.Progress(waiting=3, running=0, done=0, failed=0)
    assert not now().ended
    taken(database)
    assert now() == queue.Progress(waiting=2, running=1, done=0, failed=0)
    with database.writing() as session:
        session.get_one(Field, 1).state = "no_cell"
        queue.finish(session, session.get_one(Job, 1))
        queue.fail(session, session.get_one(Job, 2), "broken")
    assert now() == queue.Progress(waiting=1, running=0, done=1, failed=1)
    with database.writing() as session:
        session.get_one(Field, 3).state = "ok"
    assert now().ended


def test_jobs_of_a_deleted_sample_end(database: Database, sample: str) -> None:
    taken(database)
    with database.writing() as session:
        queue.cancel(session, samples.find(session, sample), "the sample was deleted")
    assert {(state, problem) for state, _, problem in states(database)} == {
        ("failed", "the sample was deleted")
    }
    with database.reading() as session:
        assert session.get_one(Field, 1).state == "waiting"


def test_failed_fields_are_read_again_when_a_person_says_so(
    database: Database, sample: str, people: SimpleNamespace
) -> None:
    with database.writing() as session:
        queue.fail(session, session.get_one(Job, 2), "took too long")
        assert queue.again(session, people.reader, samples.find(session, sample)) == 1
        assert queue.again(session, people.reader, samples.find(session, sample)) == 0
    with database.reading() as session:
        field = session.get_one(Field, 2)
        assert (field.state, field.reason) == ("waiting", None)
        assert (session.get_one(Job, 4).state, session.get_one(Job, 4).field_id) == ("waiting", 2)
        last = session.scalars(select(TrailEntry).order_by(TrailEntry.id.desc())).first()
        assert last is not None
        assert (last.action, last.after) == ("read again", {"fields": [2]})


def test_fields_of_a_signed_sample_are_not_read_again(
    database: Database, sample: str, people: SimpleNamespace
) -> None:
    with database.writing() as session:
        samples.find(session, sample).state = "signed"
    with pytest.raises(Conflict), database.writing() as session:
        queue.again(session, people.reviewer, samples.find(session, sample))
