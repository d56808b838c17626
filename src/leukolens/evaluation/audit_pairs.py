"""Which photographs of a data set are one picture: by their pixels, and by thumbnails."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from leukolens.datasets.matching import SAME_FIELD, fingerprint, same_field
from leukolens.evaluation.audit_survey import THUMBNAIL, Photograph, Seen
from leukolens.imaging.decode import decode

Kind = Literal["identical", "near copy", "same field"]

ALIKE = 0.97
SAME_PICTURE = 0.99
MAYBE_SAME = 0.96
"""Correlation from which keypoints decide: two round cells on plain ground reach .976 without being one."""

FIELD_SIDE = 320

_FACES = 3
_CLOSE = 64
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Pair:
    """Two source photographs that no split may tear apart.

    Attributes:
        kind: ``identical`` pixels, a ``near copy`` of the whole picture, or the ``same field``.
        a: One, the earlier in the natural order of keys.
        b: The other.
        seen_a: The image of ``a`` that shows it.
        seen_b: The image of ``b`` that shows it.
        score: Correlation of the pictures for copies, agreeing keypoints for fields.
        originals: The publisher's originals behind ``a`` and ``b`` that show it, where they are at hand.
    """

    kind: Kind
    a: Photograph
    b: Photograph
    seen_a: Seen
    seen_b: Seen
    score: float
    originals: tuple[str, str] | None = None

    @property
    def splits(self) -> tuple[str, str]:
        """The splits of the two."""
        return self.a.split, self.b.split

    @property
    def across(self) -> bool:
        """Whether the publisher's own split tears the two apart; what bears no label is in no split."""
        return bool(self.a.label and self.b.label) and self.a.split != self.b.split

    @property
    def torn(self) -> bool:
        """Whether a split by the data set's own fields would tear the two apart."""
        return self.seen_a.sample.field != self.seen_b.sample.field

    @property
    def leak(self) -> bool:
        """Whether the pair would stand on both sides of a split."""
        return self.across or (bool(self.a.label and self.b.label) and self.torn)

    @property
    def labels_differ(self) -> bool:
        """Whether one picture bears two labels; of a field photographed twice that says nothing."""
        labelled = bool(self.a.label and self.b.label)
        return labelled and self.kind != "same field" and self.a.label != self.b.label


def copies(photographs: Sequence[Photograph]) -> list[Pair]:
    """Pairs of photographs that are one picture: equal pixels, or near copies, mirrored or turned over too."""
    found: dict[tuple[int, int], Pair] = {}
    holders: dict[str, dict[int, Seen]] = defaultdict(dict)
    for index, photograph in enumerate(photographs):
        for image in photograph.images:
            if image.digest:
                holders[image.digest].setdefault(index, image)
    for those in holders.values():
        first, *others = sorted(those)
        for other in others:
            found[first, other] = Pair(
                "identical", photographs[first], photographs[other], those[first], those[other], 1.0
            )
    shown = [(index, image) for index, one in enumerate(photographs) for image in one.images[:_FACES]]
    shown = [(index, image) for index, image in shown if not image.problem]
    close = _Closer()
    for left, right in _alike([image for _, image in shown], [index for index, _ in shown]):
        (a, seen_a), (b, seen_b) = sorted((shown[left], shown[right]), key=lambda item: item[0])
        if (a, b) in found:
            continue
        score = close(seen_a.path, seen_b.path)
        if score >= SAME_PICTURE or (score >= MAYBE_SAME and _agree(seen_a.path, seen_b.path)):
            found[a, b] = Pair("near copy", photographs[a], photographs[b], seen_a, seen_b, score)
    return [found[key] for key in sorted(found)]


def _alike(images: Sequence[Seen], owners: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Indices of images of different owners whose thumbnails correlate, most first."""
    if not images:
        return
    plain = np.stack([image.thumbnail for image in images])
    owner = np.array(owners)
    hits: dict[tuple[int, int], float] = {}
    for start in range(0, len(plain), _BLOCK):
        block = plain[start : start + _BLOCK].reshape(-1, THUMBNAIL, THUMBNAIL, 3)
        for view in (block, block[:, ::-1], block[:, :, ::-1], block[:, ::-1, ::-1]):
            likeness = view.reshape(len(block), -1) @ plain[start:].T
            rows, columns = np.nonzero(likeness >= ALIKE)
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
                left, right = start + row, start + column
                if left < right and owner[left] != owner[right]:
                    hits[left, right] = max(hits.get((left, right), 0.0), float(likeness[row, column]))
    yield from sorted(hits, key=lambda pair: (-hits[pair], pair))


def _agree(a: Path, b: Path) -> bool:
    return same_field(at_field_size(decode(a)), at_field_size(decode(b))) >= SAME_FIELD


def at_field_size(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image made smaller, where it is larger than 320 pixels, to compare keypoints."""
    scale = FIELD_SIDE / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


class _Closer:
    """Compares two pictures at 64x64, the second in whichever of four ways round fits best."""

    def __init__(self) -> None:
        self._small: dict[Path, NDArray[np.float32]] = {}

    def __call__(self, a: Path, b: Path) -> float:
        first, second = self._at(a), self._at(b)
        views = (second, second[::-1], second[:, ::-1], second[::-1, ::-1])
        return float(max((first * view).sum() for view in views))

    def _at(self, path: Path) -> NDArray[np.float32]:
        if path not in self._small:
            self._small[path] = fingerprint(decode(path), _CLOSE).reshape(_CLOSE, _CLOSE, 3)
        return self._small[path]


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much of one split stands in another.

    Attributes:
        split: The split with fewer photographs.
        other: The other.
        photographs: Photographs of ``split``.
        shared: Those of them that ``other`` has too, or whose field it has.
    """

    split: str
    other: str
    photographs: int
    shared: int

    @property
    def whole(self) -> bool:
        """Whether ``split`` is nothing but ``other`` again."""
        return self.shared == self.photographs


def merged(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """One pair for every two photographs: what was seen first stands, with the originals that came to light."""
    kept: dict[tuple[str, str], Pair] = {}
    for pair in pairs:
        key = pair.a.key, pair.b.key
        if key not in kept:
            kept[key] = pair
        elif pair.originals:
            first = kept[key]
            kept[key] = Pair(
                first.kind, first.a, first.b, first.seen_a, first.seen_b, first.score, pair.originals
            )
    return tuple(kept.values())


def overlaps(sources: Sequence[Photograph], pairs: Sequence[Pair]) -> tuple[Overlap, ...]:
    """Splits that have photographs or fields in common, the smaller first."""
    number = Counter(source.split for source in sources)
    shared: dict[tuple[str, str], set[str]] = {}
    for pair in pairs:
        for one, other in ((pair.a, pair.b), (pair.b, pair.a)):
            if pair.across:
                shared.setdefault((one.split, other.split), set()).add(one.key)
    found = []
    for first, second in combinations(sorted(number, key=lambda split: (number[split], split)), 2):
        # Of two splits of one size, the later name is taken for the part.
        less, more = (second, first) if number[first] == number[second] else (first, second)
        if (less, more) in shared:
            found.append(Overlap(less, more, number[less], len(shared[less, more])))
    return tuple(found)
