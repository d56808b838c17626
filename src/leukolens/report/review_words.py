"""What persons did to a sample, in the words that every report uses."""

from __future__ import annotations

from collections.abc import Mapping

from leukolens.differential.counts import ClassCount
from leukolens.report.fhir_codes import STATEMENT
from leukolens.report.read_document import rounded
from leukolens.report.sample import Review, SampleReport

NOT_CERTIFIED = "For research and education; not a certified medical device."
UNREVIEWED = f"Counted by a program and not reviewed by a person. {NOT_CERTIFIED}"
DISCLAIMER = (
    "Leukolens is for research and education. It is not a certified medical device, and this page is no diagnosis. "
    "What it flags is for a qualified person to review on the smear."
)
STATUS = {"preliminary": "Preliminary", "final": "Final", "amended": "Amended"}


def status_word(report: SampleReport) -> str:
    """``Preliminary``, ``Final`` or ``Amended``."""
    return STATUS[report.review.status] if report.review else STATUS["preliminary"]


def status_sentence(report: SampleReport) -> str:
    """What the status means for this report, in a sentence or two, the status itself left out."""
    review = report.review
    if review is None:
        return UNREVIEWED
    if review.signed is None:
        return f"Reviewed by a person in part or whole, and not signed. {NOT_CERTIFIED}"
    replaces = f", which replaces version {review.version - 1}" if review.version > 1 else ""
    return (
        f"Version {review.version}{replaces}, reviewed and signed by {review.reviewer} on {moment(review)}. "
        f"{NOT_CERTIFIED}"
    )


def moment(review: Review) -> str:
    """When it was signed, to the minute: ``2026-03-01 08:30 UTC``; empty where it isn't."""
    return f"{review.signed:%Y-%m-%d %H:%M} UTC" if review.signed else ""


def changes(review: Review) -> tuple[tuple[str, str, int, str], ...]:
    """What was done to cells: key, name, number and a word on it."""
    return (
        ("confirmed", "Confirmed", review.confirmed, "left as the machine said"),
        ("changed", "Changed", review.changed, "given another class"),
        ("drawn", "Drawn", review.drawn, "missed by the machine and added"),
        ("deleted", "Struck out", review.deleted, "found by the machine and no white cell"),
    )


def agreement(review: Review) -> str:
    """Cohen's kappa of two readers as a person reads it; empty where one reader read."""
    kappa = rounded(review.kappa)
    return "" if kappa is None else f"{kappa:.2f}"


def facts(review: Review) -> tuple[tuple[str, str], ...]:
    """Everything about the review that is one name and one value, for a list of facts."""
    told = [("Status", STATUS[review.status])]
    if review.version:
        told.append(("Version", str(review.version)))
    if review.signed is not None:
        told += [("Reviewed and signed by", review.reviewer), ("Signed", moment(review))]
    told += [(name, f"{count:,} ({word})") for _, name, count, word in changes(review)]
    if review.kappa is not None:
        told.append(("Agreement of two readers", f"Cohen's kappa {agreement(review) or 'undefined'}"))
    told += [
        (f"Version {number} opened again because", why) for number, why in enumerate(review.reopened, start=1)
    ]
    if review.trail_hash:
        told.append(("Audit trail", review.trail_hash))
    return tuple(told)


def review_lines(report: SampleReport) -> tuple[str, ...]:
    """The review in sentences, for reports that have no room of their own for it; none where nobody looked."""
    review = report.review
    if review is None:
        return ()
    done = ", ".join(f"{name.lower()} {count}" for _, name, count, _ in changes(review))
    lines = [f"{status_word(report)}. {status_sentence(report)}", f"Cells reviewed: {done}."]
    if review.kappa is not None:
        lines.append(f"Agreement of two readers: Cohen's kappa {agreement(review) or 'undefined'}.")
    lines += [
        f"Version {number} was opened again: {why}" for number, why in enumerate(review.reopened, start=1)
    ]
    if review.trail_hash:
        lines.append(f"Audit trail: {review.trail_hash}")
    return tuple(lines)


def statement(report: SampleReport) -> str:
    """What it may be used for; a signed one does not ask for the review that it has had."""
    return NOT_CERTIFIED if report.review and report.review.signed else STATEMENT


def machine_rows(review: Review | None) -> Mapping[str, ClassCount]:
    """The machine's own count by class key; a class that it cannot name has none."""
    return {row.key: row for row in review.machine.classes} if review else {}
