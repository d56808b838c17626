"""Where a network that learned has moved cells that are not at hand, told from those that are.

A bundle carries features of cells of other laboratories, and Gaussians of theirs, but not the cells. When its network
learns, all features move, and mostly alike: a linear map that takes a laboratory's own cells from where they were to
where they are takes others' along.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from leukolens.adaptation.replay import Replay
from leukolens.reading.familiarity import Familiarity

STIFFNESS = 0.5
"""Of the map, in mean squared distances of a cell from the middle: a stiff one moves all cells by the same."""


def moved(replay: Replay, before: NDArray[np.float32], after: NDArray[np.float32]) -> Replay:
    """The replay as the network sees it now.

    Args:
        replay: As the parent saw it.
        before: (n, d), features of the laboratory's cells in the parent.
        after: (n, d), the same in the new network.
    """
    middle, shift, slope = _map(before, after - before)
    features = replay.features + shift + (replay.features - middle) @ slope
    # Features are means of what a rectifier let through: never below 0.
    return Replay(np.maximum(features, 0).astype(np.float32), replay.truth)


def returned(known: Familiarity, before: NDArray[np.float32], after: NDArray[np.float32]) -> Familiarity:
    """What is familiar, for features of the new network: its axes lead back to where the parent saw a cell.

    Args:
        known: The parent's.
        before: (n, d), features of the laboratory's cells in the parent.
        after: (n, d), the same in the new network.
    """
    old_mean, old_axes = known.mean.astype(np.float64), known.axes.astype(np.float64)
    middle, shift, slope = _map(after, (before - after) @ old_axes)
    axes = old_axes + slope
    # The new mean lies where the new axes give what the old ones and the map give.
    wanted = old_mean @ old_axes + middle @ slope - shift
    mean = old_mean + np.linalg.lstsq(axes.T, wanted - old_mean @ axes, rcond=None)[0]
    return replace(known, mean=mean.astype(np.float32), axes=axes.astype(np.float32))


def _map(
    given: NDArray[np.floating], wanted: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Middle (d,), shift (k,) and slope (d, k): ``wanted`` (n, k) is about ``shift + (given - middle) @ slope``.

    Ridge regression, in its dual form: there are fewer cells than features.
    """
    rows, answers = given.astype(np.float64), wanted.astype(np.float64)
    middle, shift = rows.mean(axis=0), answers.mean(axis=0)
    rows, answers = rows - middle, answers - shift
    products = rows @ rows.T
    penalty = max(STIFFNESS * float(np.trace(products)) / len(rows), np.finfo(float).tiny)
    slope = rows.T @ np.linalg.solve(products + penalty * np.eye(len(rows)), answers)
    return middle, shift, np.asarray(slope)
