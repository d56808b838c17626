"""A page's part on what persons did: the status, a section of its own, and who signed. Empty where nobody looked."""

from __future__ import annotations

from collections.abc import Iterator

from leukolens.report.markup import figure, table, text
from leukolens.report.review_words import changes, facts, moment, status_sentence, status_word
from leukolens.report.sample import Review, SampleReport

UNSIGNED = '<div class="signature"><span>Reviewed by</span><span>Signature</span><span>Date</span></div>'


def status(report: SampleReport) -> str:
    """The line at the head: the status and what it means."""
    mark = f' data-status="{report.review.status}"' if report.review else ""
    return f'<p class="status"{mark}><b>{status_word(report)}.</b> {text(status_sentence(report))}</p>'


def link(report: SampleReport) -> str:
    """The section's entry in the list of sections."""
    return '<a href="#persons">Review by persons</a>' if report.review else ""


def signature(report: SampleReport) -> str:
    """Who signed, or the lines to sign on."""
    review = report.review
    if review is None or review.signed is None:
        return UNSIGNED
    cells = (
        ("Reviewed by", review.reviewer),
        ("Signed", f"version {review.version}"),
        ("Date", moment(review)),
    )
    inside = "".join(f"<span><b>{text(value)}</b><br>{name}</span>" for name, value in cells)
    return f'<div class="signature signed">{inside}</div>'


def section(report: SampleReport) -> Iterator[str]:
    """What was done to cells, what is said of red cells and platelets, and where the audit trail stood."""
    review = report.review
    if review is None:
        return
    yield '<section aria-labelledby="persons">\n<h2 id="persons">Review by persons</h2>\n<dl class="keys">'
    for key, name, count, note in changes(review):
        yield _key(key, name, f"{count:,}", note)
    if review.kappa is not None:
        yield _key("kappa", "Cohen&#x27;s kappa", figure(review.kappa, 2), "agreement of two readers")
    yield "</dl>\n"
    yield from _comments(review)
    yield '<dl class="facts review">'
    for name, value in facts(review):
        shown = f"<code>{text(value)}</code>" if value == review.trail_hash else text(value)
        yield f"<dt>{text(name)}</dt><dd>{shown}</dd>"
    yield "</dl>\n</section>\n"


def _key(key: str, name: str, value: str, note: str) -> str:
    return (
        f'<div class="key" data-change="{key}"><dt>{name}</dt><dd><span class="big">{value}</span>'
        f'<span class="note">{note}</span></dd></div>'
    )


def _comments(review: Review) -> Iterator[str]:
    if not review.comments:
        yield '<p class="none">Nothing is said of red cells and platelets.</p>'
        return
    rows = (
        f'<tr><th scope="row">{text(finding)}</th><td>{text(grade)}</td></tr>\n'
        for finding, grade in review.comments
    )
    yield from table("comments", "Red cells and platelets", ("red cells and platelets", "grade"), rows)
