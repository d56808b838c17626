"""What cells without labels make of a bundle: their statistics in its normalisation, or in its last features.

Nothing here can say whether answers become better, so what was measured of the parent's is taken out of the card, and
its answers are given in a lower voice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from leukolens.adaptation.familiar_anew import familiar_anew
from leukolens.adaptation.learning import matched
from leukolens.adaptation.local import features_of
from leukolens.adaptation.normalisation import Norm
from leukolens.adaptation.onnx_head import Head
from leukolens.adaptation.renormalise import renormalised
from leukolens.adaptation.replay import Replay
from leukolens.bundle import Bundle
from leukolens.card import Judgement
from leukolens.errors import DataError
from leukolens.reading.batch_check import check
from leukolens.reading.choice import REFERENCE
from leukolens.reading.familiarity import from_bytes
from leukolens.reading.reader import Reader

DOUBT = 1.6
"""How many times the parent's temperature fits cells of a laboratory that nothing was learned from (decision 0009)."""


@dataclass(frozen=True, slots=True, eq=False)
class Unjudged:
    """What becomes of a bundle.

    Attributes:
        method: What the card calls it.
        head: The last layer.
        classifier: The graph.
        familiarity: What is familiar to it; None where it cannot tell.
        judgement: The parent's, without what does not hold any more.
    """

    method: Literal["normalisation", "statistics"]
    head: Head
    classifier: bytes
    familiarity: bytes | None
    judgement: Judgement


def must_be_new(parent: Bundle, features: NDArray[np.float32], root: Path) -> None:
    """Refuses cells that the bundle knows: statistics taken anew harm where the stain is known (docs/adapt.md).

    Where the bundle cannot tell, or the cells are too few, nothing is refused.

    Args:
        parent: The bundle.
        features: float32 (n, d), what its last layer sees of the cells.
        root: The folder that they come from.

    Raises:
        DataError: Where no more of them lie outside what was learned than in a known laboratory.
    """
    if parent.familiarity is None:
        return
    found = check(from_bytes(parent.familiarity).distance(features).tolist(), parent.card.judgement)
    if found is None or found.unlike:
        return
    raise DataError(
        f"{root}: this stain is not new to {parent.card.name} ({found.outside} of {found.cells} cells lie outside "
        "what it has learned), and cells without labels make it worse where it knows the stain",
        "Use the bundle as it is, or label some cells and name their folder",
    )


def with_normalisation(
    reader: Reader, norms: Mapping[str, Norm], head: Head, crops: NDArray[np.uint8], lab: str
) -> Unjudged:
    """The network with the cells' mean and variance in its normalisation; its last layer stays.

    Args:
        reader: Holds the parent bundle.
        norms: What its normalisation is.
        head: Its last layer.
        crops: uint8 (n, size, size, 3), the laboratory's.
        lab: Key of the laboratory.
    """
    parent = reader.bundle
    graph = renormalised(parent.classifier, norms, crops, threads=reader.threads)
    changed = replace(parent, classifier=graph)
    seeing = Reader(changed, threads=reader.threads, engine=REFERENCE)
    familiarity, judgement = familiar_anew(parent, _unmeasured(parent), features_of(seeing, crops), lab)
    return Unjudged("normalisation", head, graph, familiarity, judgement)


def with_features(parent: Bundle, head: Head, replay: Replay, features: NDArray[np.float32]) -> Unjudged:
    """The last layer for features that are matched to the replay's; the network stays, and what is familiar to it.

    Args:
        parent: The bundle.
        head: Its last layer.
        replay: Features that it carries.
        features: float32 (n, d), what its last layer sees of the laboratory's cells.
    """
    new = matched(head, features, replay)
    return Unjudged("statistics", new, parent.classifier, parent.familiarity, _unmeasured(parent))


def _unmeasured(parent: Bundle) -> Judgement:
    judgement = parent.card.judgement
    changes: dict[str, object] = {
        "temperature": DOUBT * judgement.temperature,
        "sets": {},
        "accepted_accuracy": None,
        "accepted_share": None,
    }
    return judgement.model_copy(update=changes)
