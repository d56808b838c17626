"""The chart's bars and limits are as long as the differential says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from leukolens.report.page_chart import LEFT, RIGHT, WIDTH, chart
from leukolens.report.sample import SampleReport

Parse = Callable[[str], Any]


def percents(group: Any, last: float) -> list[tuple[float, float, float]]:
    """Value and limits of a row's bars, read off the drawing."""
    scale = last / (WIDTH - LEFT - RIGHT)
    values = [
        float(bar.attributes["width"]) * scale
        for bar in group.all("rect")
        if bar.attributes["class"] != "key"
    ]
    ends = [
        [
            (float(x) - LEFT) * scale
            for x in re.findall(r"^M([\d.]+) [\d.]+H([\d.]+)", path.attributes["d"])[0]
        ]
        for path in group.all("path", class_="limits")
    ]
    return [(value, low, high) for value, (low, high) in zip(values, ends, strict=True)]


def test_bars_and_limits_are_the_differentials(smear: SampleReport, parsed: Parse) -> None:
    figure = parsed(chart(smear.differential))
    last = max(float(tick.text.removesuffix("\u202f%")) for tick in figure.all("text", class_="tick"))
    groups = figure.all("g")
    assert len(groups) == len(smear.differential.classes) + 1
    for group, row in zip(groups, smear.differential.classes, strict=False):
        assert group.attributes["class"] == f"c-{row.key}"
        assert row.corrected
        want = [(share.percent, share.low, share.high) for share in (row.share, row.corrected)]
        for drawn, meant in zip(percents(group, last), want, strict=True):
            assert drawn == pytest.approx(meant, abs=0.1)
    unsure = smear.differential.unsure
    assert unsure
    assert percents(groups[-1], last) == [pytest.approx((unsure.percent, unsure.low, unsure.high), abs=0.1)]


def test_without_a_correction_there_is_one_bar_a_class(bare_smear: SampleReport, parsed: Parse) -> None:
    figure = parsed(chart(bare_smear.differential))
    assert [len(group.all("path", class_="limits")) for group in figure.all("g")] == [1] * 6
    assert "corrected" not in figure.one("figcaption").text


@pytest.mark.parametrize(
    ("highest", "last"), [(3.2, 4), (8.5, 10), (16, 16), (40, 40), (41, 50), (80.5, 100), (100, 100)]
)
def test_the_axis_ends_at_the_next_tick(
    highest: float, last: int, bare_smear: SampleReport, parsed: Parse
) -> None:
    rows = tuple(
        replace(row, share=replace(row.share, high=highest)) for row in bare_smear.differential.classes
    )
    figure = parsed(chart(replace(bare_smear.differential, classes=rows)))
    ticks = [int(tick.text.removesuffix("\u202f%")) for tick in figure.all("text", class_="tick")]
    assert ticks[-1] == last
    assert len(ticks) <= 9
    assert len({later - earlier for earlier, later in pairwise(ticks)}) == 1
