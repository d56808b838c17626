"""The sheet of drawn against found: one card an image, ticks and crosses, probabilities to scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, ImageReading
from leukolens.report.contact_sheet import AGREES, DIFFERS, PAPER, Compared, contact_sheet
from leukolens.taxonomy import cell_class

GROUND = (229, 224, 217)


def compared(label: str, found: dict[str, float] | None, status: str = "ok") -> Compared:
    cells = (Cell(Box(90, 60, 200, 170), found, "accept", ""),) if found else ()
    rgb = np.full((240, 320, 3), GROUND, np.uint8)
    return Compared(rgb, label, ImageReading(Path("x.png"), status, None, cells))  # type: ignore[arg-type]


def sheet(*items: Compared) -> NDArray[np.uint8]:
    return np.asarray(contact_sheet(items, title="Drawn against found", subtitle="seed 1", note="A note."))


def count(image: NDArray[np.uint8], colour: tuple[int, int, int]) -> int:
    return int((image == colour).all(axis=2).sum())


RIGHT = compared("neutrophil", {"neutrophil": 0.75, "monocyte": 0.25})
WRONG = compared("lymphocyte", {"neutrophil": 0.75, "monocyte": 0.25})
NOTHING = compared("basophil", None, "no_cell")


class TestCompared:
    def test_it_agrees_where_the_most_probable_class_is_the_known_one(self) -> None:
        assert RIGHT.agrees
        assert not WRONG.agrees
        assert not NOTHING.agrees
        assert NOTHING.found is None


class TestContactSheet:
    def test_every_agreement_gets_a_tick_and_every_difference_a_cross(self) -> None:
        one_tick, one_cross = count(sheet(RIGHT), AGREES), count(sheet(WRONG), DIFFERS)
        assert min(one_tick, one_cross) > 500
        mixed = sheet(RIGHT, RIGHT, WRONG, NOTHING)
        assert count(mixed, AGREES) == 2 * one_tick
        assert count(mixed, DIFFERS) == 2 * one_cross
        assert count(sheet(RIGHT), DIFFERS) == count(sheet(WRONG), AGREES) == 0

    def test_the_bar_shows_the_probabilities_to_scale(self) -> None:
        image = sheet(RIGHT)
        likely, unlikely = (
            (image == cell_class(key).rgb).all(axis=2).sum(axis=1) for key in ("neutrophil", "monocyte")
        )
        in_bar = (likely > 0) & (unlikely > 50)
        assert in_bar.sum() >= 10
        assert np.median(likely[in_bar] / unlikely[in_bar]) == pytest.approx(3, rel=0.03)

    def test_every_image_is_shown_whole_and_framed(self) -> None:
        image = sheet(RIGHT, NOTHING)
        shown = count(image, GROUND)
        # 372 pixels wide each, less the lines of one frame.
        assert 2 * 372 * 279 * 0.97 < shown < 2 * 372 * 279
        assert count(sheet(NOTHING), GROUND) == 372 * 279

    def test_rows_are_added_as_needed(self) -> None:
        one, five, six = (sheet(*[RIGHT] * number) for number in (1, 5, 6))
        assert one.shape[0] == five.shape[0] < six.shape[0]
        assert five.shape[1] == six.shape[1] > one.shape[1]
        assert tuple(six[-2, -2]) == PAPER

    def test_images_of_any_shape_fit(self) -> None:
        tall = Compared(np.full((900, 300, 3), GROUND, np.uint8), "neutrophil", RIGHT.reading)
        assert sheet(tall).shape == sheet(RIGHT).shape

    def test_equal_content_gives_an_equal_picture(self) -> None:
        assert (sheet(RIGHT, WRONG) == sheet(RIGHT, WRONG)).all()
