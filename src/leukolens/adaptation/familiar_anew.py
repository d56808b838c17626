"""What is familiar to a bundle whose normalisation was taken anew: the cells that it was taken from, and no others.

The kinds that the parent learned stand where its own normalisation put them. Read through new statistics cells lie
elsewhere, those of a known laboratory too: where one in ten lay beyond the usual distance, nine in ten do. Distances
to those kinds say nothing any more. What cells without labels can say is whether another is like them: a blank piece
of the same field is not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from leukolens.adaptation.familiar import UNLIKE, USUAL
from leukolens.adaptation.judged import FEWEST_CELLS
from leukolens.bundle import Bundle
from leukolens.card import Judgement
from leukolens.reading.familiarity import Familiarity, from_bytes

KIND = "unlabelled"
FOLDS = 5


def familiar_anew(
    parent: Bundle, judgement: Judgement, features: NDArray[np.float32], lab: str
) -> tuple[bytes | None, Judgement]:
    """A familiarity that knows the laboratory's cells as one kind, and limits that fit it.

    Limits are the distances within which 95 and 99 % of the cells lie, each measured from what four fifths of the
    others teach. Cells in a row stay together: pictures of one slide mostly follow each other.

    Args:
        parent: Its familiarity lends the axes.
        judgement: Of the new bundle.
        features: float32 (n, d), what its last layer sees of the cells.
        lab: Key of the laboratory.

    Returns:
        None, and no limits, where the parent has none or there are under twenty cells.
    """
    unknown = {"usual_within": None, "unlike_beyond": None, "outside_share": None}
    if parent.familiarity is None or judgement.usual_within is None or len(features) < FEWEST_CELLS:
        return None, judgement.model_copy(update=unknown)
    known = from_bytes(parent.familiarity)
    fold = np.arange(len(features)) * FOLDS // len(features)
    away = np.zeros(len(features))
    for each in range(FOLDS):
        away[fold == each] = _only(known, features[fold != each], lab).distance(features[fold == each])
    usual, unlike = np.quantile(away, [USUAL, UNLIKE])
    limits = {"usual_within": float(usual), "unlike_beyond": float(unlike)}
    # So few cells place a limit roughly; the share that is usual elsewhere leaves room for that.
    limits["outside_share"] = max(1 - USUAL, judgement.outside_share or 0.0)
    return _only(known, features, lab).to_bytes(), judgement.model_copy(update=limits)


def _only(known: Familiarity, features: NDArray[np.float32], lab: str) -> Familiarity:
    """One kind of these cells, in the axes of what is known."""
    own = known.extended(features, [KIND] * len(features), lab)
    place = own.kinds.index(f"{lab}/{KIND}")
    said = None if own.evidence is None else own.evidence.levelled(features)
    return Familiarity(
        own.mean, own.axes, own.centres[[place]], own.roots[[place]], (own.kinds[place],), said
    )
