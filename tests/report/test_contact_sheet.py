"""The sheet of drawn against found: a card a field, ticks and crosses, and the differential to scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from leukolens.datasets.synthetic import DrawnCell, DrawnField
from leukolens.differential.counts import ClassCount, Differential, Share, Tally
from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, FieldReading
from leukolens.report.contact_sheet import (
    AGREES,
    CARD_WIDTH,
    DIFFERS,
    MOST_FIELDS,
    PAPER,
    PICTURE,
    contact_sheet,
)
from leukolens.report.drawn_and_found import Compared, compare
from leukolens.taxonomy import cell_class

GROUND = (229, 224, 217)
BOX, ELSEWHERE = Box(90, 60, 200, 170), Box(210, 180, 280, 230)


def compared(
    label: str,
    found: str | None,
    *,
    box: Box = BOX,
    decision: str = "accept",
    size: tuple[int, int] = (240, 320),
) -> Compared:
    cells = (Cell(box, {found: 1.0}, decision, ""),) if found else ()  # type: ignore[arg-type]
    field = DrawnField(np.full((*size, 3), GROUND, np.uint8), (DrawnCell(label, BOX),))
    return compare(field, FieldReading(Path("x.png"), "ok", None, "", size[1], size[0], cells))


def differential(**percent: float) -> Differential:
    rows = tuple(
        ClassCount(key, round(value), Share(value, value / 2, min(2 * value, 100)), None, None, 0)
        for key, value in percent.items()
    )
    tally = Tally({row.key: row.count for row in rows})
    return Differential(tally, rows, None, None, None, "", ())


DIFFERENTIAL = differential(neutrophil=40.0, monocyte=20.0)


def sheet(*items: Compared, found: Differential = DIFFERENTIAL) -> NDArray[np.uint8]:
    made = contact_sheet(items, found, title="Drawn against found", subtitle="seed 1", note="A note.")
    return np.asarray(made)


def count(image: NDArray[np.uint8], colour: tuple[int, int, int]) -> int:
    return int((image == colour).all(axis=2).sum())


RIGHT = compared("neutrophil", "neutrophil")
WRONG = compared("lymphocyte", "neutrophil")
MISSED = compared("basophil", None)
EXTRA = compared("basophil", "basophil", box=ELSEWHERE)


def test_every_agreement_gets_a_tick_and_every_difference_a_cross() -> None:
    one_tick, one_cross = count(sheet(RIGHT), AGREES), count(sheet(WRONG), DIFFERS)
    assert min(one_tick, one_cross) > 150
    assert count(sheet(RIGHT, RIGHT, WRONG, MISSED), AGREES) == 2 * one_tick
    assert count(sheet(RIGHT, RIGHT, WRONG, MISSED), DIFFERS) == 2 * one_cross
    assert count(sheet(EXTRA), DIFFERS) == 2 * one_cross  # one missed, one where nothing was drawn
    assert count(sheet(RIGHT), DIFFERS) == count(sheet(WRONG), AGREES) == 0


def test_the_bars_show_the_percentages_to_scale() -> None:
    image = sheet(MISSED)
    # The names' discs have few pixels a row, and the stroke of what was drawn stands at 0 here.
    neutrophil, monocyte = (
        np.median(rows[rows > 60])
        for key in ("neutrophil", "monocyte")
        if (rows := (image == cell_class(key).rgb).all(axis=2).sum(axis=1)).any()
    )
    assert neutrophil / monocyte == pytest.approx(2, rel=0.05)


def test_every_field_is_shown_whole_with_its_boxes() -> None:
    plain = count(sheet(compared("basophil", None, box=BOX)), GROUND)
    area = PICTURE[0] * PICTURE[1]
    assert 0.95 * area < plain < area
    assert (
        count(sheet(RIGHT), cell_class("neutrophil").rgb)
        > count(sheet(MISSED), cell_class("neutrophil").rgb) + 300
    )


def test_an_unsure_cell_has_a_broken_line() -> None:
    colour = cell_class("neutrophil").rgb
    unsure = compared("neutrophil", "neutrophil", decision="review")
    assert count(sheet(unsure), colour) < count(sheet(RIGHT), colour) - 100


def test_rows_are_added_as_needed_up_to_the_most_fields() -> None:
    one, five, six = (sheet(*[RIGHT] * number) for number in (1, 5, 6))
    assert one.shape[0] == five.shape[0] < six.shape[0]
    assert five.shape[1] == six.shape[1] > one.shape[1] >= 3 * CARD_WIDTH
    assert tuple(six[-2, -2]) == PAPER
    assert sheet(*[RIGHT] * MOST_FIELDS).shape == sheet(*[RIGHT] * (MOST_FIELDS + 7)).shape


def test_fields_of_any_shape_fit() -> None:
    assert sheet(compared("neutrophil", "neutrophil", size=(900, 300))).shape == sheet(RIGHT).shape


def test_equal_content_gives_an_equal_picture() -> None:
    assert (sheet(RIGHT, WRONG) == sheet(RIGHT, WRONG)).all()


def test_a_class_without_cells_and_no_class_at_all_have_their_place() -> None:
    none, some = differential(neutrophil=0.0), differential(neutrophil=100.0)
    assert sheet(MISSED, found=none).shape == sheet(MISSED, found=some).shape
    assert sheet(MISSED, found=differential()).shape[0] < sheet(MISSED, found=none).shape[0]
