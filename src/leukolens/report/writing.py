"""A report's file appears under its name when it is whole: a reader meets the old one or the new one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from leukolens.errors import ReportError


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A text stream (UTF-8, line ends as written) whose file takes the place of ``path`` at the end.

    Where the block raises, what stood there before stays, and nothing is left beside it. A block may write
    piece by piece: it needs no more memory than its largest piece.

    Args:
        path: Where to write; its folder must be there, an existing file is replaced.

    Raises:
        ReportError: Where it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        stream = beside.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with stream:
            yield stream
        beside.replace(path)
    except OSError as error:
        # The stream's own trouble names no file and the move's names ours; any other came from the block.
        if error.filename is None or str(error.filename) == str(beside):
            raise _unwritable(path, error) from error
        raise
    finally:
        beside.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> ReportError:
    return ReportError(
        f"{path} cannot be written ({error.strerror or error})", "Free some space or choose another folder"
    )
