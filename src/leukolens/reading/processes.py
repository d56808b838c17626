"""Reads portions of image files in worker processes, one a processor: threads of one process wait for each other.

A worker is `leukolens.reading.worker`, run anew by this Python, and never a copy of this process, so that it runs
nothing of the program that reads. One that dies costs nothing but the image that it died of.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from leukolens.bundle import Bundle, pack
from leukolens.errors import LeukolensError
from leukolens.reading.cell import ImageReading
from leukolens.reading.choice import on_a_device
from leukolens.reading.messages import reading_of
from leukolens.reading.processor import memory
from leukolens.reading.worker_client import EndedError, UnstartableError, Worker

BYTES_EACH = 2**30
"""Memory that there must be for each: what the largest image that is decoded takes; small ones take 300 MB."""


class Workers:
    """Worker processes of a reader, begun when they are first needed and kept.

    Args:
        bundle: What they read with.
        engine: What runs the classifier in each, one of `leukolens.reading.choice.ENGINES`.
    """

    def __init__(self, bundle: Bundle, engine: str) -> None:
        self.count, self.trouble = 0, ""
        self.said: str | None = None
        self._bundle, self._engine, self._owner, self._stopped = bundle, engine, os.getpid(), False
        self._reading, self._workers = threading.Lock(), list[Worker]()
        self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()

    def taken(self, count: int) -> bool:
        """Whether processes are the caller's from now on, until it gives them back.

        Args:
            count: How many are worth it; fewer are begun where there is no memory for so many.
        """
        # A copy of this process has the same pipes, and no say in them.
        if count < 2 or self.trouble or self._stopped or self._owner != os.getpid():
            return False
        left = memory()
        count = count if left is None else min(count, left // BYTES_EACH)
        if count < 2 or on_a_device(self._bundle, self._engine):
            return False
        if not self._reading.acquire(blocking=False):
            return False
        self.count, self._free = count, queue.SimpleQueue()
        if len(self._workers) < count:
            bundle = self._bundle
            content = pack(bundle.card, bundle.classifier, *bundle.members)
            self._workers += [Worker(self._engine, content) for _ in range(count - len(self._workers))]
        for worker in self._workers[:count]:
            self._free.put(worker)
        return True

    def give_back(self) -> None:
        """Lets the next caller have them."""
        self._reading.release()

    def read(self, paths: Sequence[Path], otherwise: Callable[[], list[ImageReading]]) -> list[ImageReading]:
        """One reading a file, in their order; from several threads at a time.

        Args:
            paths: A portion of files.
            otherwise: Reads it in this process, where no other can be started.

        Raises:
            LeukolensError: What a process met that is no image's fault, or where the reader was closed meanwhile.
        """
        if self._stopped:
            raise _closed()
        if self.trouble:
            return otherwise()
        try:
            return self._asked(paths)
        except UnstartableError as error:
            self.trouble = str(error)
            return otherwise()
        except EndedError as error:
            if self._stopped:
                raise _closed() from error
            return [self._alone(path) for path in paths]

    def _alone(self, path: Path) -> ImageReading:
        """The reading of a file out of a portion that a process died of; never read in this one."""
        try:
            return self._asked([path])[0]
        except EndedError as error:
            return ImageReading(path, "failed", f"ended the process that read it ({error})")
        except UnstartableError as error:
            why = f"a process ended that read it or another, and no other can be started ({error})"
            return ImageReading(path, "failed", why)

    def _asked(self, paths: Sequence[Path]) -> list[ImageReading]:
        here = _folder()
        worker = self._free.get()
        try:
            answer = worker.ask([str(here / path) for path in paths])
            self.said = worker.said
        finally:
            self._free.put(worker)
        # The next portion is under way while this one is unpacked.
        entries = json.loads(answer)["readings"]
        return [reading_of(entry, path) for entry, path in zip(entries, paths, strict=True)]

    def stop(self) -> None:
        """Ends them, in the middle of a portion too."""
        if self._owner == os.getpid():
            self._stopped = True
            for worker in self._workers:
                worker.stop()


def _closed() -> LeukolensError:
    return LeukolensError("the reader was closed while it read", "Close it when all is read")


def _folder() -> Path:
    """Where relative paths begin now, whereas a worker stays where it began; empty where that is gone."""
    try:
        return Path.cwd()
    except OSError:
        return Path()
