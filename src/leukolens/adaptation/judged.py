"""Is the laboratory's own head better than the one before? Asked of cells whose group the head had not seen.

Groups are dealt into outer folds. For each fold a head is learned from all others, with everything that is chosen
(the prior's strength) chosen inside them, and answers for the fold. The bundle's own answers for the same cells stand
beside, so that the difference is paired; its interval comes from resampling groups within their class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leukolens.adaptation.learning import FOLDS, deal, learn
from leukolens.adaptation.local import Local, features_of
from leukolens.adaptation.onnx_head import Head
from leukolens.adaptation.replay import Replay
from leukolens.bundle import Judgement
from leukolens.evaluation.calibration import accept_threshold, fit_temperature, softmax
from leukolens.evaluation.intervals import FEWEST_GROUPS
from leukolens.evaluation.predictions import Predictions
from leukolens.reading.classifier import side_of
from leukolens.reading.reader import Reader

FEWEST_CELLS = 20
FEWEST_OF_A_CLASS = 5

FURTHEST = 3.0
"""How many times the old temperature, or what part of it, the cells at hand can ask for."""
OLD_CELLS = 20
"""Cells that the old temperature is worth against the new one."""


@dataclass(frozen=True, slots=True, eq=False)
class Outer:
    """Heads that each had a fold kept from them.

    Attributes:
        fold: int64 (n,), of each cell.
        heads: One a fold.
        kept: Of the bundle's replay: share that the old head, and heads that had not seen them, name rightly,
            every class weighing the same; None where it carries none.
    """

    fold: NDArray[np.int64]
    heads: tuple[Head, ...]
    kept: tuple[float, float] | None

    def logits(self, features: NDArray[np.float32], cells: NDArray[np.int64]) -> NDArray[np.float64]:
        """(m, classes): features (m, d) of the cells at these places, each by the head that had not seen it."""
        rows = np.zeros((len(cells), len(self.heads[0].bias)))
        for fold, head in enumerate(self.heads):
            own = self.fold[cells] == fold
            rows[own] = head.logits(features[own])
        return rows


def outer_folds(old: Head, local: Local, replay: Replay | None, rng: np.random.Generator) -> Outer | None:
    """Learns a head without each fold; None where there is one group only."""
    _, group = np.unique(np.array(local.groups), return_inverse=True)
    dealt = deal(local.truth, group, FOLDS, rng)
    names, fold = np.unique(dealt, return_inverse=True)
    if len(names) < 2:
        return None
    part = None if replay is None else deal(replay.truth, np.arange(len(replay.truth)), len(names), rng)
    heads = []
    for index in range(len(names)):
        taught = fold != index
        known = replay.only(part != index) if replay is not None and part is not None else None
        heads.append(learn(old, local.features[taught], local.truth[taught], group[taught], known, rng).head)
    kept = None
    if replay is not None and part is not None:
        rows = np.stack([heads[index].logits(replay.features[[at]])[0] for at, index in enumerate(part)])
        kept = replay.balanced(old.logits(replay.features)), replay.balanced(rows)
    return Outer(fold.astype(np.int64), tuple(heads), kept)


def refitted(
    parent: Judgement, outer: Outer, local: Local, classes: tuple[str, ...], chosen_on: str
) -> Judgement:
    """The parent's judgement with temperature and threshold for the laboratory's cells.

    The temperature is drawn to the parent's as if that had twenty cells behind it: where every cell is named
    rightly, likelihood alone would call for certainty. The threshold stays where fewer than nine groups would
    speak for another.
    """
    logits = outer.logits(local.features, np.arange(len(local)))
    asked = np.clip(
        fit_temperature(logits, local.truth), parent.temperature / FURTHEST, parent.temperature * FURTHEST
    )
    share = len(local) / (len(local) + OLD_CELLS)
    temperature = float(parent.temperature * (asked / parent.temperature) ** share)
    answers = _predictions(local, classes, softmax(logits, temperature), with_lost=False)
    enough = len(set(local.groups)) >= FEWEST_GROUPS
    threshold = accept_threshold(answers).threshold if enough else parent.accept_above
    return parent.model_copy(
        update={
            "temperature": temperature,
            "accept_above": threshold,
            "accepted_accuracy": None,
            "accepted_share": None,
            "chosen_on": chosen_on,
            "sets": {},
        }
    )


def as_read(
    reader: Reader, local: Local, old: Head, outer: Outer, judgement: Judgement
) -> tuple[Predictions, Predictions]:
    """What the bundle, and the outer folds' heads, answer as reading gives it, all looks included.

    Args:
        reader: Holds the parent bundle.
        local: The cells; those that were lost count as not found.
        old: The parent's head.
        outer: The folds.
        judgement: Of the new bundle.

    Returns:
        Before and after, of the same images.
    """
    parent = reader.bundle.card.judgement
    everyone = np.arange(len(local))
    before = softmax(old.logits(local.features), parent.temperature)
    after = softmax(outer.logits(local.features, everyone), judgement.temperature)
    again = [before.max(axis=1) < parent.accept_above, after.max(axis=1) < judgement.accept_above]
    unsure = np.flatnonzero(again[0] | again[1])
    if len(unsure) and parent.sides > 1:
        looks = [before[unsure]], [after[unsure]]
        for number in range(1, parent.sides):
            seen = features_of(reader, side_of(local.crops[unsure], number))
            looks[0].append(softmax(old.logits(seen), parent.temperature))
            looks[1].append(softmax(outer.logits(seen, unsure), judgement.temperature))
        for rows, look, needed in zip((before, after), looks, again, strict=True):
            rows[unsure] = np.where(needed[unsure, None], np.mean(look, axis=0), rows[unsure])
    classes = tuple(reader.bundle.card.classes)
    return _predictions(local, classes, before), _predictions(local, classes, after)


def _predictions(
    local: Local, classes: tuple[str, ...], rows: NDArray[np.float64], *, with_lost: bool = True
) -> Predictions:
    lost = local.lost if with_lost else ()
    samples = (*local.samples, *lost)
    return Predictions(
        classes,
        tuple(sample.path.as_posix() for sample in samples),
        (*local.groups, *(sample.group for sample in lost)),
        np.array([classes.index(sample.label) for sample in samples], dtype=np.int64),
        np.concatenate([rows, np.full((len(lost), len(classes)), np.nan)]),
    )


def too_few(local: Local, classes: tuple[str, ...]) -> str | None:
    """Why these cells cannot tell better from worse; None where they can."""
    if len(local) < FEWEST_CELLS:
        return f"{len(local)} cells, and {FEWEST_CELLS} are needed"
    counts = np.bincount(local.truth, minlength=len(classes))
    scarce = [
        f"{count} of {key}"
        for key, count in zip(classes, counts, strict=True)
        if 0 < count < FEWEST_OF_A_CLASS
    ]
    if scarce:
        return f"{', '.join(scarce)}, and {FEWEST_OF_A_CLASS} of each class are needed"
    groups = len(set(local.groups))
    if groups < FEWEST_GROUPS:
        return f"{groups} independent groups, and {FEWEST_GROUPS} are needed"
    return None
