"""Photographs with the boxes that their publisher drew, and the same changed: scale, corners, light, stain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from leukolens.datasets.bccd import Bccd
from leukolens.datasets.boxes import LabelledBox
from leukolens.datasets.manifest import manifest
from leukolens.imaging.decode import decode
from leukolens.models.detector import KINDS

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A photograph, what its publisher boxed, and what must not be torn apart by a resample."""

    path: Path
    group: str
    rgb: Pixels
    boxes: tuple[Boxes, ...]


def labelled(path: Path, group: str, boxes: tuple[LabelledBox, ...]) -> Labelled:
    corners = [
        np.array([[b.box.x0, b.box.y0, b.box.x1, b.box.y1] for b in boxes if b.kind == kind], np.float64)
        for kind in KINDS
    ]
    return Labelled(path, group, decode(path), tuple(each.reshape(-1, 4) for each in corners))


def bccd_fields(root: Path, *, test_only: bool) -> Iterator[Labelled]:
    """The photographs of bccd; those that blood-cells TEST was made from, or all."""
    dataset, known = Bccd(root / "bccd"), manifest("bccd")
    for path in dataset.photographs():
        entry = known[path.relative_to(dataset.root).as_posix()]
        if not test_only or entry.group.startswith("blood-cells/TEST/"):
            yield labelled(path, entry.field or entry.group, dataset.boxes(path))


def scaled(field: Labelled, times: float) -> Labelled:
    method = cv2.INTER_AREA if times < 1 else cv2.INTER_CUBIC
    rgb = np.asarray(cv2.resize(field.rgb, None, fx=times, fy=times, interpolation=method), np.uint8)
    return Labelled(field.path, field.group, rgb, tuple(boxes * times for boxes in field.boxes))


def turned(field: Labelled, degrees: float = 15.0) -> Labelled:
    """Turned about its middle, with black corners; round cells keep their boxes' sides."""
    height, width = field.rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    rgb = np.asarray(cv2.warpAffine(field.rgb, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8)
    moved = []
    for boxes in field.boxes:
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2 - 0.5
        centres = centres @ matrix[:, :2].T + matrix[:, 2] + 0.5
        halves = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (matrix[:, :2].T ** 2))
        both = np.concatenate([centres - halves, centres + halves], axis=1)
        both = np.clip(both, 0, [width, height, width, height])
        moved.append(
            both[((both[:, 2:] - both[:, :2]).min(axis=1) > 0.5 * 2 * halves.min(axis=1, initial=1e9))]
        )
    return Labelled(field.path, field.group, rgb, tuple(moved))


def brighter(field: Labelled, times: float) -> Labelled:
    rgb = np.clip(np.rint(field.rgb.astype(np.float32) * times), 0, 255).astype(np.uint8)
    return Labelled(field.path, field.group, rgb, field.boxes)


def stained(field: Labelled, change: tuple[float, float, float]) -> Labelled:
    """More or less of haematoxylin, eosin and the residual (Ruifrok & Johnston 2001), in optical density."""
    stains = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    mixing = np.linalg.inv(stains) @ np.diag(change) @ stains
    density = -np.log(np.maximum(field.rgb, 1) / 255.0)
    rgb = np.clip(np.rint(255 * np.exp(-density @ mixing)), 0, 255).astype(np.uint8)
    return Labelled(field.path, field.group, rgb, field.boxes)


CHANGES: dict[str, Callable[[Labelled], Labelled]] = {
    "as it is": lambda field: field,
    "at half scale": lambda field: scaled(field, 0.5),
    "at double scale": lambda field: scaled(field, 2.0),
    "turned, black corners": turned,
    "10 % brighter": lambda field: brighter(field, 1.1),
    "10 % darker": lambda field: brighter(field, 0.9),
    "haematoxylin +20 %, eosin -20 %": lambda field: stained(field, (1.2, 0.8, 1.0)),
    "haematoxylin -20 %, eosin +20 %": lambda field: stained(field, (0.8, 1.2, 1.0)),
}
