"""What every data set is: samples that know their image, class, lab, split and group."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from leukolens.errors import DataError
from leukolens.imaging.decode import SUFFIXES
from leukolens.imaging.framing import Box


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image of one white cell.

    Attributes:
        path: The image file.
        label: Class key of the taxonomy.
        lab: Key of the laboratory; sets that share photographs share it.
        split: ``train``, ``test``, ``test_simple`` or ``all`` where the publisher made no split.
        group: What must not be torn apart by a split: source photograph or near-duplicate cluster.
            Unique across labs.
        field: What photographs of one piece of smear share: the same field photographed twice bears
            two groups and one field. The group itself where nothing else shows the same field, so
            splitting by ``field`` is always at least as strict as by ``group``.
    """

    path: Path
    label: str
    lab: str
    split: str
    group: str
    field: str = ""
    box: Box | None = None

    def __post_init__(self) -> None:
        if not self.field:
            object.__setattr__(self, "field", self.group)

    @property
    def place(self) -> str:
        """What goes behind the image's name to name the sample: its box, or nothing."""
        return f"#{self.box.x0},{self.box.y0},{self.box.x1},{self.box.y1}" if self.box else ""


@dataclass(frozen=True, slots=True)
class Publication:
    """Where a set comes from and what one may do with it.

    Attributes:
        title: As its publisher calls it.
        source: Address or DOI of its page.
        licence: SPDX identifier where one exists, else the publisher's words.
        permissive: Whether a model trained on it may be shipped without asking anyone.
        download: Address of one archive, or None where a login or a form stands before it.
        steps: What a person has to do where ``download`` is None.
        verified: Whether the bytes behind ``download`` were compared with the manifest.
    """

    title: str
    source: str
    licence: str
    permissive: bool
    download: str | None = None
    steps: str = ""
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Conversion:
    """A file of a set that the publisher gives in another form.

    Attributes:
        source: The publisher's file's own name, without folders.
        convert: From the publisher's bytes to the set's; the manifest judges the outcome.
    """

    source: str
    convert: Callable[[bytes], bytes]


class CellDataset(ABC):
    """A folder of labelled images. Making one reads names only, never pixels.

    Args:
        root: The data set's own folder, e.g. ``$LEUKOLENS_DATA/blood-cells``.

    Raises:
        DataError: Where the folder is not there or does not look like this set.

    Attributes:
        name: What commands call it, and its folder's name under the data root.
        lab: Key of the laboratory that its images come from.
        publication: Where it comes from and what one may do with it.
        classes: The class keys that it labels, in taxonomy order.
        splits: The splits that it is published in.
        landmarks: Files or folders, relative to the root, without which this is not the set.
        optional: How the names of files begin that the set does without, e.g. its licence's text.
        conversions: Files that are made from a publisher's, by name.
    """

    name: str
    lab: str
    publication: Publication
    classes: tuple[str, ...]
    splits: tuple[str, ...] = ("all",)
    landmarks: tuple[str, ...] = ()
    optional: tuple[str, ...] = ("LICENSE",)
    conversions: Mapping[str, Conversion] = MappingProxyType({})

    def __init__(self, root: Path) -> None:
        self.root = root
        if not root.is_dir():
            raise DataError(
                f"{self.name} is not at {root}",
                f"Fetch it with `leukolens data get {self.name}` or point LEUKOLENS_DATA at its parent folder",
            )
        absent = [landmark for landmark in self.landmarks if not (root / landmark).exists()]
        if absent:
            raise DataError(
                f"{root} does not hold {self.name}: no {absent[0]} in it",
                f"Fetch it again with `leukolens data get {self.name}`",
            )

    def samples(self, *splits: str) -> tuple[Sample, ...]:
        """The samples of these splits, all of them where none is named, sorted by path.

        Raises:
            DataError: Where the set has no such split, or nothing in it.
        """
        unknown = [split for split in splits if split not in self.splits]
        if unknown:
            raise DataError(
                f"{self.name} has no split {unknown[0]!r}", f"Use one of {', '.join(self.splits)}"
            )
        every = sorted(self._read(), key=lambda sample: sample.path.as_posix())
        if not every:
            raise DataError(
                f"{self.root} holds no image of {self.name}", "Fetch it again, or name another folder"
            )
        return tuple(sample for sample in every if not splits or sample.split in splits)

    @abstractmethod
    def _read(self) -> Iterator[Sample]:
        """Every sample of the set, in any order."""


def data_root(explicit: Path | None = None) -> Path:
    """The folder that holds the data sets: the argument, else ``LEUKOLENS_DATA``, else ``data``."""
    return explicit or Path(os.environ.get("LEUKOLENS_DATA", "data"))


def images_in(folder: Path) -> list[Path]:
    """The image files below this folder, at any depth, sorted; hidden files and folders are left alone."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
