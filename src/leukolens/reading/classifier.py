"""Crops to calibrated probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from leukolens.bundle import Bundle
from leukolens.reading.engine import Engine

LARGEST_BATCH = 32


class Classifier:
    """Names framed cells.

    Args:
        bundle: What to name them with.
        threads: Threads that one run of the graph may use.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.bundle = bundle
        self.classes = tuple(bundle.card.classes)
        self._engine = Engine(bundle, threads)

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Calibrated probabilities, float64 (n, classes), of crops, uint8 (n, size, size, 3), RGB.

        The logits are divided by the card's temperature before the softmax (Guo et al., *On calibration
        of modern neural networks*, ICML 2017). A crop whose best class stays under the card's threshold
        is looked at from as many sides as the card says, and its probabilities are their mean: a smear
        has no up and down.

        Raises:
            BundleError: Where the bundle's graph cannot run.
        """
        judgement = self.bundle.card.judgement
        first = self._once(crops)
        unsure = np.flatnonzero(first.max(axis=1, initial=0) < judgement.accept_above)
        if judgement.sides > 1 and len(unsure):
            looks = [self._once(side_of(crops[unsure], number)) for number in range(1, judgement.sides)]
            first[unsure] = np.mean([first[unsure], *looks], axis=0)
        return first

    def _once(self, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        temperature = self.bundle.card.judgement.temperature
        batches = [crops[at : at + LARGEST_BATCH] for at in range(0, len(crops), LARGEST_BATCH)]
        answers = [softmax(self._engine.logits(scaled(batch)) / temperature) for batch in batches]
        return np.concatenate(answers) if answers else np.zeros((0, len(self.classes)))

    def check_activation(self) -> None:
        """Returns where the bundle's graph gives class activation maps.

        Raises:
            BundleError: Where it doesn't.
        """
        self._engine.check_activation()

    def activation(self, crop: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Probabilities (classes,) and class activation maps, float32 (classes, h, w), of one crop.

        The maps are exact: the mean of one over h and w, plus that class's bias, is its logit.

        Raises:
            BundleError: Where the bundle's graph cannot run, or gives no maps.
        """
        logits, maps = self._engine.logits_and_activation(scaled(crop[None]))
        return softmax(logits / self.bundle.card.judgement.temperature)[0], maps[0]


def side_of(crops: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Crops (n, size, size, 3) seen from one of eight sides: quarter turns for 0 to 3, mirrored from 4 on."""
    mirrored = crops[:, :, ::-1] if number >= 4 else crops
    return np.ascontiguousarray(np.rot90(mirrored, number % 4, axes=(1, 2)))


def scaled(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Crops (n, size, size, 3) as the graph takes them: float32 (n, 3, size, size), value / 127.5 - 1."""
    values = np.ascontiguousarray(crops.transpose(0, 3, 1, 2)).astype(np.float32)
    values /= 127.5
    values -= 1
    return values


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Along the last axis, in float64, without overflow."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    exponential = np.exp(shifted)
    return np.asarray(exponential / exponential.sum(axis=-1, keepdims=True))
