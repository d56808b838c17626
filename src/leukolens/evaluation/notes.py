"""What a reader must know before believing the figures: sentences for the head of a page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from leukolens.evaluation.evaluate import Evaluation
from leukolens.evaluation.intervals import FEWEST_GROUPS
from leukolens.taxonomy import cell_class


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence or two; ``warning`` where the figures don't mean what they seem to."""

    text: str
    warning: bool = False


def notes(evaluation: Evaluation) -> tuple[Note, ...]:
    """All that apply, the weightiest first."""
    line, found = evaluation.headline, []
    if evaluation.learned_from:
        found.append(
            Note(
                f"This bundle learned from {evaluation.dataset} {evaluation.split}. The figures do not say "
                "how it does on what it has not seen.",
                warning=True,
            )
        )
    if evaluation.failed:
        found.append(
            Note(
                f"{_images(len(evaluation.failed))} could not be read, the first: {evaluation.failed[0]}",
                warning=True,
            )
        )
    if line.lost:
        found.append(
            Note(
                f"No cell was found in {_images(line.lost)} of {line.images:,}. They count as wrong in every "
                "figure."
            )
        )
    if evaluation.unrestricted:
        found.append(
            Note(
                f"The bundle knows {len(evaluation.card.classes)} classes and was asked of "
                f"{len(evaluation.asked)}: its probabilities were restricted to {_names(evaluation.asked)}, "
                "and scaled to add up to 1. The last row of the first table has all classes open."
            )
        )
    few = [measures for measures in evaluation.classes if 0 < measures.groups < FEWEST_GROUPS]
    if few:
        counts = ", ".join(f"{cell_class(one.key).name.lower()} ({one.groups})" for one in few)
        found.append(
            Note(
                f"Too few photographs for an interval, or for any claim about coverage: {counts}. What "
                "balanced accuracy owes to them is as uncertain as they are."
            )
        )
    absent = [measures.key for measures in evaluation.classes if not measures.images]
    if absent:
        found.append(Note(f"No images of {_names(absent)}."))
    if evaluation.looks:
        found.append(
            Note(
                f"Look {evaluation.looks.all} at held-out data by the ledger, look {evaluation.looks.here} "
                f"at {evaluation.dataset}. The more looks, the more the best of them owes to luck."
            )
        )
    return tuple(found)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _names(keys: Iterable[str]) -> str:
    return ", ".join(cell_class(key).name.lower() for key in keys)
