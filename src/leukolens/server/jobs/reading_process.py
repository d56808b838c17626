"""Reads one field after the other, in a process of its own: what a client's image does, it does to this alone.

``python -m leukolens.server.jobs.reading_process`` first says that it is ready. From then on each line of its
standard input, ``{"image": path, "bundle": path}``, is answered by one line: ``{"field": entry, "crops": [base64
JPEG, ...], "engine": ..., "leukolens": ..., "bundle_sha256": ...}``, or ``{"problem": ...}`` where the server is at
fault. An image that cannot be read gives a field that says so. A line ``{"image": path, "box": [x0, y0, x1, y1]}``
has one cell cut out, and no bundle is loaded for it: ``{"crop": base64 JPEG, "at_edge": bool, "image_sha256": ...}``,
or ``{"problem": ...}`` where the image cannot be read either. A line that says ``"show"`` is answered by `showing`.
The process holds its own memory and time within limits, writes no file, and ends when its input does.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import math
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from leukolens.imaging.framing import Box
    from leukolens.reading.fields import FieldReader

GRACE_SECONDS = 10
"""After which the process ends itself where whoever should have ended it is gone."""


def main() -> None:
    """Answers until the input ends."""
    parser = argparse.ArgumentParser(prog="leukolens.server.jobs.reading_process")
    parser.add_argument("--memory", type=int, required=True, help="address space, bytes")
    parser.add_argument("--pixels", type=int, required=True, help="of one image")
    parser.add_argument("--seconds", type=float, required=True, help="for one field")
    limits = parser.parse_args()
    answers = _answers()
    hold_within(limits.memory)
    # Whoever reads says when to stop; Ctrl-C at the terminal reaches the whole group of processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import leukolens.reading.fields  # noqa: F401
    except MemoryError:
        sys.exit("not enough memory to begin")
    _say(answers, {"ready": True})
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        with _alarm(limits.seconds + GRACE_SECONDS):
            answer = _answer(asked, limits.pixels)
        _say(answers, answer)


def answered(image: Path, bundle: Path, pixels: int) -> dict[str, Any]:
    """What is said of an image.

    Args:
        image: Its file.
        bundle: The bundle's file.
        pixels: That it may have.
    """
    from leukolens import __version__
    from leukolens.errors import LeukolensError
    from leukolens.report.field_entries import field_entry

    try:
        reader = _reader(bundle)
        field, crops = _read(reader, image, pixels)
    except LeukolensError as error:
        return {"problem": str(error)}
    except MemoryError:
        return {"problem": "there is not enough memory to read it"}
    return {
        "field": field_entry(field),
        "crops": [base64.b64encode(jpeg).decode() for jpeg in crops],
        "engine": reader.engine,
        "leukolens": __version__,
        "bundle_sha256": reader.bundle.sha256,
    }


def cut_out(image: Path, box: Box, pixels: int) -> dict[str, Any]:
    """What is said of one cell of an image, whose place is known.

    Args:
        image: Its file.
        box: The cell, pixels of the image as displayed.
        pixels: That the image may have.
    """
    from leukolens.errors import ImageError
    from leukolens.imaging.decode import content_of
    from leukolens.imaging.nucleus import slide_of
    from leukolens.reading.fields import cut_by_border, cut_by_edge
    from leukolens.report.page_pictures import CLOSE_CROP_SIDE, crop

    try:
        content = content_of(image)
        rgb = _decoded(content, pixels)
        height, width = rgb.shape[:2]
        at_edge = cut_by_edge(box, width, height) or cut_by_border(box, slide_of(rgb))
        jpeg = crop(rgb, box, CLOSE_CROP_SIDE)
    except ImageError as error:
        return {"problem": error.reason}
    except MemoryError:
        return {"problem": "there is not enough memory to cut it out"}
    return {
        "crop": base64.b64encode(jpeg).decode(),
        "at_edge": at_edge,
        "image_sha256": hashlib.sha256(content).hexdigest(),
    }


def hold_within(memory: int) -> None:
    """Limits this process: its address space in bytes, no file written, no core left behind; nothing on Windows."""
    try:
        import resource
    except ImportError:
        return
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        # Some systems refuse the first, and a lower limit may be set already.
        with suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))


def _answer(asked: dict[str, Any], pixels: int) -> dict[str, Any]:
    from leukolens.imaging.framing import Box

    if "show" in asked:
        from leukolens.server.jobs.showing import shown

        return shown(
            asked, lambda content: _decoded(content, pixels), lambda bundle: _reader(bundle).classifier
        )
    image = Path(asked["image"])
    if "box" in asked:
        return cut_out(image, Box(*asked["box"]), pixels)
    return answered(image, Path(asked["bundle"]), pixels)


@lru_cache(maxsize=2)
def _reader(bundle: Path) -> FieldReader:
    from leukolens.reading.fields import FieldReader

    return FieldReader(bundle, threads=1)


def _read(reader: FieldReader, image: Path, pixels: int) -> tuple[Any, list[bytes]]:
    """The field, and its cells' crops in the same order."""
    from leukolens.errors import ImageError
    from leukolens.imaging.decode import content_of
    from leukolens.reading.cell import FieldReading
    from leukolens.report.page_pictures import CLOSE_CROP_SIDE, crop

    digest = ""
    try:
        content = content_of(image)
        digest = hashlib.sha256(content).hexdigest()
        rgb = _decoded(content, pixels)
    except ImageError as error:
        return FieldReading(image, "failed", error.reason, digest, 0, 0), []
    field = replace(reader.read_one(rgb), path=image, sha256=digest)
    # Every crop is as large as a doubtful cell's: a person may look closely at any.
    return field, [crop(rgb, cell.box, CLOSE_CROP_SIDE) for cell in field.cells]


def _decoded(content: bytes, pixels: int) -> NDArray[np.uint8]:
    from leukolens.errors import ImageError
    from leukolens.imaging.decode import decode

    rgb = decode(content)
    height, width = rgb.shape[:2]
    if height * width > pixels:
        raise ImageError(None, f"has {width} x {height} pixels; {pixels} are the limit", "Make it smaller")
    return rgb


def _answers() -> BinaryIO:
    """The stream of answers; whatever else is printed goes the way of errors."""
    kept = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return kept


def _say(answers: BinaryIO, what: dict[str, Any]) -> None:
    answers.write(json.dumps(what, allow_nan=False).encode() + b"\n")
    answers.flush()


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Ends the process after so long, decoders that never come back to Python included."""
    if not hasattr(signal, "alarm"):
        yield
        return
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(math.ceil(seconds))
    try:
        yield
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    main()
