"""The thread that looks at a watched folder."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from leukolens.errors import ServerError
from leukolens.server.intake.barcodes import photographed
from leukolens.server.intake.watched import NotTaken, Watched
from leukolens.server.jobs.reading_client import ReadingClient, StoppedError
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files

log = logging.getLogger(__name__)
LOOK_EVERY = 2.0


class Watcher:
    """Takes what comes to rest in a folder, until it is stopped.

    Args:
        watched: The folder.
        reader: What reads its photographs of labels; ends with it.
        taken: Told when there are new fields.
        look_every: Seconds between looks.
    """

    def __init__(
        self,
        watched: Watched,
        reader: ReadingClient,
        taken: Callable[[], None],
        *,
        look_every: float = LOOK_EVERY,
    ) -> None:
        self._watched, self._reader = watched, reader
        self._taken, self._look_every = taken, look_every
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._told: set[NotTaken] = set()
        self._trouble = ""

    @property
    def not_taken(self) -> tuple[NotTaken, ...]:
        """What is there and cannot be taken."""
        return self._watched.not_taken

    def start(self) -> None:
        """Begins."""
        self._thread = threading.Thread(target=self._run, name="leukolens-watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends, after the image that is being taken; a photograph that is being read is given up."""
        self._stopping.set()
        self._reader.stop()
        if self._thread is not None:
            self._thread.join()
        self._reader.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                taken = self._watched.look()
                self._trouble = ""
                if taken:
                    self._taken()
                self._tell()
            except StoppedError:
                return
            except OSError as error:
                self._warn(f"the watched folder cannot be looked at ({error.strerror})")
            except ServerError as error:
                self._warn(f"nothing can be taken from the watched folder: {error.problem}")
            # Nothing that goes wrong with one image may end the thread.
            except Exception as error:
                self._warn(f"the watched folder: {type(error).__name__}")
            self._stopping.wait(self._look_every)

    def _tell(self) -> None:
        """Logs once what was not taken; by its reason alone, since names are patients'."""
        now = set(self.not_taken)
        for one in sorted(now - self._told, key=lambda found: found.reason):
            log.warning(
                "something in the watched folder %s; the list of samples names it", one.reason.rstrip(".")
            )
        self._told = now

    def _warn(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("%s", trouble)
        self._trouble = trouble


def watcher_of(
    settings: Settings, database: Database, files: Files, taken: Callable[[], None]
) -> Watcher | None:
    """What watches the folder that the settings name; None where they name none.

    Raises:
        ServerError: Where it is no folder, or the server's own lies in it.
    """
    if settings.watch is None:
        return None
    watch, own = Path(settings.watch).resolve(), settings.folder.resolve()
    if not watch.is_dir():
        raise ServerError(f"there is no folder {settings.watch}", "Make it, or give --watch another")
    if watch == own or watch in own.parents or own in watch.parents:
        raise ServerError(
            f"{settings.watch} and the server's own folder {settings.folder} lie in each other",
            "Give --watch another",
        )
    reader = ReadingClient(settings.limits)
    barcode = partial(photographed, files=files, limits=settings.limits, reader=reader)
    return Watcher(Watched(watch, database, files, settings.limits, barcode), reader, taken)
