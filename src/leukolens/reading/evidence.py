"""How much speaks for any leukocyte at all, beside what speaks for cells that were learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leukolens.taxonomy import cell_class

WEIGHT = 4.0
"""Of a standard deviation that is missing, as a distance: so that kinds of leukocytes that were left out of training
are refused more often, and nothing else less often (docs/trust.md)."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The last layer's evidence for leukocytes: the negative free energy of their logits.

    A kind of cell that was never learned may well look like a learned one to the last features, but the last layer
    answers it in a low voice (Liu et al., *Energy-based out-of-distribution detection*, NeurIPS 2020).

    Attributes:
        weight: float32 (m, d), the last layer's, of the m leukocyte classes.
        bias: float32 (m,).
        level: float32 (2,), mean and standard deviation of learned leukocytes' evidence.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    level: NDArray[np.float32]

    def of(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Evidence (n,) of features (n, d): the logarithm of the sum of exponentials of the logits."""
        # Each sum on its own, without blocked products: a cell's neighbours must change no bit of it.
        logits = np.einsum("nd,md->nm", features.astype(np.float64), self.weight.astype(np.float64))
        logits += self.bias.astype(np.float64)
        most = logits.max(axis=1, keepdims=True)
        return np.asarray(most[:, 0] + np.log(np.exp(logits - most).sum(axis=1)))

    def missing(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """How far features (n, d) stay under the level, (n,), in `WEIGHT` times its deviations; 0 from the level up."""
        mean, deviation = self.level.astype(np.float64)
        return np.asarray(WEIGHT * np.maximum(mean - self.of(features), 0) / deviation)

    def levelled(self, features: NDArray[np.floating]) -> Evidence:
        """The same with the level of these leukocytes, features (n, d)."""
        found = self.of(features)
        deviation = max(float(found.std()), 1e-3)
        return Evidence(self.weight, self.bias, np.array([found.mean(), deviation], np.float32))


def evidence_of(
    weight: NDArray[np.floating],
    bias: NDArray[np.floating],
    classes: Sequence[str],
    features: NDArray[np.floating],
    labels: Sequence[str],
) -> Evidence | None:
    """What a last layer says of the leukocytes that it learned.

    Args:
        weight: (classes, d), the last layer's.
        bias: (classes,).
        classes: Their keys.
        features: (n, d), of cells that were learned.
        labels: (n,), their class keys.

    Returns:
        None where there are no two leukocytes to take a level from.
    """
    white = np.array([cell_class(key).leukocyte for key in classes])
    learned = np.array([cell_class(key).leukocyte for key in labels], np.bool_)
    if learned.sum() < 2 or not white.any():
        return None
    own = np.asarray(weight[white], np.float32), np.asarray(bias[white], np.float32)
    return Evidence(*own, np.array([0, 1], np.float32)).levelled(np.asarray(features)[learned])
