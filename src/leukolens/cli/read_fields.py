"""Reads a sample's fields, those that an earlier run has done from its journal."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from leukolens import __version__
from leukolens.errors import ImageError
from leukolens.imaging.decode import content_of

if TYPE_CHECKING:
    from leukolens.bundle import Bundle
    from leukolens.reading.cell import FieldReading
    from leukolens.report.journal import Journal


class Reads(Protocol):
    """What reads fields: `leukolens.reading.fields.FieldReader`."""

    @property
    def bundle(self) -> Bundle:
        """The bundle that it reads with."""

    @property
    def engine(self) -> str:
        """What runs the bundle's graphs."""

    def read(self, sources: Iterable[Path]) -> Iterator[FieldReading]:
        """One reading a source, in their order."""


class SampleReading:
    """The reading of one sample, field by field.

    A field whose bytes were there before in the same sample is a copy and is passed over: counted twice, it
    would promise narrower limits than there are.

    Args:
        reader: Reads what is new.
        journal: Knows what is done, and is told what becomes so.

    Attributes:
        copies: The images passed over, each with the one that it is a copy of.
    """

    def __init__(self, reader: Reads, journal: Journal) -> None:
        self.copies: list[tuple[Path, Path]] = []
        self._reader, self._journal = reader, journal
        self._seen: dict[str, Path] = {}

    def read(self, images: Iterable[str]) -> Iterator[FieldReading]:
        """One reading an image, in their order, copies left out.

        Images are taken a few ahead of what is given, and no pixels are kept.

        Raises:
            BundleError: Where the bundle's graphs cannot run.
            ReportError: Where the journal cannot be written.
        """
        order: deque[FieldReading | None] = deque()
        for reading in self._reader.read(self._unread(images, order)):
            # Whoever reads has asked for this one by now, so all that stand before it are in the line.
            while (done := order.popleft()) is not None:
                yield done
            self._journal.add(reading)
            yield reading
        while order:
            done = order.popleft()
            assert done is not None, "the reader gave fewer readings than it took images"
            yield done

    def _unread(self, images: Iterable[str], order: deque[FieldReading | None]) -> Iterator[Path]:
        """The images that have to be read; each image's place in the line is kept in ``order``."""
        for image in images:
            path = Path(image)
            digest = digest_of(path)
            if digest is not None:
                first = self._seen.setdefault(digest, path)
                if first is not path:
                    self.copies.append((path, first))
                    continue
                known = self._journal.find(digest, path)
                if known is not None:
                    order.append(known)
                    continue
            order.append(None)
            yield path


def digest_of(path: Path) -> str | None:
    """The file's SHA-256 as lower-case hexadecimal; None where there is nothing that could be decoded."""
    try:
        content = content_of(path)
    # Whoever reads it next says what is wrong with it.
    except ImageError:
        return None
    return hashlib.sha256(content).hexdigest() if content else None


def unlisted(folder: str, why: str) -> FieldReading:
    """What stands in a report for a folder that could not be listed."""
    from leukolens.reading.cell import FieldReading

    return FieldReading(Path(folder), "failed", f"the folder cannot be listed ({why})", "", 0, 0)


def made_with(reader: Reads) -> dict[str, str]:
    """What a reading depends on besides the field: the program, the bundle and what runs it."""
    return {"leukolens": __version__, "bundle": reader.bundle.sha256, "engine": reader.engine}
