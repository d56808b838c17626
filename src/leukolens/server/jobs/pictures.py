"""Pictures that a page asks for and that somebody has to wait for: made by a process of their own, and kept.

They do not wait for the fields that are being read: a person looks at the page.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path

from leukolens.errors import Conflict, Unfit
from leukolens.imaging.framing import Box
from leukolens.server.jobs.answers import Evidence, ReadingFailedError, View
from leukolens.server.jobs.reading_client import ReadingClient
from leukolens.server.jobs.writing import ANOTHER_FILE
from leukolens.server.settings import Limits
from leukolens.server.store.files import Files
from leukolens.server.store.views import Views

VIEW = "view.jpg"
MOST_WAITING = 8
"""Requests that may wait for a picture: each holds a thread of the server's."""
LONGEST_WAIT = 30.0
"""Seconds that one waits for its turn."""


class Pictures:
    """Makes pictures, one after the other.

    Args:
        files: Images and bundles.
        limits: Of the process that makes them.
        reader: Another way of making them, for tests.
    """

    def __init__(self, files: Files, limits: Limits, reader: ReadingClient | None = None) -> None:
        self._files, self._views = files, Views(files)
        self._reader = reader or ReadingClient(limits)
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)
        self._turn = threading.Lock()

    def view(self, image: str) -> Path:
        """A JPEG of a field that browsers do not show, as large as the field and turned as it is displayed.

        Args:
            image: The field's sha256.

        Raises:
            Unfit: Where there is no picture of it.
            Conflict: Where too many are asked for at once.
            ServerError: Where none can be made now.
        """
        return self._kept(image, VIEW, lambda field: _jpeg(self._reader.view(field)))

    def evidence(self, image: str, bundle: str, box: Box, label: str) -> bytes:
        """What spoke for and against a class in a cell, as JSON: ``label``, ``square``, and ``veil``, a data URL.

        Args:
            image: The sha256 of the cell's field.
            bundle: That of the bundle which read it.
            box: The cell.
            label: A class that the bundle knows.

        Raises:
            Unfit: Where the bundle tells of no evidence.
            Conflict: Where too many are asked for at once.
            ServerError: Where none can be made now.
        """
        asked = json.dumps([bundle, box.x0, box.y0, box.x1, box.y1, label])
        name = f"evidence-{hashlib.sha256(asked.encode()).hexdigest()[:32]}.json"
        path = self._files.bundle(bundle)

        def make(field: Path) -> tuple[str, bytes]:
            return _document(label, self._reader.explain(field, path, box, label))

        return self._kept(image, name, make).read_bytes()

    def stop(self) -> None:
        """Ends the process; who waits for a picture gets none."""
        self._reader.stop()
        with self._turn:
            self._reader.close()

    def _kept(self, image: str, name: str, make: Callable[[Path], tuple[str, bytes]]) -> Path:
        """Where a view lies, which is made where it is not there; ``make`` says of which image it is, and what."""
        place = self._views.path(image, name)
        if place.is_file():
            return place
        if not self._waiting.acquire(blocking=False):
            raise _busy()
        try:
            if not self._turn.acquire(timeout=LONGEST_WAIT):
                raise _busy()
            try:
                if not place.is_file():  # somebody else may have had it made meanwhile
                    digest, content = make(self._files.path(image))
                    if digest != image:
                        raise ReadingFailedError(ANOTHER_FILE, "Restore it from a backup")
                    self._views.put(image, name, content)
            finally:
                self._turn.release()
        except ReadingFailedError as error:
            raise Unfit(error.problem, "Look at its cells in the gallery") from error
        finally:
            self._waiting.release()
        return place


def _jpeg(made: View) -> tuple[str, bytes]:
    return made.image_sha256, made.jpeg


def _document(label: str, made: Evidence) -> tuple[str, bytes]:
    veil = f"data:image/png;base64,{base64.b64encode(made.png).decode()}"
    return made.image_sha256, json.dumps({"label": label, "square": made.square, "veil": veil}).encode()


def _busy() -> Conflict:
    return Conflict("too many pictures are asked for at once", "Try again in a moment")
