"""A few hundred features of the cells that a bundle learned from, which it carries along: nobody's image.

They stand in for the data itself when the bundle is adapted, so that it need not forget what it knew, and they say
what features are like where the bundle is at home. They stay as they are where the network's normalisation is taken
anew: they are the old laboratories' cells, read through the statistics of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from leukolens.errors import BundleError

LARGEST = 500_000  # bytes
USUAL = 430_000
"""Bytes of features in half precision to aim at, before they are packed: they hardly shrink."""


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """Cells as the last layer saw them.

    Attributes:
        features: float32 (n, d).
        truth: int64 (n,), index into the bundle's classes.
    """

    features: NDArray[np.float32]
    truth: NDArray[np.int64]

    def only(self, mask: NDArray[np.bool_]) -> Replay:
        """The cells where ``mask`` is true."""
        return Replay(self.features[mask], self.truth[mask])

    def balanced(self, logits: NDArray[np.float64]) -> float:
        """Share of the cells that logits (n, classes) name rightly, every class weighing the same."""
        weight = 1 / np.bincount(self.truth)[self.truth]
        return float(weight @ (logits.argmax(axis=1) == self.truth) / weight.sum())


def room(width: int) -> int:
    """How many cells of so many features a bundle carries along."""
    return USUAL // (2 * width)


def chosen(
    truth: NDArray[np.int64], labs: Sequence[str], rng: np.random.Generator, most: int
) -> NDArray[np.int64]:
    """Which cells to carry along: as many of every class in every laboratory as there are, up to an even share.

    Args:
        truth: (n,), class of each cell.
        labs: (n,), its laboratory.
        rng: Draws among the cells of one class and laboratory.
        most: How many cells in all.

    Returns:
        (m,), their places, rising; m is at most ``most``.
    """
    kinds: dict[tuple[int, str], list[int]] = {}
    for place in rng.permutation(len(truth)).tolist():
        kinds.setdefault((int(truth[place]), labs[place]), []).append(place)
    # Dealt round by round: what a small kind leaves over goes to the larger ones.
    rounds = max(map(len, kinds.values()), default=0)
    dealt = [kinds[kind][turn] for turn in range(rounds) for kind in sorted(kinds) if turn < len(kinds[kind])]
    return np.sort(np.array(dealt[:most], dtype=np.int64))


def pack(replay: Replay) -> bytes:
    """The bytes of a bundle's ``replay.npz``.

    Raises:
        BundleError: Where they are more than 500 kB.
    """
    buffer = BytesIO()
    np.savez_compressed(
        buffer, features=replay.features.astype(np.float16), labels=replay.truth.astype(np.uint8)
    )
    content = buffer.getvalue()
    if len(content) > LARGEST:
        raise BundleError(f"a replay of {len(content)} bytes is too large for a bundle", "Choose fewer cells")
    return content


def unpack(content: bytes, width: int, classes: int) -> Replay:
    """What `pack` made.

    Args:
        content: The bytes.
        width: How many features the bundle's last layer takes.
        classes: How many classes it knows.

    Raises:
        BundleError: Where it is damaged, or another bundle's.
    """
    try:
        with np.load(BytesIO(content), allow_pickle=False) as stored:
            features, truth = stored["features"].astype(np.float32), stored["labels"].astype(np.int64)
    except Exception as error:  # a damaged archive answers with anything from zlib.error to KeyError
        raise _damaged(f"it cannot be read ({type(error).__name__})") from error
    if features.ndim != 2 or features.shape[1] != width or truth.shape != (len(features),):
        raise _damaged(f"its features are {features.shape}, its labels {truth.shape}")
    if not np.isfinite(features).all() or not len(truth) or truth.max() >= classes:
        raise _damaged("it holds what is no feature or no class")
    return Replay(features, truth)


def _damaged(problem: str) -> BundleError:
    return BundleError(f"the bundle's replay is damaged: {problem}", "Export the bundle or fetch it again")
