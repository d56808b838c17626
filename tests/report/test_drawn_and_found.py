"""Which found cell is which drawn one, and what that comes to."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leukolens.datasets.synthetic import DrawnCell, DrawnField
from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, FieldReading
from leukolens.report.drawn_and_found import Compared, Score, compare, drawn_counts, score

LEFT, RIGHT, LOW = Box(10, 10, 40, 40), Box(45, 12, 75, 42), Box(10, 60, 40, 90)


def compared(drawn: list[tuple[str, Box]], found: list[tuple[str, Box]]) -> Compared:
    field = DrawnField(np.zeros((100, 100, 3), np.uint8), tuple(DrawnCell(*cell) for cell in drawn))
    cells = tuple(Cell(box, {label: 1.0}, "accept", "") for label, box in found)
    return compare(field, FieldReading(Path("a"), "ok", None, "", 100, 100, cells))


def said(item: Compared) -> list[tuple[str | None, str | None]]:
    return [(pair.drawn and pair.drawn.label, pair.found and pair.found.label) for pair in item.pairs]


def test_cells_are_paired_by_place_from_top_to_bottom() -> None:
    item = compared(
        [("monocyte", LOW), ("neutrophil", LEFT), ("basophil", RIGHT)],
        [("basophil", Box(44, 10, 76, 44)), ("monocyte", Box(8, 58, 41, 92)), ("eosinophil", LEFT)],
    )
    assert said(item) == [("neutrophil", "eosinophil"), ("basophil", "basophil"), ("monocyte", "monocyte")]
    assert [pair.agrees for pair in item.pairs] == [False, True, True]
    assert score([item]) == Score(drawn=3, found=3, as_drawn=2, extra=0)


def test_a_missed_cell_and_one_found_on_nothing_stand_alone() -> None:
    item = compared([("neutrophil", LEFT)], [("neutrophil", Box(70, 70, 95, 95))])
    assert said(item) == [("neutrophil", None), (None, "neutrophil")]
    assert score([item]) == Score(drawn=1, found=0, as_drawn=0, extra=1)


def test_a_drawn_cell_has_one_partner_the_nearest() -> None:
    item = compared(
        [("neutrophil", LEFT)], [("monocyte", Box(20, 20, 52, 52)), ("neutrophil", Box(11, 11, 41, 41))]
    )
    assert said(item) == [("neutrophil", "neutrophil"), (None, "monocyte")]


def test_a_found_cell_is_one_drawn_cell_s_alone() -> None:
    item = compared(
        [("neutrophil", LEFT), ("monocyte", Box(12, 10, 42, 40))], [("monocyte", Box(12, 10, 42, 40))]
    )
    assert said(item) == [("neutrophil", None), ("monocyte", "monocyte")]


def test_counts_are_over_all_fields() -> None:
    one = compared([("neutrophil", LEFT), ("monocyte", LOW)], [("neutrophil", LEFT)])
    other = compared([("neutrophil", RIGHT)], [("monocyte", RIGHT), ("monocyte", LOW)])
    assert drawn_counts([one, other]) == {"neutrophil": 2, "monocyte": 1}
    assert score([one, other]) == Score(drawn=3, found=2, as_drawn=1, extra=1)
    assert score([]) == Score(0, 0, 0, 0)
