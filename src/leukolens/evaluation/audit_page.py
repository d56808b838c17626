"""An audit as one page that needs nothing beside it, the pictures side by side."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from leukolens.evaluation.audit import Audit, number_of
from leukolens.evaluation.audit_gallery import doubts_shown, lost_shown, pairs_shown
from leukolens.evaluation.audit_pairs import Overlap, Pair
from leukolens.evaluation.audit_words import HOW_TO_PREDICT, findings
from leukolens.evaluation.markup import class_name, facts, table

FEW_SHOWN = 4


def page(audit: Audit, data_root: Path) -> str:
    """The page.

    Args:
        audit: To show.
        data_root: What the images of the predictions are named below.
    """
    files = resources.files("leukolens.evaluation")
    # One style for all pages: the evaluation's.
    style = files.joinpath("page.html").read_text(encoding="utf-8").split("<style>")[1].split("</style>")[0]
    splits = ", ".join(audit.splits) if len(audit.splits) > 1 else "no split by its publisher"
    return Template(files.joinpath("audit.html").read_text(encoding="utf-8")).substitute(
        style=style.strip(),
        title=escape(audit.name),
        lede=escape(f"{audit.images:,} images of {len(audit.photographs):,} source photographs; {splits}"),
        cards=_cards(audit),
        notes="".join(
            f"<li{' class=warn' if finding.leak else ''}><b>{finding.number}</b> {escape(finding.text)}.</li>"
            for finding in findings(audit)
            if finding.number != "0"
        ),
        sections="".join(
            (
                _sources(audit),
                _across(audit),
                _within(audit),
                _originals(audit),
                _lost(audit),
                _unreadable(audit),
                _labels(audit, data_root),
                _method(audit),
            )
        ),
    )


def _cards(audit: Audit) -> str:
    lost = len(audit.lost) / audit.images if audit.images else 0.0
    doubtful = "–" if audit.doubtful is None else f"{len(audit.doubtful):,}"
    cards = (
        ("Leaks", f"{len(audit.leaks):,}", "pairs of photographs that a split tears apart"),
        ("No white cell in view", f"{len(audit.lost):,}", f"images, {100 * lost:.2f}\u202f% of all"),
        (
            "Doubtful labels",
            doubtful,
            "photographs" if audit.doubtful is not None else "no predictions given",
        ),
    )
    return "".join(
        f'<div class="card"><div class="what">{name}</div><div class="big">{number}</div>'
        f'<div class="between">{how}</div></div>'
        for name, number, how in cards
    )


def _sources(audit: Audit) -> str:
    by = {(count.split, count.label): count for count in audit.counts}
    labels = list(dict.fromkeys(count.label for count in audit.counts))
    groups = "".join(f'<th class="group" colspan="2">{escape(split)}</th>' for split in audit.splits)
    heads = "".join("<th>images</th><th>photographs</th>" for _ in audit.splits)
    rows = []
    for label in labels:
        cells = ""
        for split in audit.splits:
            count = by.get((split, label))
            cells += (
                f"<td>{count.images:,}</td><td>{count.photographs:,}</td>"
                if count
                else '<td class="zero">0</td><td class="zero">0</td>'
            )
        rows.append(f"<tr><td>{class_name(label) if label else 'no label'}</td>{cells}</tr>")
    totals = ""
    for split in audit.splits:
        those = [count for count in audit.counts if count.split == split]
        totals += f"<td>{sum(count.images for count in those):,}</td>"
        totals += f"<td>{sum(count.photographs for count in those):,}</td>"
    return (
        '<h2>Where the images come from</h2><div class="scroll"><table><thead>'
        f"<tr><th></th>{groups}</tr><tr><th></th>{heads}</tr></thead>"
        f'<tbody>{"".join(rows)}<tr class="total"><td>all</td>{totals}</tr></tbody></table></div>'
        f'<p class="quiet">{_counted(audit)}Figures over images count the copies of one photograph as if they were '
        "cells.</p>"
    )


def _counted(audit: Audit) -> str:
    """Whether file names count as many photographs as pictures tell apart."""
    counted = [count for count in audit.counts if count.numbers]
    if not counted:
        return "A photograph is what file names, or a laboratory's own list of groups, say belongs together. "
    agree = all(count.numbers == count.photographs for count in counted)
    bad = len(audit.fields.strays)
    several = any(len({number_of(image.path) for image in one.images}) > 1 for one in audit.photographs)
    which = "; copies of one photograph bear many numbers, so these do not say which it is" if several else ""
    return (
        f"The numbers in the file names count {'as many' if agree else 'not as many'} photographs as pictures tell "
        f"apart{which}. Of {audit.fields.compared:,} photographs a second copy was compared with the first: {bad:,} "
        "show something else. "
    )


def _across(audit: Audit) -> str:
    if len(audit.splits) < 2:
        return ""
    if not audit.overlaps:
        return (
            "<h2>Shared between splits</h2><p>Nothing: no photograph and no field stands in two splits.</p>"
        )
    whole = {overlap.split: overlap.other for overlap in audit.overlaps if overlap.whole}
    text = []
    for overlap in audit.overlaps:
        pairs = [pair for pair in audit.pairs if set(pair.splits) == {overlap.split, overlap.other}]
        if overlap.whole:
            text.append(_whole(overlap, pairs))
        elif overlap.split in whole:
            text.append(
                f"<h2>{escape(overlap.split)} and {escape(overlap.other)}</h2><p>{overlap.shared:,} of "
                f"{overlap.photographs:,} photographs of {escape(overlap.split)} have their field in "
                f"{escape(overlap.other)}. It is {escape(whole[overlap.split])} again, so the pictures are those shown "
                "there.</p>"
            )
        else:
            text.append(
                f"<h2>In {escape(overlap.split)} and in {escape(overlap.other)}</h2><p>{overlap.shared:,} of "
                f"{overlap.photographs:,} photographs of {escape(overlap.split)} stand in {escape(overlap.other)} "
                "too, or show a field of the smear that is shown there: whoever learned the one has seen the "
                f"other.</p>{pairs_shown(pairs)}"
            )
    return "".join(text)


def _whole(overlap: Overlap, pairs: Sequence[Pair]) -> str:
    return (
        f"<h2>{escape(overlap.split)} is {escape(overlap.other)} again</h2><p>All {overlap.photographs:,} photographs "
        f"of {escape(overlap.split)} are found in {escape(overlap.other)}. Choosing an epoch or a threshold on the "
        f"one is choosing on the other. The first {min(FEW_SHOWN, len(pairs))}:</p>{pairs_shown(pairs[:FEW_SHOWN])}"
    )


def _within(audit: Audit) -> str:
    inside = [pair for pair in audit.pairs if not pair.across]
    if not inside:
        return "<h2>Within a split</h2><p>No two photographs are copies or show one field.</p>"
    fields = [pair for pair in inside if pair.kind == "same field"]
    twins = [pair for pair in inside if pair.kind != "same field"]
    text = ""
    if twins:
        text += (
            "<h2>Copies within a split</h2><p>One picture that counts as two photographs.</p>"
            f"{pairs_shown(twins)}"
        )
    if fields:
        text += (
            "<h2>Fields photographed twice within a split</h2><p>Keep each pair on one side of any split.</p>"
            f"{pairs_shown(fields)}"
        )
    return text


def _originals(audit: Audit) -> str:
    if audit.originals is None:
        return ""
    items = "".join(
        f"<li>{escape(found.photograph.key)} &rarr; <b>{escape(found.name)}</b> "
        f'<span class="quiet">{found.agreement}</span></li>'
        for found in audit.fields.originals
    )
    number = len(audit.fields.originals)
    lacking = len(audit.photographs) - number
    pairs = "".join(
        f'<li><b>{escape(one)} ~ {escape(other)}</b> <span class="quiet">{score}</span></li>'
        for one, other, score in sorted(audit.fields.original_pairs, key=lambda found: -found[2])
    )
    return (
        f"<h2>The same photographs in bccd</h2><p>{number:,} of {len(audit.photographs):,} photographs were found, at "
        f"full size, among the {audit.originals:,} of bccd, by picture; {lacking:,} were not. "
        f"{len(audit.fields.original_pairs):,} pairs of bccd's photographs show one field.</p>"
        f"<details><summary>Each photograph with its original and the keypoints that agree</summary>"
        f'<ul class="columns">{items}</ul></details>'
        f"<details><summary>Pairs of originals that show one field</summary>"
        f'<ul class="columns">{pairs}</ul></details>'
    )


def _lost(audit: Audit) -> str:
    if not audit.lost:
        return "<h2>No white cell in view</h2><p>Every image shows one.</p>"
    return (
        f"<h2>No white cell in view</h2><p>{len(audit.lost):,} images. On the right, where there is one, a copy of the "
        f"same photograph that shows the cell.</p>{lost_shown(audit.lost)}"
    )


def _unreadable(audit: Audit) -> str:
    if not audit.unreadable:
        return ""
    rows = (
        f"<tr><td>{escape(image.name)}</td><td>{escape(image.problem)}</td></tr>"
        for image in audit.unreadable
    )
    return f"<h2>Images that cannot be read</h2>{table(('image', 'why'), rows)}"


def _labels(audit: Audit, data_root: Path) -> str:
    title = "<h2>Doubtful labels</h2>"
    if audit.doubtful is None:
        return f"{title}<p>Not looked for: {escape(HOW_TO_PREDICT)}.</p>"
    how = (
        "<p>Photographs that networks which never saw them would label otherwise, by the mean over all copies. A "
        "doubt is a reason to look, not a verdict.</p>"
    )
    if not audit.doubtful:
        return f"{title}{how}<p>None of {audit.predicted:,} photographs.</p>"
    return title + how + doubts_shown(audit.doubtful, (data_root, audit.root))


def _method(audit: Audit) -> str:
    pairs = (
        (
            "Copies",
            "equal pixels; or pictures that correlate at 16x16 and at 64x64, mirrored or turned over too",
        ),
        (
            "Fields",
            "SIFT keypoints of one copy of each photograph that agree on one affine map, found by RANSAC; 12 and more "
            "count, unrelated photographs have at most a few",
        ),
        (
            "No cell",
            "no nucleus is found, or next to nothing is left of what the other copies of the photograph show",
        ),
        ("Doubtful", "mean probability by networks that were trained without the photograph"),
        (
            "Not believed",
            "the package's own tables of groups and fields: they are what the pairs are checked against",
        ),
        ("Again", "audit.json beside this page has everything that was found, pictures apart"),
    )
    return f"<h2>How it was found</h2>{facts(pairs)}"
