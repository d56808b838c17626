from __future__ import annotations

import numpy as np
import pytest

from leukolens.datasets.synthetic_ground import RED_CELL_RADIUS
from leukolens.datasets.synthetic_layout import lay_before, lay_over, room_for, scatter
from leukolens.imaging.framing import Box


class TestRoomFor:
    def test_cells_neither_touch_one_another_nor_the_edge(self) -> None:
        radii = [40.0, 30.0, 20.0, 50.0]
        places = room_for(np.random.default_rng(0), 600, 400, radii)
        assert places[:, 2].tolist() == radii
        assert (places[:, :2] - places[:, 2:] > 0).all()
        assert (places[:, :2] + places[:, 2:] < (600, 400)).all()
        for index, (x, y, radius) in enumerate(places):
            others = np.delete(places, index, axis=0)
            assert (np.hypot(others[:, 0] - x, others[:, 1] - y) > others[:, 2] + radius).all()


class TestScatter:
    def test_red_cells_stay_off_white_cells_and_some_overlap_each_other(self) -> None:
        taken = np.array([[30.0, 25.0, 8.0]])
        places = scatter(np.random.default_rng(1), 80, 60, taken, 0.5)
        assert (np.hypot(*(places - taken[0, :2]).T) > 8.0 + 0.8 * RED_CELL_RADIUS).all()
        gaps = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)) + 99 * np.eye(len(places))
        assert (gaps.min(axis=1) < 1.9 * RED_CELL_RADIUS).any()
        assert gaps.min() > 0.9 * RED_CELL_RADIUS

    @pytest.mark.parametrize("crowding", [0.0, 0.2, 0.4])
    def test_crowding_is_the_share_of_the_area(self, crowding: float) -> None:
        places = scatter(np.random.default_rng(2), 120, 90, np.empty((0, 3)), crowding)
        field = (120 + 2 * RED_CELL_RADIUS) * (90 + 2 * RED_CELL_RADIUS)
        assert len(places) * np.pi * RED_CELL_RADIUS**2 / field == pytest.approx(crowding, abs=0.01)


class TestLaying:
    def test_an_overlap_is_darker_than_one_cell_and_lighter_than_two(self) -> None:
        field = np.zeros((20, 20, 3), np.float32)
        stamp = np.full((8, 8, 3), 0.3, np.float32)
        for centre in ((8, 10), (12, 10)):
            lay_over(field, stamp, np.array(centre, float))
        assert field[10, 5, 0] == pytest.approx(0.3)
        assert 0.3 < field[10, 10, 0] < 0.6

    def test_what_lies_outside_is_cut_off(self) -> None:
        field = np.zeros((10, 10, 3), np.float32)
        lay_over(field, np.ones((6, 6, 3), np.float32), np.array([0.0, 0.0]))
        lay_over(field, np.ones((6, 6, 3), np.float32), np.array([40.0, 40.0]))
        assert field.sum() == 3 * 3 * 3

    def test_a_cell_hides_what_is_below_and_answers_its_box(self) -> None:
        field = np.full((20, 30, 3), 0.5, np.float32)
        cover = np.zeros((10, 10), np.float32)
        cover[2:7, 3:9] = 1
        box = lay_before(field, cover[..., None] * np.float32([0.1, 0.2, 0.3]), cover, np.array([15.0, 10.0]))
        assert box == Box(13, 7, 19, 12)
        assert field[8, 15] == pytest.approx([0.1, 0.2, 0.3])
        assert field[0, 0] == pytest.approx([0.5, 0.5, 0.5])
