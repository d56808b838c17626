"""Networks that each learned without a fold of the laboratory's cells, so that every cell has one that never saw it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from leukolens.adaptation.learning import deal
from leukolens.adaptation.local import Local, features_of
from leukolens.adaptation.motion import moved
from leukolens.adaptation.onnx_head import Head, head_of
from leukolens.adaptation.replay import Replay
from leukolens.adaptation.teacher import Own, Teacher, all_of
from leukolens.reading.choice import REFERENCE
from leukolens.reading.reader import Reader


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A network that answers for a fold.

    Attributes:
        head: Its last layer.
        reader: Gives what the last layer sees; None where that is what the parent's sees.
        features: float32 (n, d), what it sees of all of the laboratory's cells.
    """

    head: Head
    reader: Reader | None
    features: NDArray[np.float32]

    def logits(self, crops: NDArray[np.uint8], features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(m, classes) of crops uint8 (m, size, size, 3), whose features in the parent are (m, d)."""
        return self.head.logits(features if self.reader is None else features_of(self.reader, crops))


@dataclass(frozen=True, slots=True, eq=False)
class Outer:
    """Networks that each had a fold kept from them.

    Attributes:
        fold: int64 (n,), of each cell.
        models: One a fold.
        kept: Of the bundle's replay, moved as the laboratory's cells moved: share that the old head, and heads that
            had not seen them, name rightly, every class weighing the same; None where it carries none.
    """

    fold: NDArray[np.int64]
    models: tuple[Model, ...]
    kept: tuple[float, float] | None

    def first(self) -> NDArray[np.float64]:
        """Logits (n, classes) of all cells as they are, each by the network that had not seen it."""
        seen = [model.head.logits(model.features) for model in self.models]
        return np.asarray(np.stack(seen)[self.fold, np.arange(len(self.fold))])

    def logits(
        self, crops: NDArray[np.uint8], features: NDArray[np.float32], cells: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """(m, classes): other views of the cells at these places, each by the network that had not seen it.

        Args:
            crops: uint8 (m, size, size, 3).
            features: (m, d), what the parent's last layer sees of them.
            cells: (m,).
        """
        rows = np.zeros((len(cells), len(self.models[0].head.bias)))
        for fold, model in enumerate(self.models):
            own = self.fold[cells] == fold
            if own.any():
                rows[own] = model.logits(crops[own], features[own])
        return rows


def model_of(own: Own, reader: Reader, local: Local) -> Model:
    """What was learned, ready to answer.

    Args:
        own: What was learned.
        reader: Holds the parent bundle.
        local: The laboratory's cells.
    """
    if own.classifier is None:
        return Model(own.head, None, local.features)
    changed = replace(reader.bundle, classifier=own.classifier)
    seeing = Reader(changed, threads=reader.threads, engine=REFERENCE)
    return Model(own.head, seeing, features_of(seeing, local.crops))


def outer_folds(
    teacher: Teacher, reader: Reader, local: Local, replay: Replay | None, rng: np.random.Generator
) -> Outer | None:
    """Learns without each fold; None where there is one group only."""
    cells = all_of(local)
    dealt = deal(local.truth, cells.groups, teacher.folds, rng)
    names, fold = np.unique(dealt, return_inverse=True)
    if len(names) < 2:
        return None
    part = None if replay is None else deal(replay.truth, np.arange(len(replay.truth)), len(names), rng)
    models = []
    for index in range(len(names)):
        known = replay.only(part != index) if replay is not None and part is not None else None
        models.append(model_of(teacher.learn(cells.only(fold != index), known, rng), reader, local))
    kept = None
    if replay is not None and part is not None:
        named = [
            model.head.logits(moved(replay, local.features, model.features).features) for model in models
        ]
        rows = np.stack(named)[part, np.arange(len(part))]
        old = head_of(reader.bundle.classifier)
        kept = replay.balanced(old.logits(replay.features)), replay.balanced(rows)
    return Outer(fold.astype(np.int64), tuple(models), kept)
