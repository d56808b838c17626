"""What every kind of work has at hand."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from leukolens.errors import ServerError
from leukolens.server.jobs.reading_client import ReadingClient, StoppedError
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Job

log = logging.getLogger(__name__)
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
Changed = TypeVar("Changed")


@dataclass(frozen=True, slots=True)
class Bench:
    """What every kind of work has at hand.

    Attributes:
        database: Where jobs and what they make are.
        files: Images and bundles.
        settings: What the server was started with.
        reader: Reads a field in a process of its own.
        stopping: Set when the server stops: long work looks at it, and raises `StoppedError`.
    """

    database: Database
    files: Files
    settings: Settings
    reader: ReadingClient
    stopping: threading.Event = field(default_factory=threading.Event)

    def keep(self, change: Callable[[Session], Changed]) -> Changed:
        """Makes a change in one transaction, and again until the database can be written: a disk may be full for long.

        Raises:
            StoppedError: Where the server stops before that.
        """
        pause = FIRST_PAUSE
        while True:
            try:
                with self.database.writing() as session:
                    return change(session)
            except (ServerError, OperationalError) as error:
                if not is_passing(error):
                    raise
                log.warning("a job waits: %s", error)
            if self.stopping.wait(pause):
                raise StoppedError("the server stops", "Start it again")
            pause = min(LONGEST_PAUSE, 2 * pause)


Work = Callable[[Bench, Job], None]
"""Does a job and says in the table that it is done, in the transaction that keeps what it made."""


def is_passing(error: Exception) -> bool:
    """Whether an error is the database's, which may be written later."""
    return isinstance(error, OperationalError) or isinstance(error.__cause__, OperationalError)
