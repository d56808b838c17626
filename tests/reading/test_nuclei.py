"""White cells hold a nucleus, whatever the stain and the lamp; red cells, however dark, do not."""

import cv2
import numpy as np
import pytest

from leukolens.imaging.color import nuclear_density
from leukolens.reading.nuclei import OVER_RED_CELLS, with_nucleus
from leukolens.reading.peaks import Finds

GROUND, RED, DARK_RED, PLASMA, NUCLEUS = (
    (235, 230, 225), (215, 160, 165), (195, 130, 137), (200, 190, 215), (95, 60, 140),
)  # fmt: skip
WHITE = np.array(GROUND, np.float32)
PLACES = [(40 + 60 * column, 40) for column in range(8)]


def smear(ground=GROUND, red=RED):
    """A row of eight red cells, and below it a white cell, a dark red cell and nothing."""
    rgb = np.full((200, 520, 3), ground, np.uint8)
    for x, y in PLACES:
        cv2.circle(rgb, (x, y), 22, red, -1)
    cv2.circle(rgb, (60, 140), 32, PLASMA, -1)
    cv2.circle(rgb, (55, 140), 15, NUCLEUS, -1)
    cv2.circle(rgb, (200, 140), 24, DARK_RED, -1)
    return rgb


def finds(places, radius, kind=0):
    boxes = np.array([[x - radius, y - radius, x + radius, y + radius] for x, y in places], float)
    return Finds(boxes.reshape(-1, 4), np.linspace(0.9, 0.5, len(places)), np.full(len(places), kind))


RED_CELLS = finds(PLACES, 22, 1)
ASKED = finds([(60, 140), (200, 140), (360, 140)], 34)


def test_a_white_cell_has_a_nucleus_and_a_dark_red_cell_and_empty_ground_have_none():
    assert with_nucleus(smear(), ASKED, RED_CELLS, WHITE, 0.8).tolist() == [True, False, False]


@pytest.mark.parametrize("lamp", [(1.0, 1.0, 1.0), (0.7, 0.7, 0.7), (1.0, 0.85, 0.6)])
def test_the_lamp_does_not_matter(lamp):
    rgb = np.rint(smear() * np.array(lamp)).astype(np.uint8)
    assert with_nucleus(rgb, ASKED, RED_CELLS, WHITE * lamp, 0.8).tolist() == [True, False, False]


def test_what_is_asked_of_a_nucleus_rises_with_the_field_s_red_cells():
    rgb = smear(red=NUCLEUS)
    assert not with_nucleus(rgb, ASKED, RED_CELLS, WHITE, 0.8).any()
    own = float(np.median(nuclear_density(rgb[30:50, 30:50], WHITE)))
    assert own > 0.15 / OVER_RED_CELLS  # so that it is the red cells that ask for more


def test_without_red_cells_the_faintest_nucleus_is_what_is_asked():
    none = RED_CELLS.only(np.arange(0))
    assert with_nucleus(smear(), ASKED, none, WHITE, 0.8).tolist() == [True, False, False]
    assert with_nucleus(smear(red=NUCLEUS), ASKED, none, WHITE, 0.8).tolist() == [True, False, False]


def test_four_red_cells_are_too_few_to_ask():
    rgb = smear(red=NUCLEUS)
    assert with_nucleus(rgb, ASKED, RED_CELLS.only(np.arange(4)), WHITE, 0.8)[0]
    assert not with_nucleus(rgb, ASKED, RED_CELLS.only(np.arange(5)), WHITE, 0.8)[0]


def test_a_cell_that_the_edge_cuts_is_judged_by_what_shows():
    rgb = smear()[:, 50:]
    cut = finds([(10, 140)], 34)
    assert with_nucleus(rgb, cut, RED_CELLS.only(np.arange(0)), WHITE, 0.8).tolist() == [True]


@pytest.mark.parametrize("place", [(-300, 140), (900, 140), (60, -90), (60, 900)])
def test_a_box_beyond_the_field_is_no_failure(place):
    assert with_nucleus(smear(), finds([place], 34), RED_CELLS, WHITE, 0.8).shape == (1,)


def test_no_cells_give_no_answers():
    assert with_nucleus(smear(), finds([], 34), RED_CELLS, WHITE, 0.8).shape == (0,)


def test_beside_a_sure_white_cell_a_blue_grey_red_cell_is_none() -> None:
    rgb = smear()
    cv2.circle(rgb, (60, 140), 24, NUCLEUS, -1)
    cv2.circle(rgb, (200, 140), 24, (165, 145, 175), -1)
    none = RED_CELLS.only(np.arange(0))
    assert with_nucleus(rgb, ASKED, none, WHITE, 0.95).tolist() == [True, True, False]
    assert with_nucleus(rgb, ASKED, none, WHITE, 0.8).tolist() == [True, False, False]
