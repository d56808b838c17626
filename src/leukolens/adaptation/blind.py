"""Cells that were named while no answer was shown: what tells better from worse, where there are enough of them.

Whoever sees an answer first tends to agree with it, so that labels which were given with answers in sight speak for the
bundle that gave them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from leukolens.adaptation.comparison import Comparison, compare
from leukolens.adaptation.judged import too_few
from leukolens.evaluation.predictions import Predictions


@dataclass(frozen=True, slots=True, eq=False)
class Blind:
    """Before and after on those cells alone, judged by what was said while no answer was shown.

    Attributes:
        cells: How many there are.
        groups: Independent groups that they come from.
        comparison: Before and after.
        reason: Why a verdict cannot rest on them; None where it does.
    """

    cells: int
    groups: int
    comparison: Comparison
    reason: str | None


def blind_of(before: Predictions, after: Predictions, said: Mapping[str, str]) -> Blind | None:
    """Compares answers about the cells that were named blind.

    Args:
        before: What the parent answers of all cells.
        after: What networks that had not seen them answer of the same.
        said: Class key that was said while no answer was shown, by image; of a class that the bundle doesn't know, or
            of an image that wasn't asked, passed over.

    Returns:
        The comparison; None where no cell was named so.
    """
    classes = before.classes
    named = np.array([said.get(image) in classes for image in before.images], dtype=bool)
    if not named.any():
        return None
    old, new = before.only(named), after.only(named)
    truth = np.array([classes.index(said[image]) for image in old.images], dtype=np.int64)
    found = old.found
    groups = np.array(old.groups)[found]
    return Blind(
        cells=len(truth),
        groups=len(set(old.groups)),
        comparison=compare(replace(old, truth=truth), replace(new, truth=truth)),
        reason=too_few(truth[found], groups.tolist(), classes),
    )
