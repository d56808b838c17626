"""Crops to calibrated probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leukolens.bundle import Bundle
from leukolens.reading.engine import Engine
from leukolens.reading.familiarity import from_bytes

LARGEST_BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a bundle says of crops.

    Attributes:
        probabilities: Calibrated, float64 (n, classes).
        agreement: Share of the looks that name the class that their mean names, float64 (n,); 1 where one
            look was enough.
        features: What the last layer saw at the first look, float32 (n, d); None where the bundle's graph
            gives none.
        distance: How far each lies from learned cells, float64 (n,); None where the bundle doesn't know.
    """

    probabilities: NDArray[np.float64]
    agreement: NDArray[np.float64]
    features: NDArray[np.float32] | None
    distance: NDArray[np.float64] | None


class Classifier:
    """Names framed cells.

    Args:
        bundle: What to name them with.
        threads: Threads that one run of the graph may use.

    Raises:
        BundleError: Where what the bundle knows of learned cells is damaged.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.bundle = bundle
        self.classes = tuple(bundle.card.classes)
        self.familiarity = None if bundle.familiarity is None else from_bytes(bundle.familiarity)
        self._engine = Engine(bundle, threads)

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Those of `answers`."""
        return self.answers(crops).probabilities

    def answers(self, crops: NDArray[np.uint8]) -> Answers:
        """What is said of crops, uint8 (n, size, size, 3), RGB; features come from the run that names them.

        The logits are divided by the card's temperature before the softmax (Guo et al., *On calibration
        of modern neural networks*, ICML 2017). A crop whose best class stays under the card's threshold
        is looked at from as many sides as the card says, and its probabilities are their mean: a smear
        has no up and down.

        Raises:
            BundleError: Where the bundle's graph cannot run.
        """
        judgement = self.bundle.card.judgement
        first, features = self._first(crops)
        agreement = np.ones(len(first))
        unsure = np.flatnonzero(first.max(axis=1, initial=0) < judgement.accept_above)
        if judgement.sides > 1 and len(unsure):
            looks = [
                first[unsure],
                *(self._once(side_of(crops[unsure], number)) for number in range(1, judgement.sides)),
            ]
            first[unsure] = np.mean(looks, axis=0)
            named = np.argmax(looks, axis=2) == first[unsure].argmax(axis=1)
            agreement[unsure] = named.mean(axis=0)
        distance = None
        if features is not None and self.familiarity is not None:
            distance = self.familiarity.distance(features)
        return Answers(first, agreement, features, distance)

    def features(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the last layer sees of crops, uint8 (n, size, size, 3): float32 (n, d).

        Raises:
            BundleError: Where the bundle's graph cannot run, or gives none.
        """
        side = self.bundle.card.framing.size
        # How many features there are, only a run tells.
        shown = crops if len(crops) else np.zeros((1, side, side, 3), np.uint8)
        pairs = [self._engine.logits_and_features(scaled(batch)) for batch in _batches(shown)]
        return np.concatenate([features for _, features in pairs])[: len(crops)]

    def _first(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float32] | None]:
        if not len(crops) or not self._engine.gives_features:
            return self._once(crops), None
        pairs = [self._engine.logits_and_features(scaled(batch)) for batch in _batches(crops)]
        logits, features = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        return softmax(logits / self.bundle.card.judgement.temperature), features

    def _once(self, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        temperature = self.bundle.card.judgement.temperature
        answers = [softmax(self._engine.logits(scaled(batch)) / temperature) for batch in _batches(crops)]
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


def _batches(crops: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Crops in portions that fit a processor's cache."""
    return [crops[at : at + LARGEST_BATCH] for at in range(0, len(crops), LARGEST_BATCH)]


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
