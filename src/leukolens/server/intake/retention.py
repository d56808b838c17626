"""Samples that have been kept for long enough are deleted, as a person deletes one; the trail stays whole."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from leukolens.errors import Missing
from leukolens.server.actor import Actor
from leukolens.server.intake import samples
from leukolens.server.store.columns import now
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.sweep import remove_copies
from leukolens.server.store.tables import Report, Sample

log = logging.getLogger(__name__)
KEEPER = Actor(None, "retention", "reviewer")
LOOK_EVERY = 3600.0


@dataclass(frozen=True, slots=True)
class Old:
    """A sample that has been kept for long enough.

    Attributes:
        key: The sample's.
        created: When, UTC.
        signed: When last, UTC; None where it never was.
        state: *open* or *signed*.
    """

    key: str
    created: datetime
    signed: datetime | None
    state: str


def due(session: Session, before: datetime) -> tuple[Old, ...]:
    """The samples that were neither created nor signed since, the oldest first.

    Args:
        session: To read by.
        before: The time from which on they are kept.
    """
    signed = select(func.max(Report.signed_at)).where(Report.sample_id == Sample.id).scalar_subquery()
    later = exists().where(Report.sample_id == Sample.id, Report.signed_at >= before)
    wanted = (
        select(Sample, signed)
        .where(Sample.deleted.is_(None), Sample.created < before, ~later)
        .order_by(Sample.created, Sample.id)
    )
    return tuple(
        Old(sample.key, sample.created, last, sample.state) for sample, last in session.execute(wanted)
    )


def delete_old(database: Database, days: int) -> tuple[Old, ...]:
    """Deletes samples that are older than so many days, each in a transaction of its own.

    Their images are removed by the worker of a server.

    Returns:
        Those that were deleted.
    """
    before = now() - timedelta(days=days)
    with database.reading() as session:
        old = due(session, before)
    return tuple(one for one in old if _deleted(database, one, before, days))


def _deleted(database: Database, old: Old, before: datetime, days: int) -> bool:
    with database.writing() as session:
        try:
            sample = samples.find(session, old.key)
            session.refresh(sample, with_for_update=True)
            if old.key not in {one.key for one in due(session, before)}:
                return False  # it was signed meanwhile
            samples.erase(session, KEEPER, sample, f"older than {days} days")
        except Missing:  # somebody deleted it meanwhile
            return False
    return True


class Keeper:
    """Deletes what is old, in a thread of its own, for as long as a server runs.

    Args:
        database: Where the samples are.
        files: Of the server, whose old copies of the database go too.
        days: Age from which they go.
        deleted: Told where some were.
        look_every: Seconds between looks.
    """

    def __init__(
        self,
        database: Database,
        files: Files,
        days: int,
        deleted: Callable[[], None],
        *,
        look_every: float = LOOK_EVERY,
    ) -> None:
        self._database, self._files, self._days, self._deleted = database, files, days, deleted
        self._look_every = look_every
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leukolens-keeper", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends, after the samples that are being deleted."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            # Nothing that goes wrong once may end it: what is old has to go the next time.
            try:
                if delete_old(self._database, self._days):
                    self._deleted()
                remove_copies(self._files, timedelta(days=self._days))
            except Exception:
                log.exception("old samples were not deleted, and will be the next time")
            self._stopping.wait(self._look_every)
