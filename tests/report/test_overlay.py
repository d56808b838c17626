"""Boxes on an image: where they belong, in the class's colour, with captions that can be read."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, Decision
from leukolens.report.overlay import GREY, Mark, contrast, ink_on, marks_of, overlay
from leukolens.taxonomy import CLASSES, CellClass, cell_class

BLUE = cell_class("neutrophil").rgb


def cell(box: Box, label: str = "neutrophil", decision: Decision = "accept") -> Cell:
    return Cell(box, {label: 0.873, "other": 0.127}, decision, "")


def ground(width: int = 800, height: int = 600) -> NDArray[np.uint8]:
    return np.full((height, width, 3), (230, 225, 220), np.uint8)


def where(image: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray((image == colour).all(axis=2))


class TestMarksOf:
    def test_cells_are_numbered_named_and_coloured_by_class(self) -> None:
        marks = marks_of([cell(Box(0, 0, 9, 9)), cell(Box(20, 0, 29, 9), "monocyte")])
        assert [mark.caption for mark in marks] == ["1  Neutrophil 87.3 %", "2  Monocyte 87.3 %"]
        assert [mark.colour for mark in marks] == [BLUE, cell_class("monocyte").rgb]

    def test_doubt_shows(self) -> None:
        box = Box(0, 0, 9, 9)
        sure, unsure, unknown = marks_of(
            [cell(box), cell(box, decision="review"), cell(box, decision="unknown")]
        )
        assert (sure.sure, unsure.sure, unknown.sure) == (True, False, False)
        assert unknown.colour == GREY
        assert "Neutrophil" not in unknown.caption


class TestOverlay:
    def test_the_box_is_drawn_where_it_is(self) -> None:
        image = np.asarray(overlay(ground(), [Mark(Box(100, 200, 260, 330), "1", BLUE)]))
        assert image.shape == (600, 800, 3)
        drawn = where(image, BLUE)
        assert drawn[200, 100:260].all()
        assert drawn[329, 100:260].all()
        assert drawn[200:330, 100].all()
        assert drawn[200:330, 259].all()
        assert not drawn[210:320, 110:250].any()

    def test_the_image_is_left_as_it_was(self) -> None:
        given = ground()
        overlay(given, [Mark(Box(10, 10, 60, 60), "1", BLUE)])
        assert (given == ground()).all()

    def test_a_broken_line_where_unsure(self) -> None:
        shares = [
            where(np.asarray(overlay(ground(), [Mark(Box(100, 200, 300, 400), "", BLUE, sure)])), BLUE)[
                200, 100:300
            ].mean()
            for sure in (True, False)
        ]
        assert shares[0] == 1
        assert 0.3 < shares[1] < 0.7

    def test_small_images_are_enlarged_by_a_whole_factor(self) -> None:
        assert overlay(ground(320, 240), []).size == (960, 720)
        assert overlay(ground(1200, 900), []).size == (1200, 900)
        assert overlay(ground(100, 80), []).size == (400, 320)
        assert overlay(ground(320, 240), [], smallest_side=1).size == (320, 240)

    @pytest.mark.parametrize("box", [Box(-50, -40, 60, 50), Box(760, 560, 900, 700), Box(-9, -9, 900, 700)])
    def test_a_box_over_the_edge_keeps_its_whole_caption_inside(self, box: Box) -> None:
        def caption_pixels(box: Box) -> int:
            short, long = (
                where(np.asarray(overlay(ground(), [Mark(box, caption, BLUE)])), BLUE).sum()
                for caption in ("1", "1  Neutrophil 97.3 %")
            )
            return int(long - short)

        # A caption inside the box hides some of its line, hence the tolerance.
        assert caption_pixels(box) == pytest.approx(caption_pixels(Box(300, 300, 400, 400)), rel=0.25)

    def test_captions_of_neighbours_do_not_hide_each_other(self) -> None:
        red, green = (200, 0, 0), (0, 120, 0)
        boxes = Box(300, 300, 360, 360), Box(330, 300, 390, 360)
        alone = where(np.asarray(overlay(ground(), [Mark(boxes[0], "first caption", red)])), red).sum()
        both = np.asarray(
            overlay(ground(), [Mark(boxes[0], "first caption", red), Mark(boxes[1], "second caption", green)])
        )
        assert where(both, red).sum() > 0.85 * alone


class TestInk:
    def test_contrast_is_that_of_wcag(self) -> None:
        assert contrast((255, 255, 255), (0, 0, 0)) == pytest.approx(21)
        assert contrast((255, 255, 255), (119, 119, 119)) == pytest.approx(4.48, abs=0.005)
        assert contrast((255, 0, 0), (255, 255, 255)) == pytest.approx(4.0, abs=0.005)

    @pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.key)
    def test_captions_can_be_read_on_every_class_s_colour(self, kind: CellClass) -> None:
        assert contrast(ink_on(kind.rgb), kind.rgb) >= 4.5
