"""The files of a folder that fills: which have come to rest, and what each holds."""

from __future__ import annotations

import hashlib
import math
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from leukolens.errors import ServerError, Unfit
from leukolens.imaging.decode import SUFFIXES
from leukolens.server.intake.signatures import HEAD, image_problem
from leukolens.server.settings import MIB
from leukolens.server.store.files import CHUNK

STILL_SECONDS = 5.0
AGAIN_SECONDS = 30.0
"""After which what could not be taken is tried once more: a sample may have been opened again."""


@dataclass(slots=True)
class Resting:
    """What is remembered of a file, for as long as its size and time stay.

    Attributes:
        state: Size and time.
        since: When they were first so.
        digest: sha256 of an image; empty until it was read.
        barcode: What a photograph of a label says; empty until it was read.
        done: Whether there is nothing to do with it any more.
        problem: Why it was not taken; empty where it was, or was not tried yet.
        again: When it is tried once more.
    """

    state: tuple[int, int]
    since: float
    digest: str = ""
    barcode: str = ""
    done: bool = False
    problem: str = ""
    again: float = 0.0


class Rest:
    """What is remembered of files between two looks.

    Args:
        still: Seconds for which size and time of a file must not change.
        clock: Seconds, ever rising.
    """

    def __init__(self, still: float = STILL_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._still, self._clock = still, clock
        self._known: dict[Path, Resting] = {}

    def of(self, path: Path) -> Resting | None:
        """A file that has come to rest; None while it changes, or where it is gone."""
        try:
            found = path.lstat()
        except OSError:  # some cameras write under one name and move to another
            return None
        state, now = (found.st_size, found.st_mtime_ns), self._clock()
        known = self._known.get(path)
        if known is None or known.state != state:
            known = self._known[path] = Resting(state, now)
        return known if now - known.since >= self._still else None

    def is_due(self, file: Resting) -> bool:
        """Whether something is to be done with it now."""
        return not file.done and self._clock() >= file.again

    def refuse(self, file: Resting, problem: str, *, for_good: bool) -> None:
        """Notes why it was not taken; for good, where only another content could change that."""
        file.problem, file.again = problem, math.inf if for_good else self._clock() + AGAIN_SECONDS

    def forget_all_but(self, there: set[Path]) -> None:
        """Forgets files that are gone."""
        self._known = {path: known for path, known in self._known.items() if path in there}


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name, without what is hidden."""
    with os.scandir(folder) as found:
        return sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda one: one.name)


def is_image(name: str) -> bool:
    """Whether a file is called as images are."""
    return Path(name).suffix.lower() in SUFFIXES


def opened(path: Path) -> BinaryIO:
    """An ordinary file, to read from.

    Raises:
        OSError: Where it cannot be opened, or is a link.
        Unfit: Where it is anything but a file.
    """
    # Neither a link that was put in its place meanwhile, nor a pipe that nobody ever writes to.
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
        flags |= getattr(os, name, 0)
    stream = os.fdopen(os.open(path, flags), "rb")
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise Unfit("is no ordinary file", "Put an image there")
    return stream


def reason(error: ServerError | OSError) -> str:
    """Why a file was not taken, as a sentence that goes on after its name."""
    return error.problem if isinstance(error, ServerError) else f"cannot be read ({error.strerror})"


def digest_of(path: Path, limit: int) -> str:
    """The sha256 of an image file.

    Raises:
        OSError: Where it cannot be read.
        Unfit: Where it is no image by its first bytes, or has more bytes than that.
    """
    with opened(path) as stream:
        head = stream.read(HEAD)
        if problem := image_problem(head):
            raise Unfit(problem, "")
        digest, size = hashlib.sha256(head), len(head)
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > limit:
                raise Unfit(f"has more than {limit // MIB} MiB", "Put a smaller one there")
            digest.update(chunk)
    return digest.hexdigest()
