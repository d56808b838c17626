"""95 % intervals by resampling photographs, because copies of one photograph are no independent evidence.

The cluster bootstrap (Davison & Hinkley 1997, 3.8): whole groups are drawn with replacement, the figure is
computed from the images that came with them, and the 2.5th and 97.5th percentiles of 2,000 such figures
are the interval. Groups are drawn within their class: the numbers of photographs a class were chosen by
the publisher, not by chance, and a class with four photographs would be missing from every fiftieth
resample otherwise. ``stratified=False`` draws from all groups alike.

A resample is never written out as images. It is a row of weights, how often each group was drawn, and a
figure that is a sum over groups needs one matrix product for all resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leukolens.evaluation.predictions import Predictions

RESAMPLES = 2000
SEED = 20260101
FEWEST_GROUPS = 9
_IMAGES_AT_ONCE = 1_000_000

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Interval:
    """The middle 95 % of the resampled figures."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Which images come together.

    Attributes:
        keys: The groups, sorted.
        member: int64 (n,), index of each image's group.
        stratum: int64 (groups,), the class that most of a group's images have.
    """

    keys: tuple[str, ...]
    member: NDArray[np.int64]
    stratum: NDArray[np.int64]

    def of_class(self, label: int) -> int:
        """How many groups belong to a class."""
        return int((self.stratum == label).sum())

    def sums(self, per_image: NDArray[np.float64]) -> NDArray[np.float64]:
        """(groups, ...), what an array over images, (n, ...), adds up to in each group."""
        total = np.zeros((len(self.keys), *per_image.shape[1:]))
        np.add.at(total, self.member, per_image)
        return total


def groups_of(predictions: Predictions) -> Groups:
    """The groups of these images."""
    keys = sorted(set(predictions.groups))
    position = {key: index for index, key in enumerate(keys)}
    member = np.array([position[key] for key in predictions.groups], dtype=np.int64)
    labels = np.zeros((len(keys), len(predictions.classes)))
    np.add.at(labels, (member, predictions.truth), 1)
    return Groups(tuple(keys), member, labels.argmax(axis=1).astype(np.int64))


def resampled_weights(
    groups: Groups, *, resamples: int = RESAMPLES, seed: int = SEED, stratified: bool = True
) -> Iterator[NDArray[np.float64]]:
    """How often each group is drawn, float64 (b, groups), in batches that fit in memory.

    Equal arguments give equal draws: two sets of predictions of the same images are resampled alike, so
    the interval of their mean or difference may be taken draw by draw.
    """
    rng = np.random.default_rng(seed)
    strata = groups.stratum if stratified else np.zeros(len(groups.keys), dtype=np.int64)
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    batch = max(1, min(resamples, _IMAGES_AT_ONCE // max(len(groups.member), 1)))
    for start in range(0, resamples, batch):
        count = min(batch, resamples - start)
        weights = np.zeros((count, len(groups.keys)))
        for chosen in members:
            size = len(chosen)
            weights[:, chosen] = rng.multinomial(size, np.full(size, 1 / size), size=count)
        yield weights


def resample(
    groups: Groups,
    statistic: Statistic,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    stratified: bool = True,
) -> NDArray[np.float64]:
    """The figures of every resample, float64 (resamples, ...).

    Args:
        groups: From ``groups_of``.
        statistic: Takes weights (b, groups), gives the figures (b, ...).
        resamples: How many times to draw.
        seed: Of the draws.
        stratified: Draw within each class.
    """
    drawn = resampled_weights(groups, resamples=resamples, seed=seed, stratified=stratified)
    return np.concatenate([statistic(weights) for weights in drawn])


def percentile_interval(draws: NDArray[np.float64]) -> Interval | None:
    """The middle 95 % of resampled figures, (resamples,), without those that had no denominator.

    None where more than one resample in twenty had none: the rest would be no fair sample.
    """
    defined = draws[~np.isnan(draws)]
    if not len(draws) or len(defined) < 0.95 * len(draws):
        return None
    low, high = np.percentile(defined, [2.5, 97.5])
    return Interval(float(low), float(high))
