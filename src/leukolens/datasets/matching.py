"""Which images show the same piece of smear: by keypoints for fields, by thumbnails for near copies.

Keypoints are SIFT (Lowe 2004, doi 10.1023/B:VISI.0000029664.99615.94) with Hellinger-normalised
descriptors (Arandjelovic and Zisserman 2012, doi 10.1109/CVPR.2012.6248018). Two images show one field
where many keypoints agree on one affine map that neither shrinks nor shears much, found by RANSAC.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

SAME_FIELD = 10
"""Agreeing keypoints from which two images show one field. Measured on the 66,066 pairs of BCCD photographs: 42 pairs
have 10 to 176, all others at most 8; on 12,451 distorted copies against their photograph: 47 and more."""

_KEYPOINTS = 400
_CONTRAST = 0.01
_VOTERS = 80
_VOTING_DIMENSIONS = 32
_RATIO = 0.8
_REPROJECTION = 3.0
_STRETCH = (0.6, 1.6)

# A SIFT descriptor is 4 rows x 4 columns x 8 directions in the keypoint's own frame; a mirror turns that frame's
# rows and directions round.
_MIRRORED = np.arange(128).reshape(4, 4, 8)[::-1][:, :, [-k % 8 for k in range(8)]].ravel()


@dataclass(frozen=True, slots=True, eq=False)
class Keypoints:
    """What RANSAC compares of an image.

    Attributes:
        points: float32 (n, 2), x and y in pixels, strongest first.
        descriptors: float32 (n, 128), each of length 1.
    """

    points: NDArray[np.float32]
    descriptors: NDArray[np.float32]

    def mirrored(self) -> Keypoints:
        """Those of the image's mirror image; with rotation, that covers every way a flipped copy can lie."""
        return Keypoints(
            self.points * np.array([-1, 1], np.float32), np.ascontiguousarray(self.descriptors[:, _MIRRORED])
        )


def keypoints(rgb: NDArray[np.uint8]) -> Keypoints:
    """The keypoints of an image.

    Args:
        rgb: uint8 (height, width, 3). Bring images to be compared to about the same magnification.
    """
    found, raw = cv2.SIFT.create(nfeatures=_KEYPOINTS, contrastThreshold=_CONTRAST).detectAndCompute(
        cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), None
    )
    if raw is None:
        return Keypoints(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    strongest = sorted(range(len(found)), key=lambda at: (-found[at].response, found[at].pt))
    points = np.array([found[at].pt for at in strongest], np.float32)
    descriptors = np.sqrt(raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-6))
    return Keypoints(points, descriptors[strongest].astype(np.float32))


def agreement(query: Keypoints, field: Keypoints, least: int = 6) -> int:
    """How many keypoints of the field an affine map takes the query's to.

    Both must show the field the same way round; for a mirrored copy compare ``query.mirrored()``.

    Args:
        query: Keypoints of one image.
        field: Keypoints of the other.
        least: Where fewer keypoints resemble each other at all, the answer is 0 without a search for a map.
    """
    least = max(least, 4)
    if len(query.points) < least or len(field.points) < least:
        return 0
    similarity = query.descriptors @ field.descriptors.T
    rows = np.arange(len(similarity))
    target = similarity.argmax(axis=1)
    first = similarity[rows, target]
    similarity[rows, target] = -1
    second = similarity.max(axis=1)
    # For unit vectors the squared distance is 2 - 2 cos, so the ratio test needs no distances.
    clear = (1 - first) < _RATIO**2 * (1 - second)
    if len(np.unique(target[clear])) < least:
        return 0
    cv2.setRNGSeed(0)
    affine, inlier = cv2.estimateAffine2D(
        query.points[clear],
        field.points[target[clear]],
        method=cv2.RANSAC,
        ransacReprojThreshold=_REPROJECTION,
        maxIters=500,
    )
    if affine is None:
        return 0
    stretch = np.linalg.svd(affine[:, :2], compute_uv=False)
    if stretch[1] < _STRETCH[0] or stretch[0] > _STRETCH[1]:
        return 0
    return len(np.unique(target[clear][inlier.ravel() > 0]))


def same_field(rgb_a: NDArray[np.uint8], rgb_b: NDArray[np.uint8]) -> int:
    """How many keypoints of two images agree on one map, mirrored or not; ``SAME_FIELD`` and more say yes.

    Args:
        rgb_a: uint8 (height, width, 3).
        rgb_b: uint8 (height, width, 3), at about the same magnification.
    """
    query, field = keypoints(rgb_a), keypoints(rgb_b)
    return max(agreement(query, field), agreement(query.mirrored(), field))


class FieldIndex:
    """Many fields, searched at once: the strongest keypoints vote for fields, RANSAC judges those voted for.

    Votes are counted on the first principal components of the descriptors, which is four times as fast.

    Args:
        fields: The keypoints of each field.
        voters: How many keypoints of each image vote.
    """

    def __init__(self, fields: Sequence[Keypoints], voters: int = _VOTERS) -> None:
        self._fields, self._voters = list(fields), voters
        heads = [field.descriptors[:voters] for field in fields]
        self._ends = np.cumsum([0, *map(len, heads)])
        self._owner = np.repeat(np.arange(len(fields)), np.diff(self._ends))
        stacked = np.concatenate([*heads, np.zeros((0, 128), np.float32)])
        self._axes = _principal_axes(stacked)
        self._voting = (stacked @ self._axes).T.copy()

    def search(
        self, query: Keypoints, candidates: int = 3, *, mirrored: bool = True, besides: int | None = None
    ) -> list[tuple[int, int]]:
        """The fields that an image may show: (index, agreeing keypoints), best first, zeros left out.

        Args:
            query: The image's keypoints, at the fields' magnification.
            candidates: How many fields RANSAC judges, each way round.
            mirrored: Whether the image may be a mirrored copy.
            besides: Index of a field that is left out: the query itself, where it is one of the fields.
        """
        best: dict[int, int] = {}
        for view in (query, query.mirrored()) if mirrored else (query,):
            if not len(view.points) or not len(self._owner):
                continue
            similarity = view.descriptors[: self._voters] @ self._axes @ self._voting
            if besides is not None:
                similarity[:, self._ends[besides] : self._ends[besides + 1]] = -np.inf
            votes = np.bincount(self._owner[similarity.argmax(axis=1)], minlength=len(self._fields))
            for index in np.argsort(-votes, kind="stable")[:candidates]:
                score = agreement(view, self._fields[index]) if index != besides else 0
                if score > best.get(int(index), 0):
                    best[int(index)] = score
        return sorted(best.items(), key=lambda item: (-item[1], item[0]))


def _principal_axes(descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
    spread = descriptors - descriptors.mean(axis=0) if len(descriptors) else descriptors
    _, axes = np.linalg.eigh(spread.T @ spread)
    return np.ascontiguousarray(axes[:, ::-1][:, :_VOTING_DIMENSIONS].astype(np.float32))


def fingerprint(rgb: NDArray[np.uint8], side: int = 16) -> NDArray[np.float32]:
    """What near copies have nearly in common: a thumbnail less its mean, of length 1, flattened.

    Args:
        rgb: uint8 (height, width, 3).
        side: Of the square thumbnail, in pixels.
    """
    small = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    small -= small.mean()
    length = float(np.linalg.norm(small))
    return small / length if length else small


def alike(fingerprints: NDArray[np.float32], least: float) -> list[tuple[int, int, float]]:
    """The pairs whose fingerprints correlate at least so much: (first, second, correlation), first < second.

    Args:
        fingerprints: float32 (n, d), one a row.
        least: Correlation, at most 1.
    """
    pairs = []
    for start in range(0, len(fingerprints), 1024):
        block = fingerprints[start : start + 1024] @ fingerprints.T
        for row, column in np.argwhere(block >= least):
            if start + row < column:
                pairs.append((int(start + row), int(column), float(block[row, column])))
    return pairs


def clusters(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """For each of ``count`` things, the smallest index among those that pairs link it to, itself included."""
    root = list(range(count))

    def find(index: int) -> int:
        while root[index] != index:
            root[index] = root[root[index]]
            index = root[index]
        return index

    for first, second in pairs:
        low, high = sorted((find(first), find(second)))
        root[high] = low
    return [find(index) for index in range(count)]
