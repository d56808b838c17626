"""The server's side of the reading process: begins it, asks it, ends it when it takes too long, begins it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from leukolens.errors import ServerError
from leukolens.imaging.framing import Box
from leukolens.reading.worker_client import how_it_ended
from leukolens.server.jobs.answers import (
    Answer,
    Barcode,
    Evidence,
    Picture,
    ReadingFailedError,
    View,
    answer_of,
    barcode_of,
    evidence_of,
    picture_of,
    view_of,
)
from leukolens.server.settings import MIB, Limits

START_SECONDS = 180.0
LARGEST_ANSWER = 128 * MIB
TRIES = 2
Answered = TypeVar("Answered")
ENVIRONMENT = (
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "TEMP", "SYSTEMROOT", "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE",
)  # fmt: skip
"""All that the process is told of the server's environment: a database's password may stand in the rest."""


class StoppedError(ServerError):
    """What was asked is not answered any more: the server stops."""


class _EndedError(Exception):
    """The process ended before it answered; says how."""


class ReadingClient:
    """A reading process that is begun when it is needed, and kept.

    One thread asks; `stop` may come from another.

    Args:
        limits: Memory, pixels and time of one field.
        command: What to begin instead, for tests.
    """

    def __init__(self, limits: Limits, command: Sequence[str] | None = None) -> None:
        self.limits = limits
        self.starts = 0
        self._command = tuple(command) if command is not None else _command(limits)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopped = False

    def read(self, image: Path, bundle: Path) -> Answer:
        """A field, read.

        A process that ends while it reads is begun again once: it may have been ended by somebody else.

        Args:
            image: Its file.
            bundle: The bundle's file.

        Raises:
            ReadingFailedError: Where it takes too long, ends the process twice, or the process says that it cannot.
            StoppedError: Where `stop` came first.
            ServerError: Where no process can be begun.
        """
        return self._ask({"image": str(image.absolute()), "bundle": str(bundle.absolute())}, answer_of)

    def cut_out(self, image: Path, box: Box) -> Picture:
        """One cell of a field, cut out for the gallery.

        Args:
            image: The field's file.
            box: The cell, pixels of the image as displayed.

        Raises:
            ReadingFailedError: As in `read`, and where the image cannot be read.
            StoppedError: Where `stop` came first.
            ServerError: Where no process can be begun.
        """
        asked = {"image": str(image.absolute()), "box": [box.x0, box.y0, box.x1, box.y1]}
        return self._ask(asked, picture_of)

    def view(self, image: Path) -> View:
        """A field as a browser can show it.

        Args:
            image: Its file.

        Raises:
            ReadingFailedError: As in `cut_out`.
            StoppedError: Where `stop` came first.
            ServerError: Where no process can be begun.
        """
        return self._ask({"show": "view", "image": str(image.absolute())}, view_of)

    def barcode(self, image: Path) -> Barcode:
        """The barcode in a photograph of a slide's label.

        Args:
            image: Its file.

        Raises:
            ReadingFailedError: As in `cut_out`, and where there is not one barcode that can be an identifier.
            StoppedError: Where `stop` came first.
            ServerError: Where no process can be begun.
        """
        return self._ask({"show": "barcode", "image": str(image.absolute())}, barcode_of)

    def explain(self, image: Path, bundle: Path, box: Box, label: str) -> Evidence:
        """What spoke for and against a class in one cell of a field.

        Args:
            image: The field's file.
            bundle: The bundle's file.
            box: The cell, pixels of the image as displayed.
            label: A class of the bundle.

        Raises:
            ReadingFailedError: As in `cut_out`, and where the bundle tells of no evidence.
            StoppedError: Where `stop` came first.
            ServerError: Where no process can be begun.
        """
        asked = {
            "show": "evidence", "image": str(image.absolute()), "bundle": str(bundle.absolute()),
            "box": [box.x0, box.y0, box.x1, box.y1], "label": label,
        }  # fmt: skip
        return self._ask(asked, evidence_of)

    def stop(self) -> None:
        """Ends the process, now and for good; who waits for an answer gets `StoppedError`."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """Ends the process and lets go of it; once nobody waits for an answer any more."""
        self.stop()
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, what: dict[str, Any], understood: Callable[[bytes], Answered]) -> Answered:
        asked = json.dumps(what)
        ended = ""
        for _ in range(TRIES):
            process = self._started()
            try:
                line = self._exchange(process, asked.encode() + b"\n", self.limits.reading_seconds)
            except _EndedError as error:
                ended = str(error)
                continue
            try:
                return understood(line)
            except ReadingFailedError:
                self._end()  # whatever it is in now, the next image gets a new one
                raise
        raise ReadingFailedError(f"ended the process that read it ({ended})", "Export the image again")

    def _started(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise StoppedError("the server stops", "Start it again")
            if self._process is not None and self._process.poll() is None:
                return self._process
        self._end()
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # decoders print what stands in images
                env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
                | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as error:
            raise _unstartable(error.strerror or str(error)) from error
        with self._lock:
            self._process, stopped = process, self._stopped
        if stopped:
            self._end()
            raise StoppedError("the server stops", "Start it again")
        self.starts += 1
        try:
            ready = self._exchange(process, b"", START_SECONDS)
        except (_EndedError, ReadingFailedError) as error:
            raise _unstartable(str(error)) from error
        if b"ready" not in ready:
            self._end()
            raise _unstartable("it says something else")
        return process

    def _exchange(self, process: subprocess.Popen[bytes], asked: bytes, seconds: float) -> bytes:
        """Sends a line and waits for one, ``seconds`` at most."""
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            process.stdin.write(asked)
            process.stdin.flush()
            line = process.stdout.readline(LARGEST_ANSWER)
        except OSError:  # it has closed its end of a pipe
            line = b""
        finally:
            timer.cancel()
            timer.join()
        if line.endswith(b"\n"):
            if late.is_set():
                self._end()
            return line
        code = self._end()
        if self._stopped:
            raise StoppedError("the server stops", "Start it again")
        if late.is_set():
            raise ReadingFailedError(f"took longer than {seconds:g} seconds", "Make the image smaller")
        if line:
            raise ReadingFailedError("has far too many cells to tell of", "Check that it is a field")
        raise _EndedError(how_it_ended(code if code is not None else process.wait()))

    def _end(self) -> int | None:
        """Ends the process; its exit code, None where there was none."""
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            # What was still to be written has nobody to read it.
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        return code


def _command(limits: Limits) -> tuple[str, ...]:
    # -P: a module that lies in the folder where the server was started is none of ours.
    return (
        sys.executable, "-P", "-m", "leukolens.server.jobs.reading_process",
        "--memory", str(limits.reading_bytes),
        "--pixels", str(limits.image_pixels),
        "--seconds", str(limits.reading_seconds),
    )  # fmt: skip


def _unstartable(why: str) -> ServerError:
    return ServerError(
        f"the process that reads images cannot be started ({why})", "Check the memory that there is"
    )
