"""What a differential would count labelled images as."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leukolens.card import Judgement
from leukolens.evaluation.predictions import Predictions
from leukolens.reading.trust import decide
from leukolens.taxonomy import in_order


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """Images in which a cell was found, as `leukolens read` would count them.

    Attributes:
        classes: Class keys in taxonomy order.
        truth: int64 (n,), index into ``classes``.
        answered: int64 (n,), index into ``classes``; ``len(classes)`` for unsure.
        groups: The photograph, slide or cluster of each image.
    """

    classes: tuple[str, ...]
    truth: NDArray[np.int64]
    answered: NDArray[np.int64]
    groups: tuple[str, ...]


def counted(
    predictions: Predictions, judgement: Judgement, distances: NDArray[np.floating] | None = None
) -> Counted:
    """Counts each image as reading does: unsure unless accepted, or likeliest no leukocyte.

    Args:
        predictions: Calibrated probabilities as reading gives them, all looks included.
        judgement: The threshold to accept from.
        distances: (n,), how far each image's cell lies from what was learned; None where nobody knows.
    """
    known = [None] * len(predictions) if distances is None else distances.tolist()
    away = [known[place] for place in np.flatnonzero(predictions.found)]
    found = predictions.only(predictions.found)
    classes = in_order(set(found.classes))
    place = np.array([classes.index(key) for key in found.classes], dtype=np.int64)
    accepted = [
        decide(dict(zip(found.classes, row.tolist(), strict=True)), judgement, distance)[0] == "accept"
        for row, distance in zip(found.probabilities, away, strict=True)
    ]
    named = np.array(accepted, dtype=bool) | ~found.leukocyte
    answered = np.where(named, place[found.predicted], len(classes))
    return Counted(classes, place[found.truth], answered, found.groups)
