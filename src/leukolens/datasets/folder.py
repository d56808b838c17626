"""A laboratory's own cells: a plain folder of class folders."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from leukolens.datasets.base import CellDataset, Publication, Sample, images_in
from leukolens.datasets.labels import class_called
from leukolens.errors import DataError
from leukolens.taxonomy import CLASS_KEYS, in_order

GROUPS_TABLE = "groups.csv"


class Folder(CellDataset):
    """Images in folders named after their class, e.g. ``neutrophil/0001.png``.

    Every image is its own group unless ``groups.csv`` beside the class folders says otherwise: columns
    ``image`` (path below the folder, with forward slashes), ``group`` (slide, patient, photograph), and where
    it is known ``blind`` (the class that was said while no answer was shown).

    Args:
        root: The folder.
        lab: Key of the laboratory; the folder's own name where none is given.

    Raises:
        DataError: Where it is not there, holds no class folder, or one that names no class.
    """

    name = "folder"
    publication = Publication(
        title="A folder of class folders",
        source="",
        licence="the owner's",
        permissive=False,
        steps="Yours already",
    )

    def __init__(self, root: Path, lab: str | None = None) -> None:
        if not root.is_dir():
            raise DataError(f"{root} is no folder", "Name a folder that holds one folder per cell class")
        super().__init__(root)
        self.lab = lab or root.resolve().name
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        unknown = [folder.name for folder in folders if class_called(folder.name) is None]
        if unknown or not folders:
            raise DataError(
                f"{root}: {', '.join(unknown)} names no cell class"
                if unknown
                else f"{root} holds no class folder",
                f"Name each folder after its class ({', '.join(CLASS_KEYS)}), or move it away",
            )
        self._labels = {folder: label for folder in folders if (label := class_called(folder.name))}
        self.classes = in_order(set(self._labels.values()))

    def blind(self) -> dict[str, str]:
        """Class keys that were said of images while no answer was shown, by path with forward slashes.

        Raises:
            DataError: Where one names no class.
        """
        said = {}
        for row in self._rows() or ():
            name, blind = row["image"], (row.get("blind") or "").strip()
            if not blind:
                continue
            key = class_called(blind)
            if key is None:
                raise DataError(
                    f"{self.root / GROUPS_TABLE}: {name} was called {blind}, which names no cell class",
                    f"Name one of {', '.join(CLASS_KEYS)} there, or leave the place empty",
                )
            said[(self.root / name).as_posix()] = key
        return said

    def _read(self) -> Iterator[Sample]:
        rows = self._rows()
        groups = None if rows is None else {row["image"]: row["group"] for row in rows}
        for folder, label in self._labels.items():
            for path in images_in(folder):
                name = path.relative_to(self.root).as_posix()
                if groups is not None and name not in groups:
                    raise DataError(
                        f"{self.root / GROUPS_TABLE} does not list {name}",
                        "Give every image a group there, or remove the file to let each stand alone",
                    )
                group = groups[name] if groups is not None else str(Path(name).with_suffix("").as_posix())
                yield Sample(path, label, self.lab, "all", f"{self.lab}/{group}")

    def _rows(self) -> list[dict[str, str]] | None:
        """The table's; None where there is none."""
        table = self.root / GROUPS_TABLE
        if not table.is_file():
            return None
        try:
            with table.open(encoding="utf-8-sig", newline="") as stream:
                read = csv.DictReader(stream)
                absent = {"image", "group"} - set(read.fieldnames or ())
                rows = list(read)
        except (UnicodeDecodeError, csv.Error) as error:
            raise _unreadable(table, str(error)) from error
        if absent:
            raise _unreadable(table, f"no column {', '.join(sorted(absent))}")
        return rows


def _unreadable(table: Path, why: str) -> DataError:
    return DataError(f"{table} cannot be read ({why})", "Write it as UTF-8 with the columns image and group")
