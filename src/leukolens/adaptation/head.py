"""A last layer that learns a laboratory's own cells without leaving what it knew.

Multinomial logistic regression whose weights are drawn to the old layer's by a Gaussian prior around them: with
few cells, or a tight prior, the old layer remains. The search runs along the principal axes of the features, with
steps as long as each axis's curvature allows, so that it takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leukolens.adaptation.onnx_head import Head

Objective = Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]

KEPT = 0.999
"""Share of the features' variance along whose axes a head may move."""
SMALLEST_DEVIATION = 0.1
"""Of a feature, over the mean of all: one that hardly moves would be blown up otherwise."""
TOLERANCE = 1e-4
"""Slope at which a search ends, over that at its start."""

_CURVATURE = 0.15  # of a cell's cross-entropy along its logit, for the length of steps alone
_MEMORY = 10
_MOST_STEPS = 300


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """What a head learns from.

    Attributes:
        features: float (n, d).
        truth: int64 (n,), class of each.
        weight: float64 (n,), how much each counts; the prior's strength is in the same unit.
    """

    features: NDArray[np.floating]
    truth: NDArray[np.int64]
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.truth)

    def only(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Cells:
        """The cells at these places, or where a mask is true."""
        return Cells(self.features[index], self.truth[index], self.weight[index])

    def beside(self, others: Cells) -> Cells:
        """These cells, then the others."""
        return Cells(
            np.concatenate([self.features, others.features]),
            np.concatenate([self.truth, others.truth]),
            np.concatenate([self.weight, others.weight]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """What features are measured in.

    Attributes:
        mean: float64 (d,).
        deviation: float64 (d,), above 0; features are less the mean, over it.
        axes: float64 (d, k), the principal axes of what is left, most power first.
        power: float64 (k,), mean square along each.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    axes: NDArray[np.float64]
    power: NDArray[np.float64]

    def along(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n, k), where features (n, d) lie along the axes."""
        return np.asarray(((features - self.mean) / self.deviation) @ self.axes)


def space_of(cells: Cells, kept: float = KEPT) -> Space:
    """The space that these cells span.

    Args:
        cells: Weighted as they are.
        kept: Share of the variance that the axes hold together.
    """
    weight = cells.weight / cells.weight.sum()
    mean = weight @ cells.features
    spread = np.sqrt(weight @ (cells.features - mean) ** 2)
    deviation = np.maximum(spread, max(SMALLEST_DEVIATION * float(spread.mean()), np.finfo(float).tiny))
    inputs = (cells.features - mean) / deviation
    power, axes = np.linalg.eigh((inputs * weight[:, None]).T @ inputs)
    power, axes = np.maximum(power[::-1], 0), axes[:, ::-1]
    share = np.cumsum(power) / max(float(power.sum()), np.finfo(float).tiny)
    count = min(int(np.searchsorted(share, kept)) + 1, int((power > 1e-10 * power[0]).sum()))
    return Space(mean, deviation, axes[:, :count], power[:count])


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """For the most probable head, given cells and a Gaussian prior around the old head.

    Attributes:
        old: Where the prior stands.
        cells: Labelled features.
        space: Where the head may move.
        places: float64 (n, k + 1), where the cells lie along the space's axes, and a 1.
        before: float64 (n, classes), what the old head says of them.
    """

    old: Head
    cells: Cells
    space: Space
    places: NDArray[np.float64]
    before: NDArray[np.float64]

    @classmethod
    def among(cls, old: Head, cells: Cells, space: Space) -> Search:
        """Prepares the search, for any number of priors."""
        places = np.column_stack([space.along(cells.features), np.ones(len(cells))])
        return cls(old, cells, space, places, old.logits(cells.features))

    def head(self, strength: float, tolerance: float = TOLERANCE) -> Head:
        """The head under one prior.

        It minimises the weighted sum of the cells' cross-entropies plus half of ``strength`` times the squared
        distance from the old weights and biases, measured on standardised features.

        Args:
            strength: Of the prior, 0 and up; 0 is plain logistic regression.
            tolerance: As for `minimise`.
        """
        cells, space = self.cells, self.space
        classes, weight = len(self.old.bias), cells.weight
        curvature = _CURVATURE * float(weight.sum()) * np.append(space.power, 1.0) + strength
        step = 1 / np.sqrt(curvature)
        inputs = self.places * step
        pull = strength * step**2
        rows = np.arange(len(cells))

        def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            change = flat.reshape(classes, -1)
            logits = self.before + inputs @ change.T
            logits -= logits.max(axis=1, keepdims=True)
            raised = np.exp(logits)
            whole = raised.sum(axis=1)
            value = weight @ (np.log(whole) - logits[rows, cells.truth])
            raised /= whole[:, None]
            raised[rows, cells.truth] -= 1
            slope = (raised * weight[:, None]).T @ inputs + pull * change
            return float(value + (pull * change**2).sum() / 2), slope.ravel()

        start = np.zeros(classes * inputs.shape[1])
        change = minimise(objective, start, tolerance).reshape(classes, -1) * step
        moved = change[:, :-1] @ space.axes.T / space.deviation
        return Head(self.old.weight + moved, self.old.bias + change[:, -1] - moved @ space.mean)


def minimise(
    objective: Objective, start: NDArray[np.float64], tolerance: float = TOLERANCE
) -> NDArray[np.float64]:
    """The lowest point of a smooth convex function, by L-BFGS (Nocedal & Wright 2006, algorithm 7.5).

    Args:
        objective: Gives a point's value and slope.
        start: Where to begin.
        tolerance: Slope that is level enough, over the slope at the start.
    """
    point, (value, slope) = start, objective(start)
    target = tolerance * max(1.0, float(np.linalg.norm(slope)))
    memory: list[tuple[NDArray[np.float64], NDArray[np.float64], float]] = []
    for _ in range(_MOST_STEPS):
        if float(np.linalg.norm(slope)) <= target:
            break
        direction = _downhill(slope, memory)
        descent, length = float(slope @ direction), 1.0
        ahead = point + direction
        lower, there = objective(ahead)
        while lower > value + 1e-4 * length * descent and length > 1e-9:
            length /= 2
            ahead = point + length * direction
            lower, there = objective(ahead)
        if lower > value:
            break
        moved, turned = ahead - point, there - slope
        along = float(moved @ turned)
        if along > 0:
            memory = [*memory[1 - _MEMORY :], (moved, turned, 1 / along)]
        point, value, slope = ahead, lower, there
    return point


def _downhill(
    slope: NDArray[np.float64], memory: list[tuple[NDArray[np.float64], NDArray[np.float64], float]]
) -> NDArray[np.float64]:
    direction, shares = -slope, []
    for moved, turned, inverse in reversed(memory):
        share = inverse * float(moved @ direction)
        shares.append(share)
        direction = direction - share * turned
    if memory:
        _, turned, inverse = memory[-1]
        direction = direction / (inverse * float(turned @ turned))
    for (moved, turned, inverse), share in zip(memory, reversed(shares), strict=True):
        direction = direction + (share - inverse * float(turned @ direction)) * moved
    return direction
