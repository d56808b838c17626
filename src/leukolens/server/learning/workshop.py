"""Where an adaptation is worked on: a private folder that is gone afterwards, and processes that are ended in time."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from leukolens.errors import ServerError
from leukolens.server.jobs.reading_client import ENVIRONMENT, StoppedError
from leukolens.server.store.files import OURS_ALONE, Files, telling

LOOK_EVERY = 0.2
"""Seconds after which a process that says nothing is looked at."""
ASK_EVERY = 1.0
"""Seconds after which it is asked whether what it does is still wanted."""


class UnwantedError(Exception):
    """What a process did is wanted no more; it was ended."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended.

    Attributes:
        code: Its exit status; less than 0 for a signal.
        said: The last line that it said.
        complained: The last line on its standard error.
    """

    code: int
    said: str
    complained: str


def clear(files: Files) -> None:
    """Removes what an adaptation left behind that was cut off with the server; before any begins.

    Raises:
        ServerError: Where it cannot be removed.
    """
    with telling(files.folder):
        if _place(files).exists():
            shutil.rmtree(_place(files))


@contextmanager
def folder(files: Files, job_id: int) -> Iterator[Path]:
    """An empty folder of the job's own, readable by nobody else, which is gone at the end.

    Raises:
        ServerError: Where it cannot be made.
    """
    place = _place(files) / str(job_id)
    with telling(files.folder):
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(exist_ok=True, mode=OURS_ALONE)
        place.mkdir(mode=OURS_ALONE)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def run(
    place: Path,
    module: str,
    arguments: list[str],
    *,
    stopping: threading.Event,
    seconds: float,
    told: Callable[[str], None] | None = None,
    wanted: Callable[[], bool] = lambda: True,
) -> Ended:
    """Runs a module of Python in a process of its own.

    Args:
        place: The folder that it works in.
        module: Its name.
        arguments: Its command line.
        stopping: Set when the server stops.
        seconds: That it may take.
        told: Given every line that it says.
        wanted: Whether anybody still wants what it does; asked now and then.

    Raises:
        StoppedError: Where the server stops.
        UnwantedError: Where nobody wants it any more.
        ServerError: Where it cannot be begun, or takes too long.
    """
    command = [
        sys.executable,
        "-P",
        "-m",
        "leukolens.server.learning.guarded",
        str(place),
        module,
        *arguments,
    ]
    with (place / "complaints").open("w+b") as complaints:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # it ends when this closes
                stdout=subprocess.PIPE,
                stderr=complaints,
                env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
                | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as error:
            why = error.strerror or str(error)
            raise ServerError(
                f"no process can be started ({why})", "Check the memory that there is"
            ) from error
        try:
            assert process.stdout is not None
            said = _listen(process.stdout, stopping, time.monotonic() + seconds, told, wanted)
            code = process.wait()
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        complaints.seek(0)
        lines = complaints.read().decode("utf-8", "replace").split("\n")
    return Ended(code, said, next((line.strip() for line in reversed(lines) if line.strip()), ""))


def _listen(
    stream: IO[bytes],
    stopping: threading.Event,
    end: float,
    told: Callable[[str], None] | None,
    wanted: Callable[[], bool],
) -> str:
    """The last line of all; the stream ends with the process."""
    lines: queue.Queue[bytes | None] = queue.Queue()

    def listen() -> None:
        try:
            for line in stream:
                lines.put(line)
        finally:
            lines.put(None)

    threading.Thread(target=listen, daemon=True).start()
    last, ask = "", time.monotonic() + ASK_EVERY
    while True:
        if stopping.is_set():
            raise StoppedError("the server stops", "Start it again")
        if time.monotonic() > end:
            raise ServerError("the adaptation took too long and was ended", "Take fewer cells")
        if time.monotonic() > ask:
            if not wanted():
                raise UnwantedError
            ask = time.monotonic() + ASK_EVERY
        try:
            line = lines.get(timeout=LOOK_EVERY)
        except queue.Empty:
            continue
        if line is None:
            return last
        if text := line.decode("utf-8", "replace").strip():
            last = text
            if told is not None:
                told(text)


def _place(files: Files) -> Path:
    return files.folder / "learning"
