"""A laboratory's own cells: framed as reading frames them, seen as the last layer sees them, and grouped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leukolens.adaptation.grouping import grouped
from leukolens.card import Card
from leukolens.datasets.base import Sample, images_in
from leukolens.datasets.folder import Folder
from leukolens.errors import DataError, ImageError
from leukolens.imaging.decode import decode
from leukolens.reading.inputs import side_of
from leukolens.reading.reader import Reader

SIDES = 4
"""That a cell teaches the last layer from, where reading does not look from more: a smear has no up."""

Framed = NDArray[np.uint8] | str | None
Watch = Callable[[Iterator[Framed], int], Iterable[Framed]]


@dataclass(frozen=True, slots=True, eq=False)
class Local:
    """Cells of one laboratory.

    Attributes:
        samples: The n samples in which a cell was found.
        crops: uint8 (n, size, size, 3).
        looks: float32 (n, sides, d), what the last layer sees of them, from each side.
        truth: int64 (n,), index into the bundle's classes.
        groups: (n,), what must not be torn apart.
        lost: Samples without a cell; nothing is learned from them, and they count as wrong.
        failed: ``image: reason`` of those that could not be read.
    """

    samples: tuple[Sample, ...]
    crops: NDArray[np.uint8]
    looks: NDArray[np.float32]
    truth: NDArray[np.int64]
    groups: tuple[str, ...]
    lost: tuple[Sample, ...]
    failed: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def features(self) -> NDArray[np.float32]:
        """Of the first look, (n, d)."""
        return self.looks[:, 0]


def labelled(reader: Reader, folder: Folder, watch: Watch | None = None) -> Local:
    """The cells of a folder of class folders.

    Args:
        reader: Holds the bundle, and frames.
        folder: The laboratory's.
        watch: Passes what was framed on, told how many there will be; shows how far they are.

    Raises:
        DataError: Where the bundle does not know a class of the folder, it holds one class alone, or no cell.
    """
    card = reader.bundle.card
    samples = folder.samples()
    _check_classes(folder, samples, card)
    framed = list(_watched(reader, [sample.path for sample in samples], watch))
    found = [sample for sample, crop in zip(samples, framed, strict=True) if isinstance(crop, np.ndarray)]
    crops = [crop for crop in framed if isinstance(crop, np.ndarray)]
    if not crops:
        raise DataError(
            f"{folder.root}: none of {len(samples)} images shows a white cell",
            "Name a folder with images of single white cells",
        )
    if len({sample.label for sample in found}) < 2:
        raise DataError(
            f"{folder.root} holds cells of one class alone ({found[0].label})",
            "Add a folder with cells of another class: nothing tells classes apart otherwise",
        )
    stacked = np.stack(crops)
    looks = looks_of(reader, stacked)
    return Local(
        tuple(found),
        stacked,
        looks,
        np.array([card.classes.index(sample.label) for sample in found], dtype=np.int64),
        grouped(found, looks[:, 0], reader.threads),
        tuple(sample for sample, crop in zip(samples, framed, strict=True) if crop is None),
        tuple(
            f"{named(sample, folder.root)}: {crop}"
            for sample, crop in zip(samples, framed, strict=True)
            if isinstance(crop, str)
        ),
    )


def unlabelled(
    reader: Reader, root: Path, watch: Watch | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.float32], int, tuple[str, ...]]:
    """The cells below a folder, whose class nobody says.

    Returns:
        Crops uint8 (n, size, size, 3); features float32 (n, d); how many images held no cell; ``image: reason`` of
        those that could not be read.

    Raises:
        DataError: Where there is no such folder, or no cell in it.
    """
    if not root.is_dir():
        raise DataError(f"{root} is no folder", "Name a folder of images of single white cells")
    paths = images_in(root)
    framed = list(_watched(reader, paths, watch))
    crops = [crop for crop in framed if isinstance(crop, np.ndarray)]
    if not crops:
        raise DataError(
            f"{root}: none of {len(paths)} images shows a white cell",
            "Name a folder with images of single white cells",
        )
    failed = tuple(
        f"{path.relative_to(root).as_posix()}: {crop}"
        for path, crop in zip(paths, framed, strict=True)
        if isinstance(crop, str)
    )
    stacked = np.stack(crops)
    return stacked, features_of(reader, stacked), sum(crop is None for crop in framed), failed


def features_of(reader: Reader, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the last layer sees of crops, float32 (n, d), on all of the reader's threads.

    Raises:
        BundleError: Where the bundle's graph gives no features.
    """
    pieces = np.array_split(crops, max(1, min(len(crops), 2 * reader.threads)))
    with ThreadPoolExecutor(reader.threads) as pool:
        return np.concatenate(list(pool.map(reader.classifier.features, pieces)))


def looks_of(reader: Reader, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the last layer sees of crops from each side, the first as they are: float32 (n, sides, d)."""
    sides = max(SIDES, reader.bundle.card.judgement.sides)
    return np.stack([features_of(reader, side_of(crops, number)) for number in range(sides)], axis=1)


def named(sample: Sample, root: Path) -> str:
    """A sample's path below the folder, with forward slashes."""
    return sample.path.relative_to(root).as_posix()


def _watched(reader: Reader, paths: Sequence[Path], watch: Watch | None) -> Iterable[Framed]:
    def frame(path: Path) -> Framed:
        try:
            found = reader.frame(decode(path))
        except ImageError as error:
            return error.reason
        return None if found is None else found[0]

    with ThreadPoolExecutor(reader.threads) as pool:
        try:
            framed = pool.map(frame, paths)
            yield from watch(framed, len(paths)) if watch else framed
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _check_classes(folder: Folder, samples: Sequence[Sample], card: Card) -> None:
    unknown = [sample for sample in samples if sample.label not in card.classes]
    if unknown:
        own = unknown[0].path.relative_to(folder.root).parts[0]
        raise DataError(
            f"{folder.root / own} holds cells of class {unknown[0].label}, which bundle {card.name} does not know",
            f"Move the folder away, or adapt a bundle that knows it (this one: {', '.join(card.classes)})",
        )
