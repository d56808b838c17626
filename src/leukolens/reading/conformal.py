"""Which classes a cell may be: conformal sets, by thresholds that held-out groups gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

FEWEST_GROUPS = 9
COVERAGE = 0.9


def set_thresholds(
    classes: Sequence[str],
    probabilities: NDArray[np.floating],
    truth: NDArray[np.integer],
    groups: Sequence[str],
    labs: Sequence[str] | None = None,
    coverage: float = COVERAGE,
) -> dict[str, float]:
    """For each class the probability from which it is in a cell's set.

    Class-conditional split conformal prediction (Vovk, *Conditional validity of inductive conformal
    predictors*, ACML 2012), with a class's own probability as the score (Sadinle, Lei & Wasserman, JASA
    2019). Cells of one photograph are no independent evidence, so groups are what is exchanged: each
    counts one, shared among its cells, and one more group that holds nothing stands for the next to come
    (Lee, Barber & Willett, *Distribution-free inference with hierarchical data*, arXiv:2306.06342). A cell of a
    new group of the same kind is then covered with at least ``coverage``. A sample comes from one laboratory, so
    that holds in each: the threshold is the least of those that the laboratories of nine groups or more give
    alone. On another kind of group, another laboratory's, nothing is promised.

    Args:
        classes: Class keys, the order of the columns.
        probabilities: (n, classes), calibrated, of cells that nothing learned from.
        truth: (n,), index of the true class.
        groups: (n,), the group of each cell.
        labs: (n,), the laboratory of each; one where None.
        coverage: The share of a class's cells whose set is to hold it.

    Returns:
        Class key to threshold; classes of fewer than nine groups, or of too few for the coverage, are left out.
    """
    names = np.asarray(groups, dtype=object).astype(str)
    places = np.asarray([""] * len(names) if labs is None else labs, dtype=object).astype(str)
    thresholds = {}
    for index, key in enumerate(classes):
        own = np.asarray(truth) == index
        scores = np.asarray(probabilities, np.float64)[:, index]
        found = [_threshold(scores[own], names[own], coverage)] + [
            _threshold(scores[own & (places == lab)], names[own & (places == lab)], coverage)
            for lab in np.unique(places)
        ]
        known = [threshold for threshold in found if threshold is not None]
        if known:
            thresholds[key] = min(known)
    return thresholds


def _threshold(scores: NDArray[np.float64], groups: NDArray[np.str_], coverage: float) -> float | None:
    """The largest score that enough groups reach; None where there are too few groups to say."""
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(sizes) < FEWEST_GROUPS:
        return None
    order = np.argsort(-scores, kind="stable")
    held = np.cumsum((1 / sizes)[group][order]) / (len(sizes) + 1)
    enough = np.flatnonzero(held >= coverage - 1e-12)
    return float(scores[order[enough[0]]]) if len(enough) else None


def class_set(probabilities: Mapping[str, float], thresholds: Mapping[str, float]) -> tuple[str, ...]:
    """The classes that a cell may be, in the order of ``probabilities``.

    Empty where no class reaches its threshold: then the cell is like none of them. A class without a
    threshold is never in it, and nothing is claimed of its cells.
    """
    return tuple(
        key for key, value in probabilities.items() if key in thresholds and value >= thresholds[key]
    )
