"""Where a command puts what it found: a folder that is made, files that are replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path

from leukolens.errors import ReportError


def make(folder: Path) -> None:
    """Makes the folder and those above it.

    Raises:
        ReportError: Where that can't be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"{folder} cannot be made ({error.strerror})", "Choose another folder") from error


def write(path: Path, text: str) -> None:
    """Replaces the file as a whole: a reader meets the old one or the new one.

    Raises:
        ReportError: Where it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ReportError(
            f"{path} cannot be written ({error.strerror})", "Free some space or choose another folder"
        ) from error
