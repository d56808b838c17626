"""Is this answer safe to give? The decision, and the reason in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from leukolens.card import Judgement
from leukolens.reading.cell import Decision
from leukolens.taxonomy import cell_class

WHITE_CELL_BELOW = 0.5
STANDS_OUT = 1.5


def decide(
    probabilities: Mapping[str, float],
    judgement: Judgement,
    distance: float | None = None,
    agreement: float = 1.0,
) -> tuple[Decision, str]:
    """What to do with one cell's probabilities.

    In this order:

    * *unknown* where nothing speaks for a white cell: the leukocyte classes together have less than one
      half, or no class stands out (the highest probability is under 1.5 times what a blind guess gets).
    * *unknown* where the cell is unlike any that the model learned from: farther than the bundle's
      ``unlike_beyond``, however sure the probabilities are.
    * *review* where the most probable class is *other* all the same, or is less probable than the
      bundle's ``accept_above``.
    * *review* where the cell is unusual: farther than ``usual_within``.
    * *accept* otherwise.

    An image in which no nucleus is found never comes here; its status says so.

    Args:
        probabilities: Class key to calibrated probability; they add up to 1.
        judgement: The bundle's threshold and what it was chosen on.
        distance: How far the cell lies from learned ones; None where nobody knows.
        agreement: Share of the looks at it that name the same class; 1 where one look was enough. It
            speaks through the mean of the looks, and in the reason.
    """
    cell = _Said(probabilities, judgement, distance, agreement)
    if why := cell.unknown():
        return "unknown", why
    if why := cell.doubtful():
        return "review", why
    needed = percent(judgement.accept_above)
    if judgement.accepted_accuracy is None:
        return "accept", f"{cell.best}; {needed} is needed"
    right = percent(judgement.accepted_accuracy)
    return "accept", f"{cell.best}; from {needed} up, {right} were right in validation"


@dataclass(frozen=True, slots=True)
class _Said:
    probabilities: Mapping[str, float]
    judgement: Judgement
    distance: float | None
    agreement: float

    @property
    def ranked(self) -> list[str]:
        return sorted(self.probabilities, key=lambda key: -self.probabilities[key])

    @property
    def top(self) -> float:
        return self.probabilities[self.ranked[0]]

    @property
    def best(self) -> str:
        return f"{cell_class(self.ranked[0]).name.lower()} at {percent(self.top)}"

    @property
    def following(self) -> str:
        if len(self.probabilities) == 1:
            return ""
        second = self.ranked[1]
        return f"next is {cell_class(second).name.lower()} at {percent(self.probabilities[second])}"

    def beyond(self, limit: float | None) -> bool:
        return self.distance is not None and limit is not None and self.distance > limit

    def unknown(self) -> str:
        """Why it is; empty where it isn't."""
        leukocyte = sum(value for key, value in self.probabilities.items() if cell_class(key).leukocyte)
        count = len(self.probabilities)
        if leukocyte < WHITE_CELL_BELOW:
            return f"no white cell recognised: all white cell classes together at {percent(leukocyte)}"
        if count > 1 and self.top < STANDS_OUT / count:
            return f"nothing stands out: {self.best} is the most of {count} classes"
        if self.beyond(self.judgement.unlike_beyond):
            return (
                f"unlike any cell that it learned from ({self.distance:.1f} away; of known cells 99 % are within "
                f"{self.judgement.unlike_beyond:.1f}): {self.best} means nothing here"
            )
        return ""

    def doubtful(self) -> str:
        """Why a person should look; empty where nobody need."""
        if not cell_class(self.ranked[0]).leukocyte:
            return f"{self.best}, yet a white cell is more likely than not; {self.following}"
        if self.top < self.judgement.accept_above:
            under = f"{self.best}, under the {percent(self.judgement.accept_above)} that is needed"
            turned = "turned or mirrored it looks like another class" if self.agreement < 1 else ""
            return "; ".join(filter(None, (under, self.following, turned)))
        if self.beyond(self.judgement.usual_within):
            return (
                f"{self.best}, but the cell is unusual ({self.distance:.1f} away from what was learned; of known cells "
                f"95 % are within {self.judgement.usual_within:.1f})"
            )
        return ""


def percent(probability: float) -> str:
    """A probability as a person reads it; never rounded up to certainty or down to none."""
    if 0 < probability < 0.001:
        return "< 0.1 %"
    if 0.999 < probability < 1:
        return "> 99.9 %"
    return f"{100 * probability:.1f} %"
