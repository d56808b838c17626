"""Framed cells to cells with all that is said of them: named, judged, and with the classes that they may be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell
from leukolens.reading.classifier import Classifier
from leukolens.reading.conformal import class_set
from leukolens.reading.trust import decide
from leukolens.taxonomy import CLASS_KEYS


def judged(classifier: Classifier, crops: NDArray[np.uint8], boxes: list[Box]) -> Iterator[Cell]:
    """One cell a crop, in their order.

    Args:
        classifier: Names them.
        crops: uint8 (n, size, size, 3), RGB.
        boxes: What each cell's box is, n.

    Raises:
        BundleError: Where the bundle's graph cannot run.
    """
    judgement = classifier.bundle.card.judgement
    answers = classifier.answers(crops)
    distances = [None] * len(boxes) if answers.distance is None else answers.distance.tolist()
    agreement = answers.agreement.tolist()
    for place, box in enumerate(boxes):
        given = dict(zip(classifier.classes, answers.probabilities[place].tolist(), strict=True))
        probabilities = {key: given[key] for key in CLASS_KEYS if key in given}
        decision, reason = decide(probabilities, judgement, distances[place], agreement[place])
        possible = class_set(probabilities, judgement.sets) if judgement.sets else None
        yield Cell(box, probabilities, decision, reason, distance=distances[place], class_set=possible)
