"""What the reading process answered, checked: it has looked at what a client sent, and is believed nothing."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from leukolens.errors import ReportError, ServerError
from leukolens.reading.cell import FieldReading
from leukolens.report.field_entries import field_from_entry
from leukolens.report.tables import printable
from leukolens.server.settings import MIB

LONGEST_REASON = 500
LARGEST_CROP = 512 * 1024
LARGEST_VIEW = 96 * MIB
LONGEST_BARCODE = 200
"""Characters: an identifier has no more."""
BESIDE = "Write the identifier into barcode.txt beside it"
Sensible = TypeVar("Sensible")


class ReadingFailedError(ServerError):
    """What the reading process could not do, with the reason that stands beside the field or the job from then on."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A field as it was read.

    Attributes:
        field: The reading.
        crops: A JPEG of each of its cells, in their order.
        engine: What ran the graphs.
        leukolens: The version that read it.
        bundle_sha256: Of the bundle.
    """

    field: FieldReading
    crops: tuple[bytes, ...]
    engine: str
    leukolens: str
    bundle_sha256: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A cell that a person drew, cut out.

    Attributes:
        jpeg: What the gallery shows.
        at_edge: Whether the field's edge, or black inside it, cuts the cell.
        image_sha256: Of the image that it was cut from.
    """

    jpeg: bytes
    at_edge: bool
    image_sha256: str


@dataclass(frozen=True, slots=True)
class View:
    """A field as a browser can show it.

    Attributes:
        jpeg: Of the field's own size, turned as it is displayed.
        image_sha256: Of the image that it was made of.
    """

    jpeg: bytes
    image_sha256: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What spoke for and against a class in a cell.

    Attributes:
        png: To be laid over the square; see-through where nothing spoke.
        square: What it covers, ``x0, y0, x1, y1`` in pixels of the image as displayed; may reach over its edge.
        image_sha256: Of the image that the cell is in.
    """

    png: bytes
    square: tuple[int, int, int, int]
    image_sha256: str


@dataclass(frozen=True, slots=True)
class Barcode:
    """The barcode in a photograph.

    Attributes:
        text: What it says: one line that can be an identifier.
        image_sha256: Of the photograph.
    """

    text: str
    image_sha256: str


def answer_of(line: bytes) -> Answer:
    """The field in a line that the reading process wrote.

    Raises:
        ReadingFailedError: Where it tells of a problem, or is none.
    """
    return _sensible(line, _read)


def picture_of(line: bytes) -> Picture:
    """The cell's picture in a line that the reading process wrote.

    Raises:
        ReadingFailedError: Where it tells of a problem, or is none.
    """
    return _sensible(line, _cut_out)


def view_of(line: bytes) -> View:
    """The view in a line that the reading process wrote.

    Raises:
        ReadingFailedError: Where it tells of a problem, or is none.
    """
    return _sensible(line, _view)


def evidence_of(line: bytes) -> Evidence:
    """The evidence in a line that the reading process wrote.

    Raises:
        ReadingFailedError: Where it tells of a problem, or is none.
    """
    return _sensible(line, _evidence)


def barcode_of(line: bytes) -> Barcode:
    """The one barcode in a line that the reading process wrote.

    Raises:
        ReadingFailedError: Where it tells of a problem, or is none; of no barcode, of several that differ, of one
            that may be misread unnoticed, or of one that can be no identifier.
    """
    return _sensible(line, _barcode)


def words(said: str) -> str:
    """Text on one line, without control characters, no longer than a reason may be."""
    said = printable(" ".join(said.split()))
    return said if len(said) <= LONGEST_REASON else f"{said[: LONGEST_REASON - 1]}…"


def _sensible(line: bytes, checked: Callable[[dict[str, Any]], Sensible]) -> Sensible:
    try:
        said = json.loads(line, parse_constant=_no_number)
        if "problem" in said:
            raise ReadingFailedError(words(str(said["problem"])), "Read the field again")
        return checked(said)
    except (AttributeError, KeyError, TypeError, ValueError, ReportError, RecursionError) as error:
        raise ReadingFailedError("the reading process gave no sensible answer", "Read it again") from error


def _read(said: dict[str, Any]) -> Answer:
    field = field_from_entry(said["field"])
    crops = tuple(_jpeg(crop) for crop in said["crops"])
    if len(crops) != len(field.cells) or (field.status == "ok") != bool(field.cells):
        raise ValueError("cells and crops do not agree")
    if not (0 <= field.width < 2**31 and 0 <= field.height < 2**31):
        raise ValueError("no size of an image")
    for cell in field.cells:
        box = cell.box
        if not (0 <= box.x0 < box.x1 <= field.width and 0 <= box.y0 < box.y1 <= field.height):
            raise ValueError("a cell outside its field")
        if not cell.probabilities:
            raise ValueError("a cell of no class")
    return Answer(
        field,
        crops,
        words(str(said["engine"]))[:80],
        words(str(said["leukolens"])),
        str(said["bundle_sha256"]),
    )


def _cut_out(said: dict[str, Any]) -> Picture:
    at_edge = said["at_edge"]
    if not isinstance(at_edge, bool):
        raise ValueError("no edge")
    return Picture(_jpeg(said["crop"]), at_edge, _digest(said))


def _view(said: dict[str, Any]) -> View:
    return View(_jpeg(said["view"], LARGEST_VIEW), _digest(said))


def _evidence(said: dict[str, Any]) -> Evidence:
    png = _decoded(said["veil"])
    if not png.startswith(b"\x89PNG\r\n\x1a\n") or len(png) > LARGEST_CROP:
        raise ValueError("a veil that is no small PNG")
    x0, y0, x1, y1 = said["square"]
    if not all(type(side) is int and abs(side) < 2**31 for side in (x0, y0, x1, y1)) or x0 >= x1 or y0 >= y1:
        raise ValueError("no square")
    return Evidence(png, (x0, y0, x1, y1), _digest(said))


def _barcode(said: dict[str, Any]) -> Barcode:
    texts, checked, digest = said["texts"], said["checked"], _digest(said)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("no texts")
    if not isinstance(checked, bool):
        raise ValueError("no kind")
    if not texts:
        raise ReadingFailedError("shows no barcode that can be read", BESIDE)
    if len(texts) > 1:
        raise ReadingFailedError("shows several barcodes that say different things", BESIDE)
    if not checked:
        raise ReadingFailedError("shows a barcode that is neither Code 128, Data Matrix nor QR", BESIDE)
    (text,) = texts
    if text != text.strip() or not text.isprintable() or not 0 < len(text) <= LONGEST_BARCODE:
        raise ReadingFailedError("shows a barcode that can be no identifier", BESIDE)
    return Barcode(text, digest)


def _digest(said: dict[str, Any]) -> str:
    digest: str = said["image_sha256"]
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError("no image")
    return digest


def _jpeg(encoded: str, largest: int = LARGEST_CROP) -> bytes:
    jpeg = _decoded(encoded)
    if not jpeg.startswith(b"\xff\xd8\xff") or len(jpeg) > largest:
        raise ValueError("a picture that is no JPEG, or too large")
    return jpeg


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError("a picture that is none") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
