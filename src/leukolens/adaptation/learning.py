"""From a laboratory's features to its own last layer: what the cells weigh, and how tight the prior is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leukolens.adaptation.head import TOLERANCE, Cells, Search, space_of
from leukolens.adaptation.onnx_head import Head
from leukolens.adaptation.replay import Replay

STRENGTHS = (1000.0, 100.0, 10.0, 1.0)
"""Of the prior, tightest first, in cells: what the inner folds choose from."""
ROUGH = 1e-3
"""Tolerance of the searches that only choose among them."""
FOLDS = 5
INNER_FOLDS = 3
REPLAY_WEIGHT = 1.0
"""Of the whole replay, over that of the laboratory's cells."""
MOVED_WEIGHT = 0.25
"""Weight of a class without a cell at hand, over what a class with cells has on average."""
SHRINK = 5.0
"""Cells that a mean must come from to count half."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A head, and the prior it was learned under.

    Attributes:
        head: The head.
        strength: Of its prior.
    """

    head: Head
    strength: float


def learn(
    old: Head,
    looks: NDArray[np.float32],
    truth: NDArray[np.int64],
    groups: NDArray[np.int64],
    replay: Replay | None,
    rng: np.random.Generator,
    threads: int = 1,
) -> Learned:
    """The head that a laboratory's cells give, under the prior that did best on groups it had not learned from.

    Priors are tried from the tightest, until one does no better than the one before.

    Args:
        old: The bundle's own head.
        looks: (n, sides, d), features of the laboratory's cells, each seen from some sides.
        truth: (n,), their classes.
        groups: (n,), what must not be torn apart.
        replay: What the bundle carries of its own cells, if anything.
        rng: Deals the groups.
        threads: How many folds are learned without side by side.
    """
    sides = looks.shape[1]
    dealt = deal(truth, groups, INNER_FOLDS, rng)
    folds, truth = np.repeat(dealt, sides), np.repeat(truth, sides)
    cells = Cells(looks.reshape(len(truth), -1), truth, np.ones(len(truth)))
    space = space_of(_all_of(cells, replay, sides))

    def search(taught: Cells) -> Search:
        return Search.among(old, _all_of(taught, replay, sides), space)

    without = [fold for fold in np.unique(folds).tolist() if (folds != fold).any()]
    least, best = np.inf, STRENGTHS[0]
    with ThreadPoolExecutor(threads) as pool:
        searches = list(pool.map(lambda fold: search(cells.only(folds != fold)), without))
        for strength in STRENGTHS:
            heads = pool.map(lambda one, own=strength: _head(one, own, replay, ROUGH), searches)
            asked = (cells.only(folds == fold) for fold in without)
            loss = sum(_surprise(head, those, truth) for head, those in zip(heads, asked, strict=True))
            # Equal losses, as without a second group, leave the tightest prior.
            if loss >= least:
                break
            least, best = loss, strength
    return Learned(_head(search(cells), best, replay), best)


def _head(search: Search, strength: float, replay: Replay | None, tolerance: float = TOLERANCE) -> Head:
    """A head under one prior; classes without a cell at hand keep what the old head, or the replay, knows."""
    head = search.head(strength, tolerance)
    if replay is not None:
        return head
    absent = np.bincount(search.cells.truth, minlength=len(head.bias)) == 0
    weight, bias = head.weight.copy(), head.bias.copy()
    weight[absent], bias[absent] = search.old.weight[absent], search.old.bias[absent]
    return Head(weight, bias)


def _all_of(cells: Cells, replay: Replay | None, sides: int) -> Cells:
    """A laboratory's cells from all sides, the replay, and absent classes as they would look here."""
    if replay is None:
        return cells
    per_class = np.bincount(replay.truth)
    even = 1 / per_class[replay.truth]
    beside = cells.beside(
        Cells(replay.features, replay.truth, even * (REPLAY_WEIGHT * len(cells) / even.sum()))
    )
    present = np.unique(cells.truth)
    absent = ~np.isin(replay.truth, present)
    known = [key for key in present.tolist() if key < len(per_class) and per_class[key]]
    if not absent.any() or not known:
        return beside
    shifts = [
        cells.features[cells.truth == key].mean(axis=0) - replay.features[replay.truth == key].mean(axis=0)
        for key in known
    ]
    moved = replay.features[absent] + np.mean(shifts, axis=0) * len(cells) / (len(cells) + SHRINK * sides)
    share = MOVED_WEIGHT * len(cells) / len(present)
    # Features are means of what a rectifier let through: never below 0.
    return beside.beside(Cells(np.maximum(moved, 0), replay.truth[absent], share * even[absent]))


def _surprise(head: Head, cells: Cells, truth: NDArray[np.int64]) -> float:
    """Cross-entropy of cells, every class of the laboratory weighing the same."""
    logits = head.logits(cells.features)
    top = logits.max(axis=1)
    of_each = (
        np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top - logits[np.arange(len(top)), cells.truth]
    )
    return float((of_each / np.bincount(truth)[cells.truth]).sum())


def matched(old: Head, features: NDArray[np.float32], replay: Replay) -> Head:
    """The old head, for features whose mean and deviation are made those of the replay first.

    Every class of the replay weighs the same. Deviations are stretched or shrunk to at most twice or half.

    Args:
        old: The bundle's own head.
        features: (n, d), of cells without labels.
        replay: What the bundle carries of its own cells.
    """
    even = 1 / np.bincount(replay.truth)[replay.truth]
    home = space_of(Cells(replay.features, replay.truth, even))
    here = space_of(Cells(features, np.zeros(len(features), np.int64), np.ones(len(features))))
    trust = len(features) / (len(features) + SHRINK)
    stretch = np.clip(home.deviation / here.deviation, 0.5, 2) ** trust
    shift = trust * (home.mean - here.mean * stretch) + (1 - trust) * (home.mean - home.mean * stretch)
    return Head(old.weight * stretch, old.bias + old.weight @ shift)


def deal(
    truth: NDArray[np.int64], groups: NDArray[np.int64], folds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Deals groups into folds, class by class, the largest first to the poorest hand.

    Args:
        truth: (n,), class of each cell.
        groups: (n,), its group; one that holds several classes goes with its first cell's.
        folds: How many; fewer come back where there are fewer groups.
        rng: Decides between groups of equal size.

    Returns:
        (n,), the fold of each cell.
    """
    names, first, member, sizes = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    hands = np.zeros((int(truth.max(initial=0)) + 1, folds))
    whole = np.zeros(folds)
    fold_of = np.zeros(len(names), dtype=np.int64)
    order = rng.permutation(len(names))
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        label = truth[first[group]]
        # Where hands of the class are equal, the one with fewest cells in all.
        fold = int(np.lexsort((whole, hands[label]))[0])
        fold_of[group] = fold
        hands[label, fold] += sizes[group]
        whole[fold] += sizes[group]
    return fold_of[member]
