"""The images in a zip, one stream after the other. What a zip says of itself is checked, and none of its names is used.

Nothing is unpacked to a place that a zip could choose: an entry is bytes to read, and its name is only told back
to whoever sent it. Directories, ``__MACOSX`` and names that begin with a dot are passed over in silence.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, BinaryIO

from leukolens.errors import Unfit
from leukolens.server.settings import MIB, Limits

LARGEST_READ = 4 * MIB
"""Of a zip's bytes at once: a list of contents longer than that (some 40,000 files) is refused before it is held."""
HIGHEST_RATIO, RATIO_FROM = 100, 8 * MIB
"""Bytes that may come of one, once so many have come: what a camera saw is never packed so small."""
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a zip.

    Attributes:
        name: As the zip has it; to tell the sender, for nothing else.
        stream: Its bytes, until the next entry is asked for; None where it is refused. Reading raises `Unfit`
            where they turn out to be damaged, or a bomb.
        problem: Why it is refused; None where it is not.
    """

    name: str
    stream: BinaryIO | None
    problem: str | None = None


def entries(stream: BinaryIO, limits: Limits) -> Iterator[Entry]:
    """The files of a zip, in its order.

    Args:
        stream: The zip; can be sought in.
        limits: How many files, how large each and all together.

    Raises:
        Unfit: Where it is damaged, or holds too many.
    """
    try:
        archive = zipfile.ZipFile(_Bounded(stream))
    except _DAMAGED as error:
        raise Unfit("is no zip that can be read", "Pack it again") from error
    with archive:
        wanted = [entry for entry in archive.infolist() if not _passed_over(entry)]
        if len(wanted) > limits.files:
            raise Unfit(f"holds more than {limits.files} files", "Send it in several parts")
        if sum(entry.compress_size for entry in archive.infolist()) > stream.seek(0, io.SEEK_END):
            raise Unfit("is damaged: its files lie over each other", "Pack it again")
        left = limits.unpacked_bytes
        for entry in wanted:
            problem = _problem(entry, limits) or (None if left else _too_much(limits))
            if problem is not None:
                yield Entry(entry.orig_filename, None, problem)
                continue
            unpacked = _Unpacked(archive, entry, left, limits)
            with io.BufferedReader(unpacked, MIB) as reader:
                yield Entry(entry.orig_filename, reader)
                left = max(0, left - unpacked.given)


def _passed_over(entry: zipfile.ZipInfo) -> bool:
    name = entry.orig_filename.replace("\\", "/")
    parts = name.split("/")
    hidden = any(part.startswith(".") and part not in {".", ".."} for part in parts)
    return name.endswith("/") or hidden or "__MACOSX" in parts


def _problem(entry: zipfile.ZipInfo, limits: Limits) -> str | None:
    """What is wrong with a file by what the zip's list of contents says of it."""
    name, kind = entry.orig_filename.replace("\\", "/"), stat.S_IFMT(entry.external_attr >> 16)
    if name.startswith("/") or name[1:2] == ":" or ".." in name.split("/"):
        return "has a name that leads out of the zip"
    if kind not in {0, stat.S_IFREG}:
        return "is a link or another thing that is no file"
    if entry.flag_bits & 0x41:
        return "is encrypted"
    if entry.compress_type not in PACKINGS:
        return "is packed in a way that is not read; only deflate is"
    if entry.file_size > limits.image_bytes:
        return f"has more than {limits.image_bytes // MIB} MiB"
    return None


def _too_much(limits: Limits) -> str:
    return f"comes after {limits.unpacked_bytes // MIB} MiB, which is all that one zip may hold"


class _Bounded:
    """A zip's bytes, of which no more than `LARGEST_READ` are ever held at once, whatever it says."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, size: int = -1) -> bytes:
        found = self._stream.read(size if 0 <= size <= LARGEST_READ else LARGEST_READ + 1)
        if len(found) > LARGEST_READ:
            raise zipfile.BadZipFile("its list of contents is too long")
        return found


class _Unpacked(io.RawIOBase):
    """A zip's file as it is unpacked; stops as soon as there is more of it than there may be."""

    def __init__(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, left: int, limits: Limits) -> None:
        self.given = 0
        self._entry, self._left, self._limits = entry, left, limits
        self._archive = archive
        self._source: IO[bytes] | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        try:
            if self._source is None:
                self._source = self._archive.open(self._entry)
            piece = self._source.read(len(view))
        except _DAMAGED as error:
            raise Unfit("is damaged", "Pack it again") from error
        self.given += len(piece)
        self._check(ended=not piece)
        view[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
        super().close()

    def _check(self, *, ended: bool) -> None:
        if self.given > self._left:
            raise Unfit(_too_much(self._limits), "Send it in several parts")
        if self.given > max(RATIO_FROM, HIGHEST_RATIO * self._entry.compress_size):
            raise Unfit("unpacks to far more than an image would", "Send the image itself")
        if ended and self.given != self._entry.file_size:
            raise Unfit("is damaged: it has not the size that the zip says", "Pack it again")
