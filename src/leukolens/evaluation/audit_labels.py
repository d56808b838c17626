"""Labels that speak against themselves: by cross-fitted predictions, and by the publisher's own table."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from leukolens.evaluation.predictions import Predictions


@dataclass(frozen=True, slots=True)
class Doubt:
    """A source photograph that networks that never saw it would label otherwise.

    Attributes:
        group: The photograph.
        label: Its class key.
        own: Mean probability of its label over its copies.
        other: The class that is more probable.
        others: Mean probability of that.
        copies: Copies that were answered.
        against: Copies that were called something else.
        image: The copy that speaks most clearly against the label.
        confident: Whether ``other`` is at least as probable as it is on average for photographs that bear
            that label, the rule of confident learning (Northcutt et al. 2021, doi 10.1613/jair.1.12125).
    """

    group: str
    label: str
    own: float
    other: str
    others: float
    copies: int
    against: int
    image: str
    confident: bool


def doubts(predictions: Predictions) -> tuple[Doubt, ...]:
    """The photographs whose label is less probable than another class, the least probable label first.

    Args:
        predictions: Each image's made by a network that never saw its photograph. Images in which no cell
            was found say nothing of a label.
    """
    rows: dict[tuple[str, int], list[int]] = defaultdict(list)
    for index in np.flatnonzero(predictions.found):
        rows[predictions.groups[index], int(predictions.truth[index])].append(int(index))
    mean = {key: predictions.probabilities[those].mean(axis=0) for key, those in rows.items()}
    usual = _usual(mean, len(predictions.classes))
    found = []
    for (group, truth), those in rows.items():
        average = mean[group, truth]
        other = int(average.argmax())
        if other == truth:
            continue
        worst = min(
            those, key=lambda index: (predictions.probabilities[index, truth], predictions.images[index])
        )
        found.append(
            Doubt(
                group,
                predictions.classes[truth],
                float(average[truth]),
                predictions.classes[other],
                float(average[other]),
                len(those),
                int((predictions.predicted[those] != truth).sum()),
                predictions.images[worst],
                bool(average[other] >= usual[other]),
            )
        )
    return tuple(sorted(found, key=lambda doubt: (doubt.own, doubt.group)))


def _usual(mean: dict[tuple[str, int], np.ndarray], classes: int) -> list[float]:
    """For each class, the mean probability of it over photographs that bear its label; 1 where none does."""
    return [
        float(np.mean(own))
        if (own := [row[key] for (_, truth), row in mean.items() if truth == key])
        else 1.0
        for key in range(classes)
    ]
