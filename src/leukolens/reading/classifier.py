"""Crops to calibrated probabilities."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leukolens.bundle import Bundle
from leukolens.card import Judgement
from leukolens.reading.choice import AUTO, REFERENCE, Choice, choose, must_be_there
from leukolens.reading.engine import Engine
from leukolens.reading.familiarity import from_bytes
from leukolens.reading.inputs import scaled, side_of

LARGEST_BATCH = 32
CLOSE = 0.03
"""How far a quick engine's probabilities and distances (as a share of the limit) are trusted."""


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
        again: Which a quick engine left close to a threshold, so that these answers are the reference's, bool (n,).
    """

    probabilities: NDArray[np.float64]
    agreement: NDArray[np.float64]
    features: NDArray[np.float32] | None
    distance: NDArray[np.float64] | None
    again: NDArray[np.bool_]

    def put(self, places: NDArray[np.int64], others: Answers) -> None:
        """Has the answers at these places replaced by others, one a place."""
        self.probabilities[places], self.agreement[places] = others.probabilities, others.agreement
        self.again[places] = True
        for own, other in ((self.features, others.features), (self.distance, others.distance)):
            if own is not None and other is not None:
                own[places] = other


def close_to_any(said: Answers, judgement: Judgement) -> NDArray[np.bool_]:
    """(n,): whether a quick engine's error could change the class, or its acceptance by probability or distance.

    Sets of classes are not looked after: near their low thresholds lies a class or other of most cells.

    Args:
        said: By a quick engine.
        judgement: Whose thresholds count.
    """
    ranked = np.sort(said.probabilities, axis=1)
    close = np.abs(ranked[:, -1] - judgement.accept_above) < CLOSE
    if ranked.shape[1] > 1:
        close |= ranked[:, -1] - ranked[:, -2] < 2 * CLOSE
    if said.distance is not None:
        for limit in (judgement.usual_within, judgement.unlike_beyond):
            if limit is not None:
                close |= np.abs(said.distance - limit) < CLOSE * limit
    return np.asarray(close, np.bool_)


class Classifier:
    """Names framed cells.

    Args:
        bundle: What to name them with.
        threads: Threads that one run of the graph may use.
        engine: What runs it, one of `leukolens.reading.choice.ENGINES`; by default the reference.
        processors: That an engine takes which runs one portion at a time; None for all.

    Raises:
        BundleError: Where what the bundle knows of learned cells is damaged.
        EngineError: Where there is no such engine here.
    """

    def __init__(
        self, bundle: Bundle, threads: int = 1, engine: str = REFERENCE, processors: int | None = None
    ) -> None:
        self.bundle = bundle
        self.classes = tuple(bundle.card.classes)
        self.familiarity = None if bundle.familiarity is None else from_bytes(bundle.familiarity)
        self._engine = Engine(bundle, threads)
        self._threads, self._wanted, self._processors = threads, engine, processors
        self._choice: Choice | None = None
        self._choosing = threading.Lock()
        if engine != AUTO:
            must_be_there(bundle, engine)

    @property
    def choice(self) -> Choice:
        """What runs beside the reference; chosen and checked when it is first asked for.

        Raises:
            BundleError: Where what the bundle carries for the check is damaged.
        """
        with self._choosing:
            if self._choice is None:
                self._choice = choose(self.bundle, self._wanted, self._threads, self._processors)
            return self._choice

    @property
    def runs_on(self) -> str:
        """What names the cells, with its version."""
        return (self.choice.quick or self._engine).words

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Those of `answers`."""
        return self.answers(crops).probabilities

    def answers(self, crops: NDArray[np.uint8]) -> Answers:
        """What is said of crops, uint8 (n, size, size, 3), RGB; features come from the run that names them.

        The logits are divided by the card's temperature before the softmax (Guo et al., *On calibration
        of modern neural networks*, ICML 2017). A crop whose best class stays under the card's threshold
        is looked at from as many sides as the card says, and its probabilities are their mean: a smear
        has no up and down. Where a quick engine runs, what it leaves close to a threshold (`close_to_any`) is
        asked of the reference again.

        Raises:
            BundleError: Where the bundle's graph cannot run.
        """
        quick = self.choice.quick
        if quick is None:
            return self._said(self._engine, crops)
        said = self._said(quick, crops)
        doubtful = np.flatnonzero(close_to_any(said, self.bundle.card.judgement))
        if len(doubtful):
            said.put(doubtful, self._said(self._engine, crops[doubtful]))
        return said

    def _said(self, engine: Engine, crops: NDArray[np.uint8]) -> Answers:
        judgement = self.bundle.card.judgement
        first, features = self._first(engine, crops)
        agreement = np.ones(len(first))
        unsure = np.flatnonzero(first.max(axis=1, initial=0) < judgement.accept_above)
        if judgement.sides > 1 and len(unsure):
            turned = [side_of(crops[unsure], number) for number in range(1, judgement.sides)]
            others = self._once(engine, np.concatenate(turned))
            looks = np.concatenate([first[unsure], others]).reshape(judgement.sides, len(unsure), -1)
            first[unsure] = np.mean(looks, axis=0)
            named = np.argmax(looks, axis=2) == first[unsure].argmax(axis=1)
            agreement[unsure] = named.mean(axis=0)
        distance = None
        if features is not None and self.familiarity is not None:
            distance = self.familiarity.distance(features)
        return Answers(first, agreement, features, distance, np.zeros(len(first), np.bool_))

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

    def _first(
        self, engine: Engine, crops: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32] | None]:
        if not len(crops) or not engine.gives_features:
            return self._once(engine, crops), None
        pairs = [engine.logits_and_features(scaled(batch)) for batch in _batches(crops)]
        logits, features = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        return softmax(logits / self.bundle.card.judgement.temperature), features

    def _once(self, engine: Engine, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        temperature = self.bundle.card.judgement.temperature
        answers = [softmax(engine.logits(scaled(batch)) / temperature) for batch in _batches(crops)]
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


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Along the last axis, in float64, without overflow."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    exponential = np.exp(shifted)
    return np.asarray(exponential / exponential.sum(axis=-1, keepdims=True))
