"""Draws smear fields with known cells from a seed: for the demo, and for tests without real images.

Drawn cells never train a shipped model. They show the way it works, not how good it is.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leukolens.datasets.folder import GROUPS_TABLE
from leukolens.datasets.synthetic_camera import Camera, photograph
from leukolens.datasets.synthetic_cells import DRAWN_CLASSES, Leukocyte, draw_leukocyte
from leukolens.datasets.synthetic_ground import draw_platelet, draw_red_cell
from leukolens.datasets.synthetic_layout import lay_before, lay_over, room_for, scatter
from leukolens.datasets.synthetic_paint import Floats, Stain, mix_stain
from leukolens.errors import DataError
from leukolens.imaging.framing import Box

__all__ = [
    "DRAWN_CLASSES",
    "Camera",
    "DrawnCell",
    "DrawnField",
    "Stain",
    "distorted",
    "draw_field",
    "draw_single",
    "mix_stain",
    "write_drawn_set",
]

PIXELS_PER_MICROMETRE = 6.3
PLATELETS_PER_SQUARE_MICROMETRE = 1 / 700


@dataclass(frozen=True, slots=True)
class DrawnCell:
    """One white cell of a drawn field.

    Attributes:
        label: Class key.
        box: The smallest box around the whole cell.
    """

    label: str
    box: Box


@dataclass(frozen=True, slots=True, eq=False)
class DrawnField:
    """A drawn smear field.

    Attributes:
        rgb: (h, w, 3).
        cells: Its white cells, in the order asked for.
    """

    rgb: NDArray[np.uint8]
    cells: tuple[DrawnCell, ...]


def draw_field(
    rng: np.random.Generator,
    width: int,
    height: int,
    cells: Sequence[str],
    *,
    pixels_per_micrometre: float = PIXELS_PER_MICROMETRE,
    crowding: float | None = None,
    stain: Stain | None = None,
    camera: Camera | None = None,
) -> DrawnField:
    """A field with these white cells among red cells and platelets; equal generators give equal bytes.

    Args:
        rng: Decides everything that is not given.
        width: Pixels.
        height: Pixels.
        cells: Class keys, one a cell; none gives a field without white cells.
        pixels_per_micrometre: 6.3 is the scale of the Kaggle images, where a red cell has 47 pixels.
        crowding: Share of the ground under red cells, 0 to about 0.7.
        stain: The slide's colours.
        camera: How it is photographed.

    Raises:
        DataError: Where there is no drawing for a class, or no room for so many cells.
    """
    scale = pixels_per_micrometre
    stain = stain or mix_stain(rng)
    camera = camera or Camera.sample(rng)
    finer = 2 if scale < 10 else 1
    stamps = [_shrunk(draw_leukocyte(rng, label, stain, finer * scale), finer) for label in cells]
    places = room_for(rng, width, height, [_radius(cover) for _, cover in stamps])
    crowding = float(rng.uniform(0.42, 0.66)) if crowding is None else crowding

    density = np.zeros((height, width, 3), np.float32)
    for place in scatter(rng, width / scale, height / scale, places / scale, crowding):
        lay_over(density, draw_red_cell(rng, stain, scale), place * scale)
    for _ in range(rng.poisson(width * height / scale**2 * PLATELETS_PER_SQUARE_MICROMETRE)):
        lay_over(density, draw_platelet(rng, stain, scale), rng.uniform((0, 0), (width, height)))
    known = [
        DrawnCell(label, lay_before(density, stamp, cover, place[:2]))
        for label, (stamp, cover), place in zip(cells, stamps, places, strict=True)
    ]
    return DrawnField(photograph(rng, density, stain.ground, camera), tuple(known))


def draw_single(
    rng: np.random.Generator, label: str, *, stain: Stain | None = None, camera: Camera | None = None
) -> DrawnField:
    """A field of 320x240 with one white cell, like the Kaggle "Blood Cell Images"."""
    return draw_field(rng, 320, 240, (label,), stain=stain, camera=camera)


def distorted(
    rng: np.random.Generator,
    field: DrawnField,
    *,
    degrees: float = 20,
    shift: float = 0.1,
    shear: float = 0.1,
) -> DrawnField:
    """The field turned, shifted, sheared and flipped at random, with black where nothing was.

    That is how the Kaggle set's copies were made of its photographs. Every cell's centre stays inside.

    Args:
        rng: Draws the distortion.
        field: The photograph.
        degrees: Largest rotation.
        shift: Largest shift, as a share of the sides.
        shear: Largest shear, radians.
    """
    height, width = field.rgb.shape[:2]
    middle = np.array([width / 2, height / 2])
    centres = np.array([[(c.box.x0 + c.box.x1) / 2, (c.box.y0 + c.box.y1) / 2] for c in field.cells])
    centres = centres.reshape(-1, 2)
    while True:
        turn, lean = np.radians(rng.uniform(-degrees, degrees)), rng.uniform(-shear, shear)
        flip = np.diag(rng.choice((-1.0, 1.0), 2))
        turned = np.array([[np.cos(turn), -np.sin(turn + lean)], [np.sin(turn), np.cos(turn + lean)]]) @ flip
        move = middle + rng.uniform(-shift, shift, 2) * (width, height) - turned @ middle
        moved = centres @ turned.T + move
        if ((moved > 0) & (moved < (width, height))).all():
            break
    matrix = np.concatenate([turned, move[:, None]], axis=1)
    rgb = np.asarray(cv2.warpAffine(field.rgb, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8)
    cells = []
    for cell, (x, y) in zip(field.cells, moved, strict=True):
        half = np.hypot(*(turned * (cell.box.width / 2, cell.box.height / 2)).T)
        x0, y0, x1, y1 = (round(value) for value in (x - half[0], y - half[1], x + half[0], y + half[1]))
        cells.append(DrawnCell(cell.label, Box(x0, y0, x1, y1).within(width, height)))
    return DrawnField(rgb, tuple(cells))


def write_drawn_set(
    folder: Path,
    rng: np.random.Generator,
    *,
    labels: Sequence[str] = DRAWN_CLASSES,
    photographs: int = 3,
    copies: int = 2,
) -> tuple[Path, ...]:
    """Writes a small data set that `leukolens.datasets.folder.Folder` reads: class folders and groups.

    Args:
        folder: Where; made if it is not there.
        rng: Draws the cells.
        labels: The classes.
        photographs: A class.
        copies: Distorted copies of every photograph, beside itself.

    Returns:
        The images.

    Raises:
        DataError: Where it cannot be written.
    """
    groups: list[tuple[str, str]] = []
    try:
        for label in labels:
            (folder / label).mkdir(parents=True, exist_ok=True)
            for photograph_number in range(photographs):
                field = draw_single(rng, label)
                for copy_number in range(copies + 1):
                    name = f"{label}/{photograph_number:03d}-{copy_number}.png"
                    shown = distorted(rng, field) if copy_number else field
                    Image.fromarray(shown.rgb).save(folder / name, compress_level=1)
                    groups.append((name, f"{label}/{photograph_number:03d}"))
        with (folder / GROUPS_TABLE).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("image", "group"), *groups])
    except OSError as error:
        raise DataError(
            f"{error.filename or folder} cannot be written ({error.strerror})",
            "Name a folder that you may write to, on a disk with space",
        ) from error
    return tuple(folder / name for name, _ in groups)


def _shrunk(cell: Leukocyte, times: int) -> tuple[Floats, Floats]:
    """A cell's density and cover at the field's resolution."""
    size = cell.cover.shape[1] // times, cell.cover.shape[0] // times
    density, cover = (
        cv2.resize(layer, size, interpolation=cv2.INTER_AREA) for layer in (cell.density, cell.cover)
    )
    return np.asarray(density, np.float32), np.asarray(cover, np.float32)


def _radius(cover: Floats) -> float:
    """Half of a cell's longer side, pixels."""
    rows, columns = np.nonzero(cover > 0.5)
    return float(max(np.ptp(rows), np.ptp(columns)) + 1) / 2
