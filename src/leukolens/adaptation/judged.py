"""Is the laboratory's own network better than the one before? Asked of cells whose group it had not seen.

Groups are dealt into outer folds. For each fold one is learned from all others, with everything that is chosen (how far
to move from the parent) chosen inside them, and answers for the fold. The bundle's own answers for the same cells stand
beside, so that the difference is paired; its interval comes from resampling groups within their class.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from leukolens.adaptation.local import Local
from leukolens.adaptation.onnx_head import head_of
from leukolens.adaptation.outer import Outer
from leukolens.card import Judgement
from leukolens.differential.confusion import Confusion, confusion_of
from leukolens.evaluation.calibration import accept_threshold, fit_temperature, softmax
from leukolens.evaluation.counted import counted
from leukolens.evaluation.intervals import FEWEST_GROUPS
from leukolens.evaluation.predictions import Predictions
from leukolens.reading.inputs import side_of
from leukolens.reading.reader import Reader

FEWEST_CELLS = 20
FEWEST_OF_A_CLASS = 5

FURTHEST = 3.0
"""How many times the old temperature, or what part of it, the cells at hand can ask for."""
OLD_CELLS = 20
"""Cells that the old temperature is worth against the new one."""


def refitted(
    parent: Judgement, outer: Outer, local: Local, classes: tuple[str, ...], chosen_on: str
) -> Judgement:
    """The parent's judgement with temperature and threshold for the laboratory's cells.

    The temperature is drawn to the parent's as if that had twenty cells behind it: where every cell is named
    rightly, likelihood alone would call for certainty. The threshold stays where fewer than nine groups would
    speak for another.
    """
    logits = outer.first()
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
    reader: Reader, local: Local, outer: Outer, judgement: Judgement
) -> tuple[Predictions, Predictions]:
    """What the bundle, and the outer folds' networks, answer as reading gives it, all looks included.

    Args:
        reader: Holds the parent bundle.
        local: The cells; those that were lost count as not found.
        outer: The folds.
        judgement: Of the new bundle.

    Returns:
        Before and after, of the same images.
    """
    parent, old = reader.bundle.card.judgement, head_of(reader.bundle.classifier)
    before = softmax(old.logits(local.features), parent.temperature)
    after = softmax(outer.first(), judgement.temperature)
    again = [before.max(axis=1) < parent.accept_above, after.max(axis=1) < judgement.accept_above]
    unsure = np.flatnonzero(again[0] | again[1])
    if len(unsure) and parent.sides > 1:
        looks = [before[unsure]], [after[unsure]]
        for number in range(1, parent.sides):
            turned = side_of(local.crops[unsure], number)
            seen = local.looks[unsure, number]
            looks[0].append(softmax(old.logits(seen), parent.temperature))
            looks[1].append(softmax(outer.logits(turned, seen, unsure), judgement.temperature))
        for rows, look, needed in zip((before, after), looks, again, strict=True):
            rows[unsure] = np.where(needed[unsure, None], np.mean(look, axis=0), rows[unsure])
    classes = tuple(reader.bundle.card.classes)
    return _predictions(local, classes, before), _predictions(local, classes, after)


def with_shares(judgement: Judgement, after: Predictions) -> Judgement:
    """The judgement, with what share of the outer folds' leukocytes its threshold accepts, and how many are right."""
    named = after.only(after.leukocyte)
    sure = named.confidence >= judgement.accept_above
    right = float(named.correct[sure].mean()) if sure.any() else None
    share = float(sure.mean()) if len(named) else None
    return judgement.model_copy(update={"accepted_accuracy": right, "accepted_share": share})


def confusion_by(after: Predictions, judgement: Judgement, measured_on: str, lab: str) -> Confusion | None:
    """What the outer folds would be counted as; None where a class of the bundle has no cell to count."""
    found = counted(after, judgement)
    if len(np.unique(found.truth)) < len(found.classes):
        return None
    return confusion_of(
        found.classes, found.truth, found.answered, found.groups, labs=(lab,), measured_on=measured_on
    )


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


def too_few(truth: NDArray[np.int64], groups: Sequence[str], classes: tuple[str, ...]) -> str | None:
    """Why cells cannot tell better from worse; None where they can.

    Args:
        truth: (n,), index into the classes, of those in which a cell was found.
        groups: (n,), what they come from.
        classes: The bundle's.
    """
    if len(truth) < FEWEST_CELLS:
        return f"{len(truth)} cells, and {FEWEST_CELLS} are needed"
    counts = np.bincount(truth, minlength=len(classes))
    scarce = [
        f"{count} of {key}"
        for key, count in zip(classes, counts, strict=True)
        if 0 < count < FEWEST_OF_A_CLASS
    ]
    if scarce:
        return f"{', '.join(scarce)}, and {FEWEST_OF_A_CLASS} of each class are needed"
    independent = len(set(groups))
    if independent < FEWEST_GROUPS:
        return f"{independent} independent groups, and {FEWEST_GROUPS} are needed"
    return None
