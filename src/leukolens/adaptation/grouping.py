"""Which of a laboratory's images show the same cell, so that no split tears them apart."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from leukolens.datasets.base import Sample
from leukolens.datasets.matching import SAME_FIELD, Keypoints, agreement, clusters, keypoints
from leukolens.evaluation.audit_pairs import at_field_size, copies
from leukolens.evaluation.audit_survey import Seen, gather, seen
from leukolens.imaging.decode import decode

NEIGHBOURS = 2


def grouped(samples: Sequence[Sample], features: NDArray[np.float32], threads: int = 1) -> tuple[str, ...]:
    """The group of each sample: its own, joined with those that hold copies of its pictures.

    Copies of the whole picture are found by thumbnails, turned and cropped ones by keypoints among the cells that
    look most alike to the network.

    Args:
        samples: Readable ones.
        features: (n, d), one row a sample.
        threads: How many images are looked at side by side.
    """
    names = [sample.path.as_posix() for sample in samples]
    with ThreadPoolExecutor(threads) as pool:
        images, points = zip(*pool.map(_look, names, samples), strict=True)
    photographs = gather(images)
    place = {name: index for index, name in enumerate(names)}
    pairs = [(place[pair.seen_a.name], place[pair.seen_b.name]) for pair in copies(photographs)]
    pairs += [pair for pair in _neighbours(features) if _one_cell(points[pair[0]], points[pair[1]])]
    first: dict[str, int] = {}
    pairs += [(first.setdefault(sample.group, index), index) for index, sample in enumerate(samples)]
    return tuple(samples[index].group for index in clusters(len(samples), pairs))


def _look(name: str, sample: Sample) -> tuple[Seen, Keypoints]:
    rgb = decode(sample.path)
    return seen(rgb, name, sample, name), keypoints(at_field_size(rgb))


def _one_cell(a: Keypoints, b: Keypoints) -> bool:
    return max(agreement(a, b), agreement(a.mirrored(), b)) >= SAME_FIELD


def _neighbours(features: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Pairs of which one is among the other's nearest, (first, second), first < second, sorted."""
    count = min(NEIGHBOURS, len(features) - 1)
    if count < 1:
        return []
    rows = features - features.mean(axis=0)
    square = (rows**2).sum(axis=1)
    apart = square[:, None] + square - 2 * rows @ rows.T
    np.fill_diagonal(apart, np.inf)
    nearest = np.argpartition(apart, count - 1, axis=1)[:, :count]
    return sorted({(min(a, b), max(a, b)) for a, row in enumerate(nearest.tolist()) for b in row})
