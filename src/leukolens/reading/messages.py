"""What a reader and its worker processes say to each other: bytes with their length before them, never pickles."""

from __future__ import annotations

import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, ImageReading

LENGTH = struct.Struct(">Q")
LARGEST = 2**30


def send(stream: BinaryIO, content: bytes) -> None:
    """Writes one message.

    Raises:
        OSError: Where the other side is gone.
    """
    stream.write(LENGTH.pack(len(content)) + content)
    stream.flush()


def receive(stream: BinaryIO) -> bytes | None:
    """The next message; None where the other side is gone, or says what is none."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    if length > LARGEST:
        return None
    content = stream.read(length)
    return content if len(content) == length else None


def entry_of(reading: ImageReading) -> list[Any]:
    """A reading without its path as JSON holds it; `reading_of` gives back an equal one, to the bit."""
    return [reading.status, reading.reason, [asdict(cell) for cell in reading.cells]]


def reading_of(entry: list[Any], path: Path) -> ImageReading:
    """The reading that `entry_of` made this of."""
    status, reason, cells = entry
    return ImageReading(path, status, reason, tuple(_cell_of(cell) for cell in cells))


def _cell_of(entry: dict[str, Any]) -> Cell:
    classes = entry["class_set"]
    restored = {"box": Box(**entry["box"]), "class_set": None if classes is None else tuple(classes)}
    return Cell(**{**entry, **restored})
