"""Framed cells in memory: every image decoded and framed once, then kept as bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leukolens.card import Framing
from leukolens.datasets.base import Sample
from leukolens.datasets.catalogue import open_dataset
from leukolens.datasets.red_cells import red_cells_beside
from leukolens.errors import TrainingError
from leukolens.imaging.decode import decode
from leukolens.imaging.framing import frame, frame_within
from leukolens.imaging.nucleus import slide_of
from leukolens.training.recipe import Data, Recipe

Progress = Callable[[int, int], None]
CACHE_VERSION = 1
NEVER_LEARNED = ("test", "test_simple")


@dataclass(frozen=True, slots=True)
class Crops:
    """Framed cells with what is known of them.

    Attributes:
        pixels: uint8 (n, side, side, 3); ``side`` is the recipe's crop size times its margin.
        truth: int64 (n,), index into the recipe's classes.
        samples: The n samples that they came from.
        missing: Samples in which no cell was found; they teach nothing and count as wrong.
    """

    pixels: NDArray[np.uint8]
    truth: NDArray[np.int64]
    samples: tuple[Sample, ...]
    missing: tuple[Sample, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, index: NDArray[np.int64]) -> Crops:
        """The crops at these places; a copy."""
        return Crops(self.pixels[index], self.truth[index], tuple(self.samples[i] for i in index))


def samples_of(recipe: Recipe, root: Path) -> tuple[Sample, ...]:
    """The samples that a recipe learns from, those of its classes only.

    Photographs of blood-cells TEST never enter, nor other photographs of the same fields: their split
    is ``test`` in every set that holds them.

    Raises:
        DataError: Where a data set is absent.
        TrainingError: Where a class of the recipe has no sample.
    """
    chosen = [
        sample
        for data in recipe.data
        for sample in _in_set(data, root)
        if sample.label in recipe.classes and sample.split not in NEVER_LEARNED
    ]
    barren = [key for key in recipe.classes if not any(sample.label == key for sample in chosen)]
    if barren:
        raise TrainingError(
            f"no sample of {', '.join(barren)} in the recipe's data", "Add data, or drop the class"
        )
    return tuple(chosen)


def _in_set(data: Data, root: Path) -> tuple[Sample, ...]:
    dataset = open_dataset(data.name, root)
    samples = dataset.samples(*data.splits)
    return (*samples, *red_cells_beside(dataset, samples, data.red_cells)) if data.red_cells else samples


def framed(
    samples: tuple[Sample, ...],
    classes: list[str],
    framing: Framing,
    *,
    margin: float = 1.0,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Crops:
    """Decodes and frames samples, on all cores; takes them from the cache where they are unchanged.

    Args:
        samples: What to frame.
        classes: Class keys; a sample's truth is its place among them.
        framing: As the bundle will frame.
        margin: How much more than the crop to keep around it, for augmentation.
        cache: Folder of cached crops, None to keep none.
        progress: Called with (done, of how many).

    Raises:
        ImageError: Where an image cannot be decoded.
    """
    wide = widened(framing, margin)
    path = cache / f"{_fingerprint(samples, wide)}.npy" if cache else None
    pixels = _cached(path, (len(samples), wide.size, wide.size, 3)) if path else None
    if pixels is None:
        pixels = _frame_all(samples, wide, progress or (lambda done, total: None))
        if path:
            _keep(pixels, path)
    found = pixels.reshape(len(samples), -1)[:, :1].ravel() > 0
    place = {key: index for index, key in enumerate(classes)}
    truth = np.array([place[sample.label] for sample in samples], dtype=np.int64)
    kept = np.flatnonzero(found)
    return Crops(
        pixels if found.all() else pixels[kept],
        truth[kept],
        tuple(samples[i] for i in kept),
        tuple(sample for sample, seen in zip(samples, found, strict=True) if not seen),
    )


def widened(framing: Framing, margin: float) -> Framing:
    """The framing that keeps ``margin`` times more around the cell, at the same resolution."""
    changes = {"size": round(framing.size * margin), "context": framing.context * margin}
    return framing.model_copy(update=changes)  # unchecked: it may be wider than a bundle may ask for


def _frame_all(samples: tuple[Sample, ...], framing: Framing, progress: Progress) -> NDArray[np.uint8]:
    """(n, side, side, 3); a crop whose first byte is 0 stands for *no cell found*."""
    pixels = np.zeros((len(samples), framing.size, framing.size, 3), dtype=np.uint8)

    def fill(index: int) -> None:
        rgb, box = decode(samples[index].path), samples[index].box
        found = frame_within(rgb, box, framing, slide_of(rgb)) if box else frame(rgb, framing)
        if found:
            pixels[index] = found[0]
            pixels[index, 0, 0, 0] = max(1, pixels[index, 0, 0, 0])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, _ in enumerate(pool.map(fill, range(len(samples)), chunksize=64), 1):
            progress(done, len(samples))
    return pixels


def _fingerprint(samples: tuple[Sample, ...], framing: Framing) -> str:
    digest = hashlib.sha256(f"{CACHE_VERSION} {framing.model_dump_json()}".encode())
    for sample in samples:
        status = sample.path.stat()
        digest.update(f"{sample.path}{sample.place} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _cached(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """What `_keep` kept; None where there is nothing, or something damaged that is to be made again."""
    try:
        # Copy on write: torch wants arrays that may be written to.
        pixels: NDArray[np.uint8] = np.load(path, mmap_mode="c")
        with path.open("rb") as stream:
            stream.seek(-hashlib.sha256().digest_size, os.SEEK_END)
            kept = stream.read()
    except (OSError, ValueError, EOFError):
        return None
    return pixels if pixels.shape == shape and _sum(pixels) == kept else None


def _keep(pixels: NDArray[np.uint8], path: Path) -> None:
    """As an array of numpy's with its sha256 behind it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as stream:
            np.save(stream, pixels)
            stream.write(_sum(pixels))
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)


def _sum(pixels: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(pixels.reshape(-1).data).digest()


def deal(crops: Crops, folds: int) -> NDArray[np.int64]:
    """Deals samples into folds by field, class by class, so that each fold has every class.

    Within a class of a lab the fields are dealt like cards, the richest first, to the poorest hand;
    equal samples always give equal folds.

    Returns:
        (n,), the fold of each sample.
    """
    fold_of: dict[str, int] = {}
    load: dict[str, NDArray[np.int64]] = {}
    sizes: dict[tuple[str, str], int] = {}
    for sample in crops.samples:
        key = (f"{sample.lab}/{sample.label}", sample.field)
        sizes[key] = sizes.get(key, 0) + 1
    shuffled = sorted(
        sizes, key=lambda key: (key[0], -sizes[key], hashlib.sha256(key[1].encode()).hexdigest())
    )
    for kind, field in shuffled:
        hand = load.setdefault(kind, np.zeros(folds, dtype=np.int64))
        if field not in fold_of:
            fold_of[field] = int(hand.argmin())
        hand[fold_of[field]] += sizes[kind, field]
    return np.array([fold_of[sample.field] for sample in crops.samples], dtype=np.int64)
