"""How often the set of classes that a cell may be holds its true class, and how large the sets are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leukolens.evaluation.intervals import groups_of, resample
from leukolens.evaluation.measures import Measure, interval_of
from leukolens.evaluation.predictions import Predictions
from leukolens.taxonomy import in_order


@dataclass(frozen=True, slots=True)
class SetMeasures:
    """The sets of one class's cells.

    Attributes:
        label: The true class's key.
        images: Images of it in which a cell was found.
        coverage: Share of them whose set holds the class.
        size: Mean number of classes in a set.
        empty: Share of sets without any class.
    """

    label: str
    images: int
    coverage: Measure
    size: float
    empty: float


def set_measures(predictions: Predictions, thresholds: Mapping[str, float]) -> tuple[SetMeasures, ...]:
    """Every class that occurs and has a threshold, in taxonomy order.

    Args:
        predictions: Calibrated probabilities of all of the bundle's classes, as reading gives them.
        thresholds: Class key to the probability from which it is in a set.
    """
    found = predictions.only(predictions.found)
    least = np.array([thresholds.get(key, np.inf) for key in found.classes])
    inside = found.probabilities >= least
    sizes = inside.sum(axis=1)
    measures = []
    for key in in_order(set(found.classes) & set(thresholds)):
        place = found.classes.index(key)
        own = found.truth == place
        if not own.any():
            continue
        part = found.only(own)
        held, groups = inside[own, place], groups_of(part)
        sums = groups.sums(np.column_stack([np.ones(len(part)), held]))

        def share(weights: NDArray[np.float64], sums: NDArray[np.float64] = sums) -> NDArray[np.float64]:
            count, hits = (weights @ sums).T
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.asarray((hits / count)[:, None])

        interval = interval_of(resample(groups, share)[:, 0], len(groups.keys))
        measures.append(
            SetMeasures(
                key,
                int(own.sum()),
                Measure(float(held.mean()), interval),
                float(sizes[own].mean()),
                float((sizes[own] == 0).mean()),
            )
        )
    return tuple(measures)
