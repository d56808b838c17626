"""Makes a laboratory's own cells familiar: what lay outside everything learned is learned now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from leukolens.adaptation.judged import FEWEST_CELLS
from leukolens.adaptation.local import Local
from leukolens.adaptation.motion import moved, returned
from leukolens.adaptation.outer import Model, Outer
from leukolens.adaptation.replay import Replay
from leukolens.bundle import Bundle
from leukolens.card import Judgement
from leukolens.reading.evidence import evidence_of
from leukolens.reading.familiarity import Familiarity, from_bytes

USUAL, UNLIKE = 0.95, 0.99


def made_familiar(
    parent: Bundle,
    judgement: Judgement,
    local: Local,
    model: Model,
    replay: Replay | None,
    outer: Outer | None,
    lab: str,
) -> tuple[bytes | None, Judgement]:
    """The parent's familiarity with the laboratory's cells added, and limits that fit both.

    A limit is the parent's, or what holds as many of the local cells as it should, whichever is wider. Each
    local cell is measured from what the others of its group's fold did not teach. Where the network learned, what the
    parent knew is found again by the way that the local cells moved.

    Args:
        parent: Whose familiarity is extended; None where it has none.
        judgement: Of the new bundle.
        local: The labelled cells.
        model: The new bundle's network.
        replay: What the parent carries.
        outer: How they were dealt into folds; the limits stay without, and under twenty cells.
        lab: Key of the laboratory.
    """
    if parent.familiarity is None:
        return None, judgement
    known, classes = from_bytes(parent.familiarity), parent.card.classes

    def extended(model: Model, taught: NDArray[np.bool_]) -> Familiarity:
        return _extended(known, local, model, taught, replay, classes, lab)

    whole = extended(model, np.ones(len(local), np.bool_)).to_bytes()
    if outer is None or len(local) < FEWEST_CELLS or judgement.usual_within is None:
        return whole, judgement
    away = np.zeros(len(local))
    for fold, other in enumerate(outer.models):
        own = outer.fold == fold
        away[own] = extended(other, ~own).distance(other.features[own])
    usual, unlike = np.quantile(away, [USUAL, UNLIKE])
    wider = {"usual_within": max(judgement.usual_within, float(usual))}
    if judgement.unlike_beyond is not None:
        wider["unlike_beyond"] = max(judgement.unlike_beyond, float(unlike), wider["usual_within"])
    return whole, judgement.model_copy(update=wider)


def _extended(
    known: Familiarity,
    local: Local,
    model: Model,
    taught: NDArray[np.bool_],
    replay: Replay | None,
    classes: Sequence[str],
    lab: str,
) -> Familiarity:
    """What is known with the taught cells added, as a network sees them, by the evidence that its head gives."""
    features, truth = model.features[taught], local.truth[taught]
    labels = [classes[each] for each in truth]
    grown = returned(known, local.features, model.features).extended(features, labels, lab)
    if known.evidence is None:
        return grown
    if replay is not None:
        features = np.concatenate([features, moved(replay, local.features, model.features).features])
        labels += [classes[each] for each in replay.truth]
    head = model.head
    evidence = evidence_of(head.weight, head.bias, classes, features, labels)
    return replace(grown, evidence=evidence or known.evidence)
