"""Makes a laboratory's own cells familiar: what lay outside everything learned is learned now."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from leukolens.adaptation.judged import FEWEST_CELLS
from leukolens.adaptation.local import Local
from leukolens.adaptation.motion import returned
from leukolens.adaptation.outer import Outer
from leukolens.bundle import Bundle
from leukolens.card import Judgement
from leukolens.reading.familiarity import Familiarity, from_bytes

USUAL, UNLIKE = 0.95, 0.99


def made_familiar(
    parent: Bundle,
    judgement: Judgement,
    local: Local,
    features: NDArray[np.float32],
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
        features: (n, d), what the new bundle's last layer sees of them.
        outer: How they were dealt into folds; the limits stay without, and under twenty cells.
        lab: Key of the laboratory.
    """
    if parent.familiarity is None:
        return None, judgement
    known = from_bytes(parent.familiarity)
    labels = [sample.label for sample in local.samples]
    extended = returned(known, local.features, features).extended(features, labels, lab)
    if outer is None or len(local) < FEWEST_CELLS or judgement.usual_within is None:
        return extended.to_bytes(), judgement
    away = _away(known, local, labels, outer, lab)
    usual, unlike = np.quantile(away, [USUAL, UNLIKE])
    wider = {"usual_within": max(judgement.usual_within, float(usual))}
    if judgement.unlike_beyond is not None:
        wider["unlike_beyond"] = max(judgement.unlike_beyond, float(unlike), wider["usual_within"])
    return extended.to_bytes(), judgement.model_copy(update=wider)


def _away(known: Familiarity, local: Local, labels: list[str], outer: Outer, lab: str) -> NDArray[np.float64]:
    """Distance (n,) of each cell to what is known with the other folds' cells added, as its network sees them."""
    away = np.zeros(len(local))
    for fold, model in enumerate(outer.models):
        own = outer.fold == fold
        taught = [label for label, kept in zip(labels, own, strict=True) if not kept]
        seen = returned(known, local.features, model.features)
        away[own] = seen.extended(model.features[~own], taught, lab).distance(model.features[own])
    return away
