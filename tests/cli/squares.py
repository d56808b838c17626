"""Fields with coloured squares for cells, and a reader that sees them: `read` without a network.

A square in a class's colour is a cell of that class; one with a white core is a cell that nobody would name.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from leukolens.bundle import Bundle
from leukolens.errors import ImageError
from leukolens.imaging.decode import decode
from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, FieldReading
from leukolens.taxonomy import CLASSES

SIDE, WIDTH, HEIGHT = 12, 96, 64
PLACES = [(x, y) for y in (8, 36) for x in (8, 30, 52, 74)]


def draw(path: Path, cells: Iterable[str], *, unsure: int = 0, at_edge: int = 0, seed: int = 0) -> Path:
    """A field with these classes' squares, some of the first unsure, and neutrophils cut by the left edge."""
    rgb = np.random.default_rng(seed).integers(235, 256, (HEIGHT, WIDTH, 3), np.uint8)
    colours = {kind.key: kind.rgb for kind in CLASSES}
    for number, (key, (x, y)) in enumerate(zip(cells, PLACES, strict=False)):
        rgb[y : y + SIDE, x : x + SIDE] = colours[key]
        if number < unsure:
            rgb[y + 4 : y + 8, x + 4 : x + 8] = 255
    for number in range(at_edge):
        rgb[24 + 14 * number : 30 + 14 * number, 0:4] = colours["neutrophil"]
    Image.fromarray(rgb).save(path)
    return path


class SquareReader:
    """Reads such fields.

    Args:
        bundle: What it says it reads with.
        slowness: How long each field takes, seconds.
    """

    def __init__(self, bundle: Bundle, *, slowness: float = 0.0) -> None:
        self.bundle, self.engine, self.slowness = bundle, "squares 1.0", slowness
        self.read_files: list[str] = []

    def read(self, sources: Iterable[Path]) -> Iterator[FieldReading]:
        """One reading a field, three sources ahead of what is given, as a reader with threads would."""
        ahead: list[Path] = []
        for source in sources:
            ahead.append(source)
            if len(ahead) > 3:
                yield self._one(ahead.pop(0))
        for source in ahead:
            yield self._one(source)

    def _one(self, path: Path) -> FieldReading:
        time.sleep(self.slowness)
        self.read_files.append(path.name)
        try:
            rgb = decode(path)
        except ImageError as error:
            content = path.read_bytes() if path.is_file() else b""
            return FieldReading(path, "failed", error.reason, hashlib.sha256(content).hexdigest(), 0, 0)
        cells = sorted(_cells(rgb), key=lambda cell: (cell.box.y0, cell.box.x0))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        status = "ok" if cells else "no_cell"
        reason = None if cells else "no white cell found"
        return FieldReading(
            path, status, reason, digest, rgb.shape[1], rgb.shape[0], tuple(cells), 5, 2, 6.3
        )  # fmt: skip


def _cells(rgb: np.ndarray) -> Iterator[Cell]:
    keys = [kind.key for kind in CLASSES]
    for kind in CLASSES:
        there = (rgb == kind.rgb).all(axis=2).astype(np.uint8)
        number, _, stats, _ = cv2.connectedComponentsWithStats(there)
        for x, y, w, h, area in stats[1:number].tolist():
            sure = area == w * h
            top = 0.9 + 0.01 / 3 if sure else 0.5
            rest = (1 - top) / (len(keys) - 1)
            yield Cell(
                Box(x, y, x + w, y + h),
                {key: top if key == kind.key else rest for key in keys},
                "accept" if sure else "review",
                "a whole square" if sure else "its core is white",
                at_edge=x == 0,
                score=1 / 3,
            )
