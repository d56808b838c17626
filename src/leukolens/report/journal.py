"""Which fields are done: a journal in the output folder that finds them by their files' checksums."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from leukolens.errors import ReportError
from leukolens.reading.cell import FieldReading
from leukolens.report.field_entries import field_entry, field_from_entry
from leukolens.report.one_writer import take

SCHEMA = "leukolens.journal/1"
JOURNAL, LOCK = "journal.jsonl", "journal.lock"
SYNC_SECONDS = 1.0
LONGEST_LINE = 16 * 2**20  # a field of thousands of cells has 2; a file that is no journal may have no line


class Journal:
    """The readings of fields, appended one line each as they are made.

    A line is with the system before the next field is asked for, so a killed process loses none; it is
    on the disk within a second, so a power cut loses a second's work. Nothing is ever changed or taken
    away: a line that was cut off is passed over, and whatever the file holds besides stays.

    Failures are not kept: what could not be read is tried again. Paths are not kept either: a field is known
    by its content, whatever it is called.

    Args:
        folder: Where it lies; there is one writer at a time.
        made_with: Everything besides the file's bytes that an answer depends on, name to value: only
            readings made with the same are found.
        clock: Seconds, ever rising.

    Raises:
        ReportError: Where it cannot be opened, or another process has it.
    """

    def __init__(
        self, folder: Path, made_with: Mapping[str, str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = folder / JOURNAL
        self._head = {"schema": SCHEMA, **made_with}
        self._clock, self._synced = clock, clock()
        self._places: dict[str, tuple[int, int]] = {}
        self._turn = threading.Lock()  # a reader may ask for its sources from a thread of its own
        self._torn = False
        with ExitStack() as stack:
            try:
                lock = stack.enter_context((folder / LOCK).open("ab"))
                alone = take(lock)
                self._stream: IO[bytes] = stack.enter_context(self.path.open("a+b", buffering=0))
                if alone:
                    self._index()
            except OSError as error:
                raise self._unwritable(error) from error
            if not alone:
                raise ReportError(
                    f"{folder} is in use: another `leukolens read` writes there",
                    "Wait until it ends, or choose another folder with --out",
                )
            self._files = stack.pop_all()

    def __len__(self) -> int:
        """How many fields are known."""
        return len(self._places)

    def find(self, sha256: str, path: Path) -> FieldReading | None:
        """The reading of the field with this digest, None where there is none.

        Args:
            sha256: Of the file's bytes, lower-case hexadecimal.
            path: What the field is called now.

        Raises:
            ReportError: Where the journal cannot be read any more.
        """
        place = self._places.get(sha256)
        if place is None:
            return None
        start, length = place
        try:
            with self._turn:
                self._stream.seek(start)
                line = self._stream.read(length)
        except OSError as error:
            raise ReportError(
                f"{self.path} cannot be read any more ({error.strerror})", "Choose another folder with --out"
            ) from error
        reading = self._ours(line)
        return replace(reading, path=path) if reading is not None else None

    def add(self, reading: FieldReading) -> None:
        """Appends a reading; one that failed is passed over.

        Raises:
            ReportError: Where it cannot be written.
        """
        if reading.status == "failed":
            return
        entry = {**self._head, **field_entry(reading), "path": ""}
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        try:
            with self._turn:
                start = self._stream.seek(0, os.SEEK_END)
                if self._torn:
                    start += self._stream.write(b"\n")
                self._torn = self._stream.write(line) != len(line)
            if self._torn:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self._clock() - self._synced > SYNC_SECONDS:
                self._sync()
        except OSError as error:
            raise self._unwritable(error) from error
        self._places[reading.sha256] = start, len(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._files:
            try:
                self._sync()
            except OSError as trouble:
                # What ended the block is the news; that the disk is full as well is in it, or nothing new.
                if kind is None:
                    raise self._unwritable(trouble) from trouble

    def _sync(self) -> None:
        os.fsync(self._stream.fileno())
        self._synced = self._clock()

    def _index(self) -> None:
        """Where each reading stands; the readings themselves stay in the file, however many there are."""
        with self.path.open("rb") as stream:
            place = 0
            while line := stream.readline(LONGEST_LINE):
                reading = self._ours(line)
                if reading is not None:
                    self._places[reading.sha256] = place, len(line)
                place += len(line)
                self._torn = not line.endswith(b"\n")

    def _ours(self, line: bytes) -> FieldReading | None:
        """The reading in a whole line that was made with what we have; None for any other line."""
        if not line.endswith(b"\n"):
            return None
        try:
            entry = json.loads(line)
            if not isinstance(entry, dict) or any(entry.get(key) != self._head[key] for key in self._head):
                return None
            return field_from_entry(entry)
        # A damaged disk leaves anything behind; such a field is read once more.
        except (ValueError, RecursionError, ReportError):
            return None

    def _unwritable(self, error: OSError) -> ReportError:
        return ReportError(
            f"{self.path} cannot be written ({error.strerror})", "Free some space or choose another folder"
        )
