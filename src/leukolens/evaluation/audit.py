"""What is wrong with a data set, found from its pixels and file names: leaks, copies, lost cells, doubtful labels.

What the package's own tables say is not taken for granted. Their fields and clusters are not used but checked; of
which photograph of blood-cells an image is a copy no file name says, so there the table is believed as far as
pictures bear it out: a second copy of each photograph is compared with the first, and the first with the originals.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from leukolens.datasets.base import CellDataset, Sample, images_in
from leukolens.datasets.bccd import Bccd
from leukolens.datasets.blood_cells import BloodCells
from leukolens.errors import DataError
from leukolens.evaluation.audit_cells import OutOfView, out_of_view
from leukolens.evaluation.audit_fields import MOST_PHOTOGRAPHS, Fields, same_fields
from leukolens.evaluation.audit_labels import Doubt, doubts
from leukolens.evaluation.audit_pairs import Overlap, Pair, copies, merged, overlaps
from leukolens.evaluation.audit_survey import Photograph, Seen, gather, look
from leukolens.evaluation.predictions import Predictions
from leukolens.taxonomy import CLASS_KEYS

_NUMBERED = re.compile(r"_(\d+)_\d+\.")

Item = TypeVar("Item")
Watch = Callable[[Iterable[Item], int, str], Iterator[Item]]


@dataclass(frozen=True, slots=True)
class Count:
    """Images and source photographs of one class in one split.

    Attributes:
        split: The split.
        label: Class key; empty for images without a label.
        images: How many images.
        photographs: How many source photographs.
        numbers: How many different numbers file names such as ``_12_4711.jpeg`` begin with, 0 where names
            are of another kind. Whoever made distorted copies counted along the photographs.
    """

    split: str
    label: str
    images: int
    photographs: int
    numbers: int


@dataclass(frozen=True, slots=True)
class Audit:
    """All that was found.

    Attributes:
        name: The data set.
        root: Its folder.
        counts: By split and class.
        photographs: Source photographs, as far as file names tell.
        unreadable: Images that cannot be read.
        lost: Images without a white cell in view.
        pairs: Photographs that are one picture or show one field.
        overlaps: Splits that share photographs or fields.
        fields: What keypoints told, the publisher's originals among it.
        originals: How many originals were at hand, None where the set has no known ones.
        fields_compared: False where there were too many photographs for keypoints.
        doubtful: Photographs whose label is in doubt, None where no predictions were given.
        predicted: How many photographs the predictions cover.
    """

    name: str
    root: Path
    counts: tuple[Count, ...]
    photographs: tuple[Photograph, ...]
    unreadable: tuple[Seen, ...]
    lost: tuple[OutOfView, ...]
    pairs: tuple[Pair, ...]
    overlaps: tuple[Overlap, ...]
    fields: Fields
    originals: int | None
    fields_compared: bool
    doubtful: tuple[Doubt, ...] | None
    predicted: int

    @property
    def leaks(self) -> tuple[Pair, ...]:
        """The pairs that a split tears apart: the publisher's, or one by the set's own groups and fields."""
        return tuple(pair for pair in self.pairs if pair.leak)

    @property
    def images(self) -> int:
        """How many images there are."""
        return sum(count.images for count in self.counts)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits, in the order of the counts."""
        return tuple(dict.fromkeys(count.split for count in self.counts))


def number_of(path: Path) -> str:
    """The number that a file name such as ``_12_4711.jpeg`` begins with; empty where it is of another kind."""
    matched = _NUMBERED.match(path.name)
    return matched[1] if matched else ""


def unwatched(items: Iterable[Item], total: int, noun: str) -> Iterator[Item]:
    """Passes items on and shows nothing."""
    del total, noun
    yield from items


def audit(
    name: str,
    parts: Sequence[CellDataset],
    *,
    originals: Path | None = None,
    predictions: Predictions | None = None,
    watch: Watch[Any] = unwatched,
) -> Audit:
    """Looks at every image of a data set once, and at one copy of every source photograph closely.

    Args:
        name: What to call it.
        parts: The data set; of a folder with one folder a split, the folder of each split.
        originals: Folder of the images that it was made from, where they are at hand.
        predictions: Of its images, each by a network that never saw the image's photograph.
        watch: Passes items on and shows how far they are: (items, how many, what).

    Raises:
        DataError: Where the data set cannot be listed, or the predictions are of other images.
    """
    root = parts[0].root if len(parts) == 1 else parts[0].root.parent
    listed = [item for part in parts for item in _listed(part, root, alone=len(parts) == 1)]
    judged = _of_these(predictions, [sample.path.relative_to(root).as_posix() for sample, _ in listed], root)
    seen = [
        look(sample.path.relative_to(root).as_posix(), sample, key)
        for sample, key in watch(listed, len(listed), "images")
    ]
    sources = gather(seen)
    behind = _originals(originals) if originals else ()
    few = len(sources) <= MOST_PHOTOGRAPHS
    fields = same_fields(sources, behind, watch) if few else Fields()
    pairs = merged([*copies(sources), *fields.pairs])
    return Audit(
        name,
        root,
        _counts(sources),
        sources,
        tuple(image for image in seen if image.problem),
        out_of_view(sources),
        pairs,
        overlaps(sources, pairs),
        fields,
        len(behind) if originals else None,
        few,
        doubts(judged) if judged else None,
        len(set(judged.groups)) if judged else 0,
    )


def _of_these(predictions: Predictions | None, names: Sequence[str], root: Path) -> Predictions | None:
    """The predictions of these images; a training run names them below the folder of all data sets."""
    if predictions is None:
        return None
    known = {*names, *(f"{root.name}/{name}" for name in names)}
    mask = np.array([image in known for image in predictions.images], dtype=np.bool_)
    if not mask.any():
        raise DataError(
            f"none of the {len(predictions):,} predictions is of an image of {root}",
            "Give the held_out.json of a run that learned from this data set",
        )
    return predictions.only(mask)


def _listed(part: CellDataset, root: Path, *, alone: bool) -> Iterator[tuple[Sample, str]]:
    """Each sample with the key of the source photograph that it is said to be a copy of."""
    samples = part.samples()
    for sample in samples:
        name = sample.path.relative_to(root)
        if isinstance(part, BloodCells):
            # Only undistorted images stand for themselves; the numbers of copies say nothing of the photograph.
            own = number_of(sample.path) if sample.split == "test_simple" else ""
            yield sample, f"{'/'.join(name.parts[1:-1])}/{own or sample.group.rpartition('/')[2]}"
        elif part.name == "folder":
            # A group that a laboratory wrote down is its word on what belongs together.
            yield (sample if alone else replace(sample, split=part.root.name)), sample.group
        else:
            yield sample, name.as_posix()
    if isinstance(part, Bccd):
        known = {sample.path for sample in samples}
        for path in part.photographs():
            if path not in known:
                key = path.relative_to(root).as_posix()
                yield Sample(path, "", part.lab, "unlabelled", f"{part.name}/{path.stem}"), key


def _originals(folder: Path) -> tuple[Photograph, ...]:
    found = []
    for path in images_in(folder):
        number = path.stem.rpartition("_")[2]
        key = str(int(number)) if number.isdecimal() else path.stem
        image = look(path.relative_to(folder).as_posix(), Sample(path, "", "", "original", key), key)
        found.append(Photograph(key, "", "original", (image,)))
    return tuple(found)


def _counts(sources: Sequence[Photograph]) -> tuple[Count, ...]:
    images: Counter[tuple[str, str]] = Counter()
    photographs: Counter[tuple[str, str]] = Counter()
    numbers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for source in sources:
        images[source.split, source.label] += len(source.images)
        photographs[source.split, source.label] += 1
        for image in source.images:
            if number := number_of(image.path):
                numbers[source.split, source.label].add(number)
    splits = sorted({split for split, _ in images}, key=lambda split: (split != "train", split))
    return tuple(
        Count(split, label, images[key], photographs[key], len(numbers[key]))
        for split in splits
        for label in (*CLASS_KEYS, "")
        if images[key := (split, label)]
    )
