"""Jiangxi Tecom: cells of a rapid stain on yellow or white ground, with nucleus and cytoplasm masks."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import MappingProxyType

from leukolens.datasets.base import CellDataset, Conversion, Publication, Sample
from leukolens.datasets.labels import class_called
from leukolens.datasets.manifest import manifest
from leukolens.errors import DataError

_CLASS_OF_NUMBER = {"1": "Neutrophil", "2": "Lymphocyte", "3": "Monocyte", "4": "Eosinophil", "5": "Basophil"}


def labels_from_publisher(table: bytes) -> bytes:
    """This set's ``labels.csv`` from the publisher's table of image and class numbers.

    Raises:
        DataError: Where it is not that table.
    """
    try:
        rows = list(csv.DictReader(StringIO(table.decode("utf-8-sig"))))
        lines = [f"{int(row['image ID']):03d}.bmp,{_CLASS_OF_NUMBER[row['class label']]}" for row in rows]
        if not lines:
            raise ValueError("it is empty")
    except (UnicodeDecodeError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataError(
            f"the publisher's table of labels has changed ({error})", "Report it to the project"
        ) from error
    return "".join(f"{line}\r\n" for line in ("image,label", *lines)).encode()


class Tecom(CellDataset):
    """Images of 120x120. Labels were set by the publisher's authors, not checked by haematologists."""

    name = "tecom-300"
    lab = "tecom"
    classes = ("neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte")
    landmarks = ("images", "labels.csv")
    conversions = MappingProxyType(
        {"labels.csv": Conversion("Class Labels of Dataset 1.csv", labels_from_publisher)}
    )
    publication = Publication(
        title="Segmentation of white blood cells, dataset 1 (Jiangxi Tecom)",
        source="https://github.com/zxaoyou/segmentation_WBC",
        licence="GPL-3.0",
        permissive=False,
        download="https://github.com/zxaoyou/segmentation_WBC/archive/refs/heads/master.zip",
    )

    def _read(self) -> Iterator[Sample]:
        known = manifest(self.name)
        table = self.root / "labels.csv"
        try:
            with table.open(encoding="utf-8-sig", newline="") as stream:
                rows = list(csv.DictReader(stream))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(
                f"{table} cannot be read ({error})", f"Fetch it again with `leukolens data get {self.name}`"
            ) from error
        for row in rows:
            entry = known.get(f"images/{row.get('image')}")
            label = class_called(row.get("label") or "")
            if entry is None or label is None or not (self.root / entry.name).is_file():
                raise DataError(
                    f"{table}: {', '.join(map(str, row.values()))} names no image of this set or no cell class",
                    f"Fetch it again with `leukolens data get {self.name}`",
                )
            yield Sample(self.root / entry.name, label, self.lab, "all", entry.group)

    def mask(self, path: Path) -> Path:
        """The mask of this image: nucleus white, cytoplasm grey, ground black."""
        return self.root / "masks" / f"{path.stem}.png"
