"""The data sets by name."""

from __future__ import annotations

from pathlib import Path

from leukolens.datasets.base import CellDataset
from leukolens.datasets.bccd import Bccd
from leukolens.datasets.blood_cells import BloodCells
from leukolens.datasets.folder import Folder
from leukolens.datasets.pbc import Pbc
from leukolens.datasets.raabin import Raabin
from leukolens.datasets.tecom import Tecom
from leukolens.errors import DataError

CLASSES: dict[str, type[CellDataset]] = {kind.name: kind for kind in (BloodCells, Bccd, Pbc, Raabin, Tecom)}

NAMES: tuple[str, ...] = tuple(CLASSES)


def dataset_class(name: str) -> type[CellDataset]:
    """The class of the published set of this name.

    Raises:
        DataError: Where there is none.
    """
    try:
        return CLASSES[name]
    except KeyError:
        raise DataError(f"{name!r} is no known data set", f"Use one of {', '.join(NAMES)}") from None


def open_dataset(name: str, root: Path) -> CellDataset:
    """The published set of this name below the data root, or the folder of class folders at this path.

    Args:
        name: One of ``NAMES``, or the path of a folder.
        root: The folder that holds the published sets, each under its own name.

    Raises:
        DataError: Where there is no such set or folder, or it is not what it should be.
    """
    if name in CLASSES:
        return CLASSES[name](root / name)
    if Path(name).is_dir():
        return Folder(Path(name))
    raise DataError(
        f"{name!r} is neither a known data set nor a folder",
        f"Use one of {', '.join(NAMES)}, or a folder's path",
    )
