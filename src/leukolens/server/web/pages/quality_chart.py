"""The weekly figures as lines: inline SVG whose look stands in the stylesheet, since the policy allows no other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import groupby

from markupsafe import Markup

from leukolens.server.quality.weekly import Share, Week

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900, 260, 48, 24, 14, 28
TICKS = (0, 25, 50, 75, 100)
MOST_LABELS = 13
FIGURES = ("blind", "named", "unsure", "outside")
"""What is drawn, each as the figure of `Week` of that name."""


def chart(weeks: Sequence[Week], label: str) -> Markup:
    """The chart, which the table beside it says all of; empty where something was read in fewer than two weeks.

    Args:
        weeks: In any order.
        label: What a screen reader says of it.
    """
    mondays = sorted({_monday(week) for week in weeks})
    if len(mondays) < 2:
        return Markup("")
    first, last = mondays[0], mondays[-1]
    inside = "".join((*_axes(first, last), *_lines(weeks, first, last)))
    return Markup('<svg class="weeks" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH,
        HEIGHT,
        label,
        Markup(inside),  # numbers and our own words alone
    )


def _monday(week: Week) -> date:
    return date.fromisocalendar(week.year, week.week, 1)


def _x(monday: date, first: date, last: date) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * ((monday - first) / (last - first))


def _y(share: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)


def _axes(first: date, last: date) -> Iterator[str]:
    for tick in TICKS:
        y = _y(tick / 100)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick}\u202f%</text>'
    weeks = (last - first).days // 7 + 1
    for place in range(0, weeks, -(-weeks // MOST_LABELS)):
        monday = first + timedelta(weeks=place)
        x = _x(monday, first, last)
        yield f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{monday.isocalendar().week}</text>'


def _lines(weeks: Sequence[Week], first: date, last: date) -> Iterator[str]:
    ordered = sorted(weeks, key=lambda week: (week.bundle_sha256, _monday(week)))
    for figure in FIGURES:
        for _, of_bundle in groupby(ordered, key=lambda week: week.bundle_sha256):
            shares = [(_x(_monday(week), first, last), getattr(week, figure)) for week in of_bundle]
            yield from _line(figure, [(x, share) for x, share in shares if share is not None])


def _line(figure: str, shares: Sequence[tuple[float, Share]]) -> Iterator[str]:
    points = " ".join(f"{x:.1f},{_y(share.share):.1f}" for x, share in shares)
    if figure == "blind":
        for x, share in shares:
            yield f'<path class="limits" d="M{x:.1f} {_y(share.low):.1f}V{_y(share.high):.1f}"/>'
    if len(shares) > 1:
        yield f'<polyline class="line {figure}" points="{points}"/>'
    for x, share in shares:
        yield f'<circle class="dot {figure}" cx="{x:.1f}" cy="{_y(share.share):.1f}" r="3.5"/>'
