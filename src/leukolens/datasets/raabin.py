"""Raabin-WBC: crops of five subtypes from laboratories in Tehran, with boxes from TXL-PBC."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from leukolens.datasets.base import CellDataset, Publication, Sample, images_in
from leukolens.datasets.boxes import BOXED, LabelledBox
from leukolens.datasets.labels import class_called
from leukolens.datasets.manifest import manifest
from leukolens.errors import DataError
from leukolens.imaging.framing import Box


class Raabin(CellDataset):
    """Crops of 575x575, 100 a class. Class goes with slide: a lab to test on rather than to learn from."""

    name = "raabin-500"
    lab = "raabin"
    classes = ("neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte")
    landmarks = ("Neutrophil", "Eosinophil", "Basophil", "Lymphocyte", "Monocyte", "boxes.csv")
    publication = Publication(
        title="Raabin-WBC, 100 crops of each class; boxes from TXL-PBC",
        source="https://raabindata.com/free-data/",
        licence="terms of raabindata.com; boxes MIT",
        permissive=False,
        steps=(
            "The publisher asks to fill in a form on the page above. With the 500 crops at hand use "
            "`leukolens data get raabin-500 --from FOLDER`"
        ),
    )

    def _read(self) -> Iterator[Sample]:
        known = manifest(self.name)
        for path in images_in(self.root):
            name = path.relative_to(self.root).as_posix()
            label = class_called(path.parent.name)
            if label is None or name not in known:
                raise DataError(
                    f"{path} is not an image of {self.name}",
                    "Move it out of the folder, or read the folder as a plain folder of class folders",
                )
            yield Sample(path, label, self.lab, "all", known[name].group)

    def boxes(self, path: Path) -> tuple[LabelledBox, ...]:
        """The boxes drawn on an image, in the publisher's order, rounded to whole pixels.

        Raises:
            DataError: Where the table of boxes cannot be read.
        """
        return self._boxes.get(path.relative_to(self.root).as_posix(), ())

    @cached_property
    def _boxes(self) -> dict[str, tuple[LabelledBox, ...]]:
        table = self.root / "boxes.csv"
        boxes: dict[str, list[LabelledBox]] = defaultdict(list)
        try:
            with table.open(encoding="utf-8-sig", newline="") as stream:
                for row in csv.DictReader(stream):
                    x0, y0, x1, y1 = (round(float(row[side])) for side in ("xmin", "ymin", "xmax", "ymax"))
                    boxes[row["image"]].append(LabelledBox(BOXED[row["object"]], Box(x0, y0, x1, y1)))
        except (OSError, KeyError, ValueError, csv.Error) as error:
            raise DataError(
                f"{table} cannot be read ({error})", f"Fetch it again with `leukolens data get {self.name}`"
            ) from error
        return {image: tuple(drawn) for image, drawn in boxes.items()}
