from __future__ import annotations

import numpy as np
import pytest

from leukolens.datasets.synthetic_ground import RED_CELL_RADIUS, draw_platelet, draw_red_cell
from leukolens.datasets.synthetic_paint import mix_stain

SCALE = 10.0


def radial_profile(density: np.ndarray) -> np.ndarray:
    """Mean density by distance from the middle, in steps of half a micrometre."""
    side = density.shape[0]
    yy, xx = np.mgrid[:side, :side] - (side - 1) / 2
    rings = (np.hypot(yy, xx) / SCALE / 0.5).astype(int).ravel()
    return np.bincount(rings, density.sum(axis=2).ravel()) / np.bincount(rings)


class TestRedCell:
    def test_it_is_pale_in_the_middle(self) -> None:
        rng = np.random.default_rng(0)
        stain = mix_stain(rng)
        profiles = [radial_profile(draw_red_cell(rng, stain, SCALE))[:9] for _ in range(40)]
        middle, rim = np.mean(profiles, axis=0)[0], np.mean(profiles, axis=0)[4:6].mean()
        assert middle < 0.7 * rim

    def test_it_is_about_seven_and_a_half_micrometres_wide(self) -> None:
        rng = np.random.default_rng(1)
        stain = mix_stain(rng)
        areas = [(draw_red_cell(rng, stain, SCALE).sum(axis=2) > 0.05).sum() / SCALE**2 for _ in range(40)]
        assert 2 * np.sqrt(np.mean(areas) / np.pi) == pytest.approx(2 * RED_CELL_RADIUS, rel=0.06)

    def test_it_absorbs_no_red_to_speak_of(self) -> None:
        rng = np.random.default_rng(2)
        red, green, blue = draw_red_cell(rng, mix_stain(rng), SCALE).sum(axis=(0, 1))
        assert red < 0.75 * min(green, blue)


class TestPlatelet:
    def test_it_is_far_smaller_than_a_red_cell_and_purple(self) -> None:
        rng = np.random.default_rng(3)
        stain = mix_stain(rng)
        for _ in range(20):
            density = draw_platelet(rng, stain, SCALE)
            area = (density.sum(axis=2) > 0.1).sum() / SCALE**2
            assert 1 < area < 0.3 * np.pi * RED_CELL_RADIUS**2
            assert density.sum(axis=(0, 1)).argmax() == 1
