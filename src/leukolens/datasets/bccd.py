"""BCCD: the photographs that blood-cells was made from, at full size, with boxes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from leukolens.datasets.base import CellDataset, Publication, Sample, images_in
from leukolens.datasets.boxes import BOXED, LabelledBox
from leukolens.datasets.manifest import manifest
from leukolens.errors import DataError
from leukolens.imaging.framing import Box


class Bccd(CellDataset):
    """Fields of 640x480. A sample is a photograph with one boxed white cell of known subtype.

    The subtype, the photograph's group in blood-cells and the field it shares with others come from the
    committed manifest. Split ``test``: blood-cells' TEST was made from the photograph, or from another of
    the same field; whatever learns from this set learns from ``train`` alone.
    """

    name = "bccd"
    lab = "blood-cells"
    classes = ("neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte")
    splits = ("train", "test")
    landmarks = ("JPEGImages", "Annotations")
    optional = ("LICENSE", "ImageSets/")
    publication = Publication(
        title="BCCD Dataset",
        source="https://github.com/Shenggan/BCCD_Dataset",
        licence="MIT",
        permissive=True,
        download="https://github.com/Shenggan/BCCD_Dataset/archive/refs/heads/master.zip",
    )

    def _read(self) -> Iterator[Sample]:
        known = manifest(self.name)
        for path in self.photographs():
            entry = known.get(path.relative_to(self.root).as_posix())
            if entry is None:
                raise DataError(
                    f"{path} is not a photograph of {self.name}",
                    "Move it out of the folder; only listed photographs are known to stand apart from TEST",
                )
            if entry.label:
                # A field's key names a TEST photograph wherever one shows it.
                split = "test" if (entry.field or entry.group).startswith("blood-cells/TEST/") else "train"
                yield Sample(path, entry.label, self.lab, split, entry.group, entry.field)

    def photographs(self) -> list[Path]:
        """All photographs, those without a subtype too, sorted by path."""
        return images_in(self.root / "JPEGImages")

    def boxes(self, path: Path) -> tuple[LabelledBox, ...]:
        """The boxes drawn on a photograph, in the publisher's order.

        Raises:
            DataError: Where the photograph has no readable annotation.
        """
        annotation = self.root / "Annotations" / f"{path.stem}.xml"
        try:
            tree = ElementTree.parse(annotation)
            return tuple(
                LabelledBox(
                    BOXED[_text(item, "name")],
                    # Pascal VOC counts from 1 and includes the last pixel.
                    Box(
                        int(_text(item, "bndbox/xmin")) - 1,
                        int(_text(item, "bndbox/ymin")) - 1,
                        int(_text(item, "bndbox/xmax")),
                        int(_text(item, "bndbox/ymax")),
                    ),
                )
                for item in tree.iter("object")
            )
        except (OSError, ElementTree.ParseError, KeyError, ValueError) as error:
            raise DataError(
                f"{annotation} cannot be read as a Pascal VOC annotation ({error})",
                f"Fetch it again with `leukolens data get {self.name}`",
            ) from error


def _text(item: ElementTree.Element, path: str) -> str:
    found = item.findtext(path)
    if found is None:
        raise ValueError(f"an object without {path}")
    return found.strip()
