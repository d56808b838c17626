"""A differential as a chart: for each class a bar as counted, one as corrected, and their limits."""

from __future__ import annotations

from collections.abc import Iterator

from leukolens.differential.counts import Differential, Share
from leukolens.report.markup import letter
from leukolens.taxonomy import UNSURE, cell_class

WIDTH, LEFT, RIGHT, TOP, ROW, BAR = 900, 204, 24, 24, 32, 10
STEPS = (1, 2, 5, 10, 20)
MOST_TICKS = 8


def chart(differential: Differential) -> str:
    """The chart as a figure of inline SVG; the table beside it has every figure that it shows."""
    rows: list[tuple[str, str, Share, Share | None]] = [
        (row.key, cell_class(row.key).name, row.share, row.corrected) for row in differential.classes
    ]
    if differential.unsure:
        rows.append((UNSURE, "Unsure", differential.unsure, None))
    highest = max((share.high for _, _, *shares in rows for share in shares if share), default=100)
    ticks = _ticks(highest)
    height = TOP + ROW * len(rows) + 8
    inside = "".join(
        (
            *_axis(ticks, height),
            *(
                piece
                for place, (key, name, share, corrected) in enumerate(rows)
                for piece in _row(TOP + ROW * place, key, name, share, corrected, ticks[-1])
            ),
        )
    )
    return (
        f'<figure><svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Percentages of the '
        f'classes as bars with their 95 % limits; the table above has the figures">{inside}</svg>'
        f'<figcaption class="legend">{"".join(_legend(differential))}</figcaption></figure>'
    )


def _legend(differential: Differential) -> Iterator[str]:
    yield '<span class="sample counted"></span>as counted'
    if any(row.corrected for row in differential.classes):
        yield '<span class="sample corrected"></span>corrected for known confusion'
    yield '<span class="sample limits"></span>95\u202f% limits'


def _ticks(highest: float) -> list[int]:
    """Whole per cents from 0 to the first one at or over ``highest``, evenly spaced, never over 100."""
    step = next((step for step in STEPS if highest <= step * MOST_TICKS), STEPS[-1])
    last = next((tick for tick in range(step, 100, step) if tick >= highest), 100)
    return list(range(0, last + 1, step))


def _x(percent: float, last: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * min(max(percent, 0), last) / last


def _axis(ticks: list[int], height: int) -> Iterator[str]:
    for tick in ticks:
        x = _x(tick, ticks[-1])
        unit = "\u202f%" if tick == ticks[-1] else ""
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 4}" y2="{height}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{TOP - 10}" text-anchor="middle">{tick}{unit}</text>'


def _row(y: int, key: str, name: str, share: Share, corrected: Share | None, last: int) -> Iterator[str]:
    middle = y + ROW / 2
    yield f'<g class="c-{key}">'
    yield f'<rect class="key" x="0" y="{middle - 9}" width="18" height="18" rx="3"/>'
    yield f'<text class="letter" x="9" y="{middle}" text-anchor="middle">{letter(key)}</text>'
    yield f'<text class="name" x="27" y="{middle}">{name}</text>'
    if corrected:
        yield from _bar(middle - BAR - 1, share, last, "counted")
        yield from _bar(middle + 1, corrected, last, "corrected")
    else:
        yield from _bar(middle - BAR / 2, share, last, "counted")
    yield "</g>"


def _bar(y: float, share: Share, last: int, kind: str) -> Iterator[str]:
    value, low, high = (_x(end, last) for end in (share.percent, share.low, share.high))
    middle = y + BAR / 2
    yield f'<rect class="bar {kind}" x="{LEFT}" y="{y}" width="{value - LEFT:.1f}" height="{BAR}"/>'
    line = f"M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 3.5}v7M{high:.1f} {middle - 3.5}v7"
    # Cased in the paper's colour, so that it can be seen on a dark bar as well as beside it.
    yield f'<path class="casing" d="{line}"/><path class="limits" d="{line}"/>'
