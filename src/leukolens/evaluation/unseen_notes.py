"""What a reader must know before believing figures of laboratories never seen: sentences for a page's head."""

from __future__ import annotations

from leukolens.evaluation.notes import Note
from leukolens.evaluation.unseen_document import Rotated


def unseen_notes(rotated: Rotated) -> tuple[Note, ...]:
    """All that apply, the weightiest first."""
    found = []
    if rotated.outer:
        found.append(
            Note(
                f"Inner rotations, to choose a method by. Nothing of {rotated.outer} was touched. The labs asked "
                f"here are those that the rotation without {rotated.outer} learns from, so they are unseen only "
                "inside it, and the ledger holds no look for them. blood-cells is asked on TRAIN, never on TEST."
            )
        )
    else:
        found.append(
            Note(
                f"The ledger holds {rotated.looks} looks at held-out data, these among them. Whatever was chosen "
                "by a look at one of these labs owes some of its figure to luck; choose by --inner.",
                warning=True,
            )
        )
    lost = [
        f"{own.lab} {count_of(own.lost)} of {own.images:,} ({own.method})"
        for own in rotated.figures
        if own.lost
    ]
    if lost:
        found.append(Note(f"No cell was found in: {'; '.join(lost)}. They count as wrong in every figure."))
    broken = {own.lab: own.asked[0].answers.failed for own in rotated.figures}
    for lab, failed in broken.items():
        if failed:
            text = f"{len(failed)} images of {lab} could not be read, the first: {failed[0]}"
            found.append(Note(text, warning=True))
    found.append(
        Note(
            "A model that knows more classes than a set has is asked of the set's alone: its probabilities are "
            "restricted to them and scaled to add up to 1. Decisions are the product's own, over all of its "
            "classes. Temperature and threshold were chosen on other labs; what they do here is measured, never "
            "promised."
        )
    )
    framed = {
        (own.method, "a detector" if asked.card.finding else "the nucleus finder")
        for own in rotated.figures
        for asked in own.asked
    }
    found.append(
        Note("Cells framed by: " + ", ".join(f"{how} ({method})" for method, how in sorted(framed)) + ".")
    )
    return tuple(found)


def count_of(images: float) -> str:
    """A number of images, which is a fraction where it is a mean over seeds."""
    return f"{images:,.1f}".removesuffix(".0")
