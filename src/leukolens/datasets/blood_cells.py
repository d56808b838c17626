"""The Kaggle "Blood Cell Images": distorted copies of 348 photographs, one labelled white cell each."""

from __future__ import annotations

from collections.abc import Iterator

from leukolens.datasets.base import CellDataset, Publication, Sample, images_in
from leukolens.datasets.labels import class_called
from leukolens.datasets.manifest import manifest
from leukolens.errors import DataError

SPLIT_OF_FOLDER = {"TRAIN": "train", "TEST": "test", "TEST_SIMPLE": "test_simple"}

DOUBTFUL = "blood-cells/TEST/MONOCYTE/110"
"""The photograph that TEST_SIMPLE calls monocyte ``_0_``; it looks more like a neutrophil precursor."""


def photograph(folder: str, label_folder: str, number: int | str) -> str:
    """The group key of a source photograph, e.g. ``blood-cells/TRAIN/NEUTROPHIL/205``.

    TEST_SIMPLE holds TEST's own photographs, undistorted, so both bear TEST's keys.

    Args:
        folder: ``TRAIN``, ``TEST`` or ``TEST_SIMPLE``.
        label_folder: Folder of the class.
        number: BCCD's number of the photograph; ``absent-1`` and so on where BCCD no longer has it.
    """
    return f"blood-cells/{folder.removesuffix('_SIMPLE')}/{label_folder}/{number}"


class BloodCells(CellDataset):
    """Fields of 320x240.

    The first number in a file name, ``_<number>_<random>.jpeg``, is not the photograph: it counts along one
    shuffled pass over the photographs of the class, so copies of one photograph bear many numbers. Which
    photograph an image shows was found by comparing pictures; the committed manifest says so.
    """

    name = "blood-cells"
    lab = "blood-cells"
    classes = ("neutrophil", "eosinophil", "lymphocyte", "monocyte")
    splits = ("train", "test", "test_simple")
    landmarks = ("images/TRAIN", "images/TEST", "images/TEST_SIMPLE")
    publication = Publication(
        title="Blood Cell Images",
        source="https://www.kaggle.com/datasets/paultimothymooney/blood-cells",
        licence="MIT",
        permissive=True,
        steps=(
            "Kaggle wants an account. Sign in, press Download on the page above, unpack the archive, and give "
            "the unpacked folder to `leukolens data get blood-cells --from FOLDER`"
        ),
    )

    def _read(self) -> Iterator[Sample]:
        known = manifest(self.name)
        for folder, split in SPLIT_OF_FOLDER.items():
            for path in images_in(self.root / "images" / folder):
                entry = known.get(path.relative_to(self.root).as_posix())
                label = class_called(path.parent.name)
                if entry is None or label is None:
                    raise DataError(
                        f"{path} is not an image of {self.name}",
                        "Move it out of the folder; only of listed images is the photograph known",
                    )
                yield Sample(path, label, self.lab, split, entry.group, entry.field)
