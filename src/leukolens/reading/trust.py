"""Is this answer safe to give? The decision, and the reason in words."""

from __future__ import annotations

from collections.abc import Mapping

from leukolens.bundle import Judgement
from leukolens.reading.cell import Decision
from leukolens.taxonomy import cell_class

WHITE_CELL_BELOW = 0.5
STANDS_OUT = 1.5


def decide(probabilities: Mapping[str, float], judgement: Judgement) -> tuple[Decision, str]:
    """What to do with one cell's probabilities.

    In this order:

    * *unknown* where nothing speaks for a white cell: the leukocyte classes together have less than one
      half, or no class stands out (the highest probability is under 1.5 times what a blind guess gets).
    * *review* where the most probable class is *other* all the same, or is less probable than the
      bundle's ``accept_above``.
    * *accept* otherwise.

    An image in which no nucleus is found never comes here; its status says so.

    Args:
        probabilities: Class key to calibrated probability; they add up to 1.
        judgement: The bundle's threshold and what it was chosen on.
    """
    first, *others = sorted(probabilities, key=lambda key: -probabilities[key])
    top = probabilities[first]
    best = f"{cell_class(first).name.lower()} at {percent(top)}"
    following = (
        f"next is {cell_class(others[0]).name.lower()} at {percent(probabilities[others[0]])}"
        if others
        else ""
    )
    leukocyte = sum(value for key, value in probabilities.items() if cell_class(key).leukocyte)
    if leukocyte < WHITE_CELL_BELOW:
        return "unknown", f"no white cell recognised: all white cell classes together at {percent(leukocyte)}"
    if others and top < STANDS_OUT / len(probabilities):
        return "unknown", f"nothing stands out: {best} is the most of {len(probabilities)} classes"
    if not cell_class(first).leukocyte:
        return "review", f"{best}, yet a white cell is more likely than not; {following}"
    needed = percent(judgement.accept_above)
    if top < judgement.accept_above:
        return "review", "; ".join(filter(None, (f"{best}, under the {needed} that is needed", following)))
    if judgement.accepted_accuracy is None:
        return "accept", f"{best}; {needed} is needed"
    return (
        "accept",
        f"{best}; from {needed} up, {percent(judgement.accepted_accuracy)} were right in validation",
    )


def percent(probability: float) -> str:
    """A probability as a person reads it; never rounded up to certainty or down to none."""
    if 0 < probability < 0.001:
        return "< 0.1 %"
    if 0.999 < probability < 1:
        return "> 99.9 %"
    return f"{100 * probability:.1f} %"
