"""The worker: a thread that does one job after the other, and goes on with them after a restart."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from sqlalchemy.orm import Session

from leukolens.errors import LeukolensError
from leukolens.server.jobs import queue
from leukolens.server.jobs.bench import Bench, Work
from leukolens.server.jobs.cropping import crop
from leukolens.server.jobs.erasing import erase
from leukolens.server.jobs.reading import read
from leukolens.server.jobs.reading_client import ReadingClient, StoppedError
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Job

log = logging.getLogger(__name__)
KINDS: Mapping[str, Work] = {"read": read, "crop": crop, "erase": erase}
"""What is done for a job of each kind; one of a kind that stands nowhere waits."""
LOOK_EVERY = 5.0
"""Seconds after which it looks for jobs that nobody woke it for."""


class Worker:
    """Does jobs, the oldest first, in a thread of its own.

    Args:
        database: Where they are.
        files: Images and bundles.
        settings: Limits of what is read.
        kinds: What to do for each kind. No two workers may have one in common.
        reader: Another way of reading a field, for tests.
    """

    def __init__(
        self,
        database: Database,
        files: Files,
        settings: Settings,
        *,
        kinds: Mapping[str, Work] = KINDS,
        reader: ReadingClient | None = None,
    ) -> None:
        self._bench = Bench(database, files, settings, reader or ReadingClient(settings.limits))
        self._kinds = dict(kinds)
        self._awake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins; jobs that were cut off by the end of the server before wait again.

        Raises:
            ServerError: Where the database cannot be written.
        """
        with self._bench.database.writing() as session:
            queue.recover(session, self._kinds)
        self._thread = threading.Thread(target=self._run, name="leukolens-worker", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There may be something new to do."""
        self._awake.set()

    def stop(self) -> None:
        """Ends; what is being read is given up, and read when it is started again."""
        self._bench.stopping.set()
        self._awake.set()
        self._bench.reader.stop()
        if self._thread is not None:
            self._thread.join()
        self._bench.reader.close()

    def _run(self) -> None:
        in_doubt = False
        while not self._bench.stopping.is_set():
            self._awake.clear()
            try:
                job = self._next(in_doubt=in_doubt)
                in_doubt = False
                if job is not None:
                    self._do(job)
                    continue
            except StoppedError:
                return
            # Nothing that goes wrong with a job may end the thread: everything behind it would wait for ever.
            except Exception:
                log.exception("a job was cut off and will be done again")
                in_doubt = True
            self._awake.wait(LOOK_EVERY)

    def _next(self, *, in_doubt: bool) -> Job | None:
        with self._bench.database.writing() as session:
            if in_doubt:
                queue.recover(session, self._kinds)
            return queue.take(session, self._kinds)

    def _do(self, job: Job) -> None:
        try:
            self._kinds[job.kind](self._bench, job)
        except StoppedError:
            with self._bench.database.writing() as session:
                queue.release(session, session.get_one(Job, job.id))
            raise
        except Exception as error:
            said = str(error) if isinstance(error, LeukolensError) else type(error).__name__
            log.exception("job %d (%s) failed at attempt %d", job.id, job.kind, job.attempts)
            self._bench.keep(lambda session: _try_again(session, job.id, said))
            if job.attempts < queue.MOST_ATTEMPTS:
                self._awake.wait(min(LOOK_EVERY, float(job.attempts)))


def _try_again(session: Session, job_id: int, problem: str) -> None:
    job = session.get_one(Job, job_id)
    if job.state != "running":
        return
    if job.attempts >= queue.MOST_ATTEMPTS:
        queue.fail(session, job, problem)
    else:
        job.state = "waiting"
