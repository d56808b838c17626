"""Views: parts of scenes, turned, mirrored, scaled and put together, as a step learns from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from leukolens.imaging.color import WHITE_LEVEL
from leukolens.models.detector import KINDS
from leukolens.training.finding.recipe import Views
from leukolens.training.finding.scenes import STORED_RED_CELL, Scene

LARGEST_TILT = math.radians(20)
SEEN = np.array([0.35, 0.65, 0.5])
"""Share of a box that must stand in a view for a cell of each kind to count as shown.

Of the red cells that an edge of bccd's photographs cuts, hardly one in ten is boxed where less than .6 of it shows.
"""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A square that is shown once.

    Attributes:
        pixels: uint8 (size, size, 3).
        boxes: float32 (n, 4), in pixels of the view, clipped to it.
        kinds: int64 (n,).
        sized: bool (n,).
        taught: float32 (kinds, size, size), 0 where a kind's absence says nothing.
    """

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    kinds: NDArray[np.int64]
    sized: NDArray[np.bool_]
    taught: NDArray[np.float32]


def view(scenes: list[Scene], weights: NDArray[np.float64], spec: Views, rng: np.random.Generator) -> View:
    """One view, of one scene or of four that meet at a point.

    Args:
        scenes: To draw from.
        weights: How often each is drawn; they add up to 1.
        spec: What may happen.
        rng: Where all randomness comes from.
    """
    size = spec.size
    low, high = spec.usual_scale if rng.random() < spec.usual else spec.scale
    scale = math.exp(rng.uniform(math.log(low), math.log(high)))
    if rng.random() >= spec.mosaic:
        return _part(scenes[rng.choice(len(scenes), p=weights)], size, size, scale, spec, rng)
    pixels = np.empty((size, size, 3), np.uint8)
    taught = np.empty((len(KINDS), size, size), np.float32)
    x, y = (int(value) for value in rng.integers(size // 4, 3 * size // 4, 2))
    boxes, kinds, sized = [], [], []
    for x0, y0, x1, y1 in ((0, 0, x, y), (x, 0, size, y), (0, y, x, size), (x, y, size, size)):
        near = scale * math.exp(rng.normal(0, 0.1))
        scene = scenes[rng.choice(len(scenes), p=weights)]
        piece = _part(scene, x1 - x0, y1 - y0, near, spec, rng)
        pixels[y0:y1, x0:x1] = piece.pixels
        taught[:, y0:y1, x0:x1] = piece.taught
        boxes.append(piece.boxes + np.array([x0, y0, x0, y0], np.float32))
        kinds.append(piece.kinds)
        sized.append(piece.sized)
    return View(pixels, np.concatenate(boxes), np.concatenate(kinds), np.concatenate(sized), taught)


def _part(scene: Scene, width: int, height: int, scale: float, spec: Views, rng: np.random.Generator) -> View:
    """A part of one scene; what lies beyond it is empty ground, where nothing can be missing."""
    factor = spec.red_cell / STORED_RED_CELL * scale
    source, shrunk = scene.pixels, 1.0
    while factor / shrunk < 0.6 and min(source.shape[:2]) > 16:
        half = source.shape[1] // 2, source.shape[0] // 2
        source = np.asarray(cv2.resize(source, half, interpolation=cv2.INTER_AREA), np.uint8)
        shrunk /= 2
    angle = math.pi / 2 * rng.integers(4)
    if rng.random() < spec.tilt:
        angle += rng.uniform(-LARGEST_TILT, LARGEST_TILT)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    turn = turn @ np.diag(rng.choice((-1.0, 1.0), 2))
    full_height, full_width = scene.pixels.shape[:2]
    middle = np.array([full_width, full_height]) / 2
    reach = np.abs(turn) @ np.array([full_width, full_height]) * factor
    room = np.maximum(np.abs(reach - (width, height)) / 2, 8)
    move = np.array([width, height]) / 2 + rng.uniform(-room, room) - turn @ middle * factor
    # Pixel centres lie at halves; the half is taken out for OpenCV, which counts from centres.
    linear = turn * (factor / shrunk)
    offset = linear @ np.array([0.5, 0.5]) + move - 0.5
    matrix = np.concatenate([linear, offset[:, None]], axis=1)
    pixels = cv2.warpAffine(
        source, matrix, (width, height), flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT, borderValue=(WHITE_LEVEL,) * 3,
    )  # fmt: skip
    inside = cv2.warpAffine(
        np.ones(source.shape[:2], np.uint8), matrix, (width, height), flags=cv2.INTER_NEAREST
    )
    taught = np.stack([np.maximum(1 - inside, np.uint8(known)) for known in scene.taught])
    boxes, kept = _moved(scene.boxes, SEEN[scene.kinds], turn * factor, move, width, height)
    return View(
        np.asarray(pixels, np.uint8), boxes[kept], scene.kinds[kept], scene.sized[kept],
        taught.astype(np.float32),
    )  # fmt: skip


def _moved(
    boxes: NDArray[np.float32],
    seen: NDArray[np.float64],
    linear: NDArray[np.float64],
    move: NDArray[np.float64],
    width: int,
    height: int,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Boxes of round cells after a turn, clipped; and which of them still show as much as ``seen``."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 @ linear.T + move
    halves = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (linear**2).T)
    whole = np.concatenate([centres - halves, centres + halves], axis=1)
    clipped = np.clip(whole, 0, [width, height, width, height])
    area = np.prod(whole[:, 2:] - whole[:, :2], axis=1)
    kept = np.prod(clipped[:, 2:] - clipped[:, :2], axis=1) > seen * np.maximum(area, 1e-6)
    return clipped.astype(np.float32), kept
