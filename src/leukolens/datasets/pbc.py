"""Peripheral blood cells of Barcelona (Acevedo et al. 2020), resized to 224x224 by a third party."""

from __future__ import annotations

from collections.abc import Iterator

from leukolens.datasets.base import CellDataset, Publication, Sample, images_in
from leukolens.datasets.labels import class_called
from leukolens.datasets.manifest import manifest
from leukolens.errors import DataError


class Pbc(CellDataset):
    """Single cells from a CellaVision DM96: a part of the 17,092 of doi 10.1016/j.dib.2020.105474.

    No donor numbers were published, so near-identical images are grouped; figures within this set say
    little about another laboratory.
    """

    name = "pbc-224"
    lab = "pbc"
    classes = (
        "neutrophil",
        "eosinophil",
        "basophil",
        "lymphocyte",
        "monocyte",
        "immature_granulocyte",
        "other",
    )
    landmarks = ("neutrophil", "lymphocyte", "ig", "platelet")
    publication = Publication(
        title="A dataset of microscopic peripheral blood cell images for automatic recognition, a part at 224x224",
        source="https://doi.org/10.17632/snkd93bnjr",
        licence="CC-BY-4.0",
        permissive=True,
        steps=(
            "The publisher gives 17,092 images of 360x363; the 224x224 part was made by a third party. With that "
            "part at hand use `leukolens data get pbc-224 --from FOLDER`. The publisher's own images work as a plain "
            "folder of class folders, without this set's near-duplicate groups"
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
