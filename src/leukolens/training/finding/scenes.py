"""Scenes: photographs whose cells have known places, decoded, balanced and brought to one scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from leukolens.datasets.base import Sample
from leukolens.datasets.bccd import Bccd
from leukolens.datasets.boxes import LabelledBox
from leukolens.datasets.manifest import manifest
from leukolens.datasets.pbc import Pbc
from leukolens.datasets.raabin import Raabin
from leukolens.datasets.tecom import Tecom
from leukolens.errors import DataError, TrainingError
from leukolens.imaging.color import white_balance
from leukolens.imaging.decode import decode
from leukolens.imaging.framing import CELL_OVER_NUCLEUS
from leukolens.imaging.nucleus import find_nucleus
from leukolens.models.detector import KINDS

WHITE_CELL, RED_CELL, PLATELET = range(len(KINDS))
STORED_RED_CELL = 64.0
"""Diameter of a red cell in a scene, pixels: enough for the largest scale that views ask for."""
RED_CELL_OF = {"bccd": 103.5, "raabin-500": 130.0, "pbc-224": 48.0, "tecom-300": 36.0}
"""Diameter of a red cell in each set's images, pixels: medians of the boxes, or measured by eye."""
SINGLES = 700
"""Single cells of pbc-224 that are used; more would show the same ground again."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A photograph with the places of its cells.

    Attributes:
        name: Set and file.
        pixels: uint8 (h, w, 3), balanced; a red cell has about ``STORED_RED_CELL`` pixels.
        boxes: float32 (n, 4), x0, y0, x1, y1 in pixels of the scene.
        kinds: int64 (n,), index into `KINDS`.
        sized: bool (n,), whether the box is measured; else only its middle is.
        taught: For each kind, whether all of its cells are listed, so that their absence teaches too.
        field: What a split must not tear apart.
    """

    name: str
    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    kinds: NDArray[np.int64]
    sized: NDArray[np.bool_]
    taught: tuple[bool, bool, bool]
    field: str


def scenes_of(name: str, root: Path, *, with_test: bool = False) -> list[Scene]:
    """The scenes of a data set.

    Args:
        name: One of those with places of cells.
        root: The folder of data sets.
        with_test: Whether photographs of blood-cells TEST's fields are among them; only for measuring.

    Raises:
        DataError: Where the set is absent.
        TrainingError: Where it has no places of cells.
    """
    readers: dict[str, Callable[[Path], Iterator[Scene]]] = {
        "bccd": lambda folder: _bccd(folder, with_test),
        "raabin-500": _raabin,
        "pbc-224": _pbc,
        "tecom-300": _tecom,
    }
    if name not in readers:
        raise TrainingError(f"{name} has no places of cells", f"Use {', '.join(readers)}")
    return list(readers[name](root / name))


def photographs(
    root: Path, *, with_test: bool = False
) -> Iterator[tuple[Path, str, tuple[LabelledBox, ...]]]:
    """Every photograph of bccd with its field and its boxes; those of TEST's fields only where asked for.

    Raises:
        DataError: Where the set is absent, or holds a photograph that no list knows.
    """
    dataset, known = Bccd(root / "bccd"), manifest("bccd")
    for path in dataset.photographs():
        entry = known.get(path.relative_to(dataset.root).as_posix())
        if entry is None:
            raise DataError(
                f"{path} is not a photograph of bccd",
                "Move it out of the folder; only listed photographs are known to stand apart from TEST",
            )
        field = entry.field or entry.group
        if with_test or not field.startswith("blood-cells/TEST/"):
            yield path, field, dataset.boxes(path)


def _bccd(folder: Path, with_test: bool) -> Iterator[Scene]:
    for path, field, boxes in photographs(folder.parent, with_test=with_test):
        yield _boxed("bccd", path, field, boxes)


def _raabin(folder: Path) -> Iterator[Scene]:
    dataset = Raabin(folder)
    for sample in dataset.samples():
        yield _boxed("raabin-500", sample.path, sample.field, dataset.boxes(sample.path))


def _boxed(name: str, path: Path, field: str, labelled: tuple[LabelledBox, ...]) -> Scene:
    corners = [[each.box.x0, each.box.y0, each.box.x1, each.box.y1] for each in labelled]
    boxes = np.array(corners, np.float32).reshape(-1, 4)
    kinds = np.array([KINDS.index(each.kind) for each in labelled], np.int64)
    sized = np.ones(len(labelled), np.bool_)
    return _scaled(name, path, field, boxes, kinds, sized, (True, True, True))


def _pbc(folder: Path) -> Iterator[Scene]:
    """One cell in the middle; red cells around it are not listed. Erythroblasts are left out.

    A platelet teaches that no white cell is there.
    """
    every = [s for s in Pbc(folder).samples() if s.label != "other" or s.path.parent.name == "platelet"]
    chosen = np.random.default_rng(0).permutation(len(every))[:SINGLES]
    for sample in (every[index] for index in sorted(chosen)):
        platelet = sample.label == "other"
        found = _around_nucleus(sample, PLATELET if platelet else WHITE_CELL)
        if found is not None:
            boxes, kinds = found
            yield _scaled(
                "pbc-224",
                sample.path,
                sample.field,
                boxes,
                kinds,
                np.zeros(1, np.bool_),
                (True, False, False),
            )


def _around_nucleus(sample: Sample, kind: int) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
    nucleus = find_nucleus(decode(sample.path))
    if nucleus is None:
        return None
    half = nucleus.extent * (CELL_OVER_NUCLEUS if kind == WHITE_CELL else 1.0) / 2
    x, y = nucleus.x, nucleus.y
    return np.array([[x - half, y - half, x + half, y + half]], np.float32), np.array([kind], np.int64)


def _tecom(folder: Path) -> Iterator[Scene]:
    """One cell with its mask; its neighbours are not listed."""
    dataset = Tecom(folder)
    for sample in dataset.samples():
        rows, columns = np.nonzero(decode(dataset.mask(sample.path)).max(axis=2) > 64)
        if len(rows):
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            yield _scaled(
                "tecom-300", sample.path, sample.field, np.array([box], np.float32),
                np.array([WHITE_CELL], np.int64), np.ones(1, np.bool_), (True, False, False),
            )  # fmt: skip


def _scaled(
    name: str,
    path: Path,
    field: str,
    boxes: NDArray[np.float32],
    kinds: NDArray[np.int64],
    sized: NDArray[np.bool_],
    taught: tuple[bool, bool, bool],
) -> Scene:
    rgb = white_balance(decode(path))
    scale = STORED_RED_CELL / RED_CELL_OF[name]
    size = round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    pixels = np.asarray(cv2.resize(rgb, size, interpolation=method), np.uint8)
    return Scene(f"{name}/{path.name}", pixels, boxes * np.float32(scale), kinds, sized, taught, field)
