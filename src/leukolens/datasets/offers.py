"""Where a data set's files may come from: a folder on this machine, or a ZIP archive. Both only offer bytes.

Nothing is unpacked by the names that an archive gives: whoever takes an offer decides where it goes and how
many bytes it may have, so neither a path out of the folder nor a bomb has anything to aim at.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Protocol

from leukolens.errors import DataError

MOST_FILES = 500_000


class _Open(Protocol):
    def __call__(self) -> IO[bytes]: ...


@dataclass(frozen=True, slots=True)
class Offer:
    """One file that is to be had.

    Attributes:
        name: Its path where it comes from, with forward slashes.
        size: Bytes, as declared; whoever reads it stops there.
        open: Opens it for reading.
    """

    name: str
    size: int
    open: _Open

    def read(self) -> bytes:
        """The bytes, at most one more than declared.

        Raises:
            DataError: Where they cannot be read.
        """
        try:
            with self.open() as stream:
                return stream.read(self.size + 1)
        # A damaged member answers with anything from BadZipFile to zlib.error and NotImplementedError.
        except Exception as error:
            raise DataError(
                f"{self.name} cannot be read ({error})", "Get it again from where it came from"
            ) from error


@contextmanager
def offers(source: Path) -> Iterator[list[Offer]]:
    """The files in a folder or ZIP archive; they can be read inside the ``with`` block.

    Raises:
        DataError: Where it is neither, or damaged.
    """
    if source.is_dir():
        yield _bounded(_in_folder(source), source)
        return
    try:
        archive = zipfile.ZipFile(source)
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise DataError(
            f"{source} is neither a folder nor a ZIP archive that can be read ({error})",
            "Unpack other archives first, or get it again",
        ) from error
    with archive:
        yield _bounded(
            (
                Offer(member.filename.replace("\\", "/"), member.file_size, partial(archive.open, member))
                for member in archive.infolist()
                if not member.is_dir()
            ),
            source,
        )


def _in_folder(folder: Path) -> Iterator[Offer]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield Offer(path.relative_to(folder).as_posix(), path.stat().st_size, partial(path.open, "rb"))


def _bounded(found: Iterator[Offer], source: Path) -> list[Offer]:
    listed = []
    for offer in found:
        listed.append(offer)
        if len(listed) > MOST_FILES:
            raise DataError(f"{source} holds more than {MOST_FILES} files", "Name the data set's own folder")
    return listed
