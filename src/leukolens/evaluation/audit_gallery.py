"""Pictures of what an audit found, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import isnan
from pathlib import Path

from leukolens.evaluation.audit_cells import OutOfView
from leukolens.evaluation.audit_labels import Doubt
from leukolens.evaluation.audit_pairs import Pair
from leukolens.evaluation.audit_survey import Photograph
from leukolens.evaluation.audit_words import class_word
from leukolens.evaluation.markup import class_name, picture
from leukolens.evaluation.pictures import thumbnail

MOST_SHOWN = 60


def pairs_shown(pairs: Sequence[Pair]) -> str:
    """Pairs of photographs, those of two labels first, then the surest."""
    first = sorted(pairs, key=lambda pair: (not pair.labels_differ, -pair.score))
    return f'<div class="pairs">{"".join(_two(pair) for pair in first[:MOST_SHOWN])}</div>{_rest(len(first))}'


def _rest(number: int) -> str:
    more = number - MOST_SHOWN
    return f'<p class="quiet">And {more:,} more, in audit.json.</p>' if more > 0 else ""


def _two(pair: Pair) -> str:
    measure = (
        f"{pair.score:.0f} keypoints agree" if pair.kind == "same field" else f"correlation {pair.score:.3f}"
    )
    numbers = "originals {} and {}, ".format(*pair.originals) if pair.originals else ""
    if pair.originals and pair.originals[0] == pair.originals[1]:
        numbers = f"both from original {pair.originals[0]}, "
    badge = '<span class="badge leak">leak</span>' if pair.leak else ""
    differ = '<span class="badge leak">labels differ</span>' if pair.labels_differ else ""
    return (
        f'<figure class="two">{_picture(pair.seen_a.path, pair.a.key)}{_picture(pair.seen_b.path, pair.b.key)}'
        f"<figcaption>{_caption(pair.a)}{_caption(pair.b)}"
        f'<span class="whole">{badge}{differ}<span class="badge">{pair.kind}</span>{escape(numbers)}{measure}</span>'
        "</figcaption></figure>"
    )


def _caption(photograph: Photograph) -> str:
    name = class_name(photograph.label) if photograph.label else "no label"
    copies = f"{len(photograph.images):,} copies" if len(photograph.images) > 1 else "one image"
    return f"<span><b>{escape(photograph.key)}</b>{name}, {copies}</span>"


def _picture(path: Path | None, description: str) -> str:
    return picture(thumbnail(path, None, "#000000") if path else None, description)


def lost_shown(lost: Sequence[OutOfView]) -> str:
    """Images without a cell, each beside a copy that has it; those with least of it first."""
    first = sorted(lost, key=_least_left)
    return f'<div class="pairs">{"".join(_gone(one) for one in first[:MOST_SHOWN])}</div>{_rest(len(first))}'


def _least_left(lost: OutOfView) -> tuple[float, str]:
    return (-1.0 if isnan(lost.left) else lost.left), lost.image.name


def _gone(lost: OutOfView) -> str:
    left = "" if isnan(lost.left) else f"{100 * lost.left:.0f}\u202f% of the nucleus in view"
    beside = (
        _picture(lost.whole.path, lost.whole.name) if lost.whole else '<div class="gone">no other copy</div>'
    )
    name = class_name(lost.image.label) if lost.image.label else "no label"
    return (
        f'<figure class="two">{_picture(lost.image.path, lost.image.name)}{beside}<figcaption>'
        f'<span class="whole"><b>{escape(lost.image.name)}</b>{name}{", " if left else ""}{left}</span>'
        "</figcaption></figure>"
    )


def doubts_shown(doubts: Sequence[Doubt], folders: Sequence[Path]) -> str:
    """Photographs of doubtful label, in the order given.

    Args:
        doubts: To show.
        folders: What their images may be named below.
    """
    shown = "".join(_doubt(doubt, folders) for doubt in doubts[:MOST_SHOWN])
    return f'<div class="mistakes">{shown}</div>{_rest(len(doubts))}'


def _doubt(doubt: Doubt, folders: Sequence[Path]) -> str:
    path = _first_file(folder / doubt.image for folder in folders)
    badge = '<span class="badge leak">clearly</span>' if doubt.confident else ""
    return (
        f'<div class="mistake">{_picture(path, doubt.image)}<p class="verdict">{class_name(doubt.label)} '
        f"{100 * doubt.own:.0f}\u202f%,<br>rather {escape(class_word(doubt.other).lower())} "
        f'{100 * doubt.others:.0f}\u202f%</p><p class="source">{badge}{doubt.against:,} of {doubt.copies:,} copies '
        f"called otherwise<br>{escape(doubt.group)}</p></div>"
    )


def _first_file(paths: Iterable[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)
