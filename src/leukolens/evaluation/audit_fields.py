"""Which photographs of a data set show the same field of the smear: by keypoints, directly or by their originals.

Comparing every photograph with every other by RANSAC would take hours, and the strongest keypoints alone overlook
fields that overlap in a corner. So descriptors are projected on their principal components, each keypoint votes for
the few photographs that hold its likes, and RANSAC judges the photographs with most votes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from leukolens.datasets.matching import SAME_FIELD, FieldIndex, Keypoints, agreement, keypoints
from leukolens.errors import ImageError
from leukolens.evaluation.audit_pairs import Pair, at_field_size
from leukolens.evaluation.audit_survey import Photograph, Seen
from leukolens.imaging.decode import decode

Watch = Callable[[Iterable[Photograph], int, str], Iterator[Photograph]]

MOST_PHOTOGRAPHS = 1200
"""Photographs beyond which keypoints are not compared: the work grows with the square of their number."""

_VOTERS = 250
_COMPONENTS = 32
_VOTES = 5
_CANDIDATES = 6


@dataclass(frozen=True, slots=True)
class Original:
    """The publisher's original of a photograph.

    Attributes:
        photograph: The photograph, of the data set.
        name: The original's own name.
        agreement: Keypoints that agree on how the one lies in the other.
    """

    photograph: Photograph
    name: str
    agreement: int


@dataclass(frozen=True, slots=True)
class Fields:
    """What keypoints told.

    Attributes:
        pairs: Photographs of the data set that show the same field.
        originals: Of the photographs whose original was found.
        original_pairs: Two originals that show the same field, and the keypoints that agree.
        compared: Photographs of which a second copy was compared with the first.
        strays: Second copies that show something else than the first.
    """

    pairs: tuple[Pair, ...] = ()
    originals: tuple[Original, ...] = ()
    original_pairs: tuple[tuple[str, str, int], ...] = ()
    compared: int = 0
    strays: tuple[Seen, ...] = ()


def same_fields(photographs: Sequence[Photograph], originals: Sequence[Photograph], watch: Watch) -> Fields:
    """Pairs of photographs that show the same field, seen directly or through the publisher's originals.

    Args:
        photographs: Of the data set.
        originals: What it was made from, where that is at hand; undistorted.
        watch: Passes photographs on and shows how far they are.
    """
    every = [*photographs, *originals]
    points = [_keypoints(one.face) for one in watch(every, len(every), "keypoints")]
    own, theirs = points[: len(photographs)], points[len(photographs) :]
    parents = _parents(own, theirs)
    adrift = [index for index in range(len(own)) if index not in parents]
    direct = _overlaps(own, adrift, watch, photographs, mirrored=True)
    between = _overlaps(theirs, range(len(theirs)), watch, originals, mirrored=False)
    seconds = [(index, one.images[len(one.images) // 2]) for index, one in enumerate(photographs)]
    seconds = [(index, image) for index, image in seconds if image is not photographs[index].face]
    seconds = [(index, image) for index, image in seconds if image.nucleus]
    return Fields(
        tuple(_pairs(photographs, originals, direct, between, parents)),
        tuple(
            Original(photographs[child], originals[parent].key, score)
            for child, (parent, score) in sorted(parents.items())
        ),
        tuple((originals[a].key, originals[b].key, score) for (a, b), score in sorted(between.items())),
        len(seconds),
        tuple(image for index, image in seconds if not _alike(_keypoints(image), own[index])),
    )


def _parents(own: Sequence[Keypoints], originals: Sequence[Keypoints]) -> dict[int, tuple[int, int]]:
    """For each photograph whose original is among these: the original, and the keypoints that agree."""
    index = FieldIndex(originals)
    best = {child: next(iter(index.search(query)), (0, 0)) for child, query in enumerate(own)}
    return {child: found for child, found in best.items() if found[1] >= SAME_FIELD}


def _overlaps(
    points: Sequence[Keypoints],
    asked: Sequence[int],
    watch: Watch,
    photographs: Sequence[Photograph],
    *,
    mirrored: bool,
) -> dict[tuple[int, int], int]:
    """Indices of photographs that show one field, one of them among those asked, and how many keypoints agree."""
    scores: dict[tuple[int, int], int] = {}
    if len(points) < 2 or not len(asked):
        return scores
    bank = _Bank(points)
    for here, _ in zip(
        asked, watch([photographs[index] for index in asked], len(asked), "fields"), strict=True
    ):
        for query in (points[here], points[here].mirrored())[: 1 + mirrored]:
            for there in bank.likely(query, here):
                key = min(here, there), max(here, there)
                score = agreement(query, points[there])
                if score >= SAME_FIELD:
                    scores[key] = max(score, scores.get(key, 0))
    return scores


class _Bank:
    """The strongest keypoints of many photographs, projected; each query keypoint has several votes.

    In `FieldIndex` it has one, which the photograph's own copy in another split would take from all others.
    """

    def __init__(self, points: Sequence[Keypoints]) -> None:
        kept = [one.descriptors[:_VOTERS] for one in points]
        every = np.concatenate(kept)
        _, axes = np.linalg.eigh(np.cov(every, rowvar=False)) if len(every) > 1 else (0, np.eye(128))
        self._axes = np.ascontiguousarray(axes[:, -_COMPONENTS:], np.float32)
        # A row of zeros ends each photograph, so that one without keypoints has a place too.
        nothing = np.zeros((1, _COMPONENTS), np.float32)
        parts = [np.concatenate([self._projected(one), nothing]) for one in kept]
        self._starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
        self._bank = np.ascontiguousarray(np.concatenate(parts).T)

    def _projected(self, descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
        short = descriptors @ self._axes
        return np.asarray(short / np.maximum(np.linalg.norm(short, axis=1, keepdims=True), 1e-6), np.float32)

    def likely(self, query: Keypoints, itself: int) -> list[int]:
        """The photographs, other than itself, that hold the likes of most of these keypoints; most first."""
        if not len(query.points):
            return []
        likeness = self._projected(query.descriptors[:_VOTERS]) @ self._bank
        best = np.maximum.reduceat(likeness, self._starts, axis=1)
        best[:, itself] = -2
        votes = min(_VOTES, best.shape[1] - 1)
        favoured = np.argpartition(-best, votes - 1, axis=1)[:, :votes]
        count = np.bincount(favoured.ravel(), minlength=best.shape[1])
        count[itself] = -1
        return [int(index) for index in np.argsort(-count, kind="stable")[:_CANDIDATES] if count[index] > 0]


def _pairs(
    photographs: Sequence[Photograph],
    originals: Sequence[Photograph],
    direct: dict[tuple[int, int], int],
    between: dict[tuple[int, int], int],
    parents: dict[int, tuple[int, int]],
) -> Iterator[Pair]:
    """Direct matches, and those of photographs whose originals match or are one."""
    children: dict[int, list[int]] = defaultdict(list)
    for child, (parent, _) in parents.items():
        children[parent].append(child)
    scores = dict(direct)
    for (first, second), score in between.items():
        for a, b in product(children[first], children[second]):
            scores[min(a, b), max(a, b)] = score
    for siblings in children.values():
        for a, b in product(siblings, siblings):
            if a < b:
                scores[a, b] = min(parents[a][1], parents[b][1])
    for (a, b), score in sorted(scores.items()):
        behind = [originals[parents[child][0]].key for child in (a, b) if child in parents]
        one, other = photographs[a], photographs[b]
        yield Pair(
            "same field",
            one,
            other,
            one.face,
            other.face,
            float(score),
            (behind[0], behind[1]) if len(behind) == 2 else None,
        )


def _alike(query: Keypoints, field: Keypoints) -> bool:
    return max(agreement(query, field), agreement(query.mirrored(), field)) >= SAME_FIELD


def _keypoints(image: Seen) -> Keypoints:
    try:
        rgb = decode(image.path)
    except ImageError:
        return Keypoints(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    return keypoints(at_field_size(rgb))
