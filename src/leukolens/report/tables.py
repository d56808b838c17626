"""What was identified, as a JSON document and as CSV.

Both are filled reading by reading, so that tens of thousands of images need no more memory than one.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import leukolens
from leukolens.bundle import Bundle
from leukolens.errors import ReportError
from leukolens.reading.batch_check import BatchCheck, asked_of, check
from leukolens.reading.cell import Cell, ImageReading

SCHEMA = "leukolens.identify/1"
DIGITS = 6
DISTANCE_DIGITS = 3


# JSON


def document(readings: Iterable[ImageReading], bundle: Bundle) -> Iterator[str]:
    """The JSON document, line by line, one line an image; joined they are one object, in plain ASCII.

    Equal readings give equal text. A file name that is no Unicode keeps its bytes as lone surrogates, as
    Python's ``os.fsdecode`` makes them.
    """
    head = {
        "schema": SCHEMA,
        "leukolens": leukolens.__version__,
        "bundle": {"name": bundle.card.name, "sha256": bundle.sha256},
    }
    yield json.dumps(head)[:-1] + ', "images": ['
    comma = ""
    distances: list[float] = []
    for reading in readings:
        distances += asked_of(reading.cells)
        yield f"{comma}\n {json.dumps(image_entry(reading))}"
        comma = ","
    together = check_entry(check(distances, bundle.card.judgement))
    yield f'\n], "batch": {json.dumps(together)}}}\n'


def image_entry(reading: ImageReading) -> dict[str, Any]:
    """One image of the document."""
    return {
        "path": str(reading.path),
        "status": reading.status,
        "reason": reading.reason,
        "cells": [cell_entry(cell) for cell in reading.cells],
    }


def cell_entry(cell: Cell) -> dict[str, Any]:
    """One cell of the document, probabilities to six places."""
    return {
        "box": [cell.box.x0, cell.box.y0, cell.box.x1, cell.box.y1],
        "class": cell.label if cell.probabilities else None,
        "probabilities": {key: round(value, DIGITS) for key, value in cell.probabilities.items()},
        "decision": cell.decision,
        "reason": cell.reason,
        "set": None if cell.class_set is None else list(cell.class_set),
        "distance": None if cell.distance is None else round(cell.distance, DISTANCE_DIGITS),
    }


def check_entry(check: BatchCheck | None) -> dict[str, Any] | None:
    """What is said of a whole sample; None where it has too few cells, or the bundle cannot tell."""
    if check is None:
        return None
    return {
        "cells": check.cells,
        "outside": check.outside,
        "share": round(check.share, DIGITS),
        "usual": round(check.usual, DIGITS),
        "unlike": check.unlike,
        "message": check.message,
    }


# CSV


class CsvTable:
    """A CSV file, UTF-8: one row a cell, and one for an image without any.

    The file appears under its name when all rows are in it. Text that a spreadsheet would take for a
    formula gets an apostrophe before it (OWASP, *CSV injection*).

    Args:
        path: Where to write; an existing file is replaced.
        classes: Class keys of the bundle; each has a column for its probability.

    Raises:
        ReportError: Where the file cannot be written.
    """

    def __init__(self, path: Path, classes: Iterable[str]) -> None:
        self.path = path
        self.classes = tuple(classes)
        self._beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            self._stream = self._beside.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise self._unwritable(error) from error
        self._writer = csv.writer(self._stream)
        self._write(csv_header(self.classes))

    def add(self, reading: ImageReading) -> None:
        """Appends the reading's rows.

        Raises:
            ReportError: Where they cannot be written.
        """
        for row in csv_rows(reading, self.classes):
            self._write(row)

    def _write(self, row: Iterable[object]) -> None:
        try:
            self._writer.writerow(row)
        except OSError as error:
            raise self._unwritable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stream.close()
            if kind is None:
                self._beside.replace(self.path)
        except OSError as trouble:
            raise self._unwritable(trouble) from trouble
        finally:
            self._beside.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> ReportError:
        return ReportError(
            f"{self.path} cannot be written ({error.strerror})", "Free some space or choose another file"
        )


def csv_header(classes: Iterable[str]) -> list[str]:
    """The column names."""
    fixed = ["path", "status", "class", "probability", "decision", "reason", "x0", "y0", "x1", "y1"]
    return [*fixed, *(f"probability_{key}" for key in classes)]


def csv_rows(reading: ImageReading, classes: tuple[str, ...]) -> Iterator[list[object]]:
    """One row a cell; an image without any has one row with its status and reason."""
    path = harmless(printable(str(reading.path)))
    for cell in reading.cells:
        box = [cell.box.x0, cell.box.y0, cell.box.x1, cell.box.y1]
        probabilities = [round(cell.probabilities[key], DIGITS) for key in classes]
        top = round(cell.probabilities[cell.label], DIGITS)
        yield [path, reading.status, cell.label, top, cell.decision, cell.reason, *box, *probabilities]
    if not reading.cells:
        reason = harmless(printable(reading.reason or ""))
        yield [path, reading.status, "", "", "", reason, *[""] * (4 + len(classes))]


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def printable(text: str) -> str:
    """Text whose control characters, direction marks and broken bytes are written out as escapes."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
