"""What counts as border, what as white, and the balance to it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from leukolens.imaging import color
from leukolens.imaging.color import balance, black_border, nuclear_density, white_balance, white_point


def blank(height: int, width: int, colour: tuple[int, int, int] = (235, 235, 235)) -> NDArray[np.uint8]:
    return np.full((height, width, 3), colour, np.uint8)


def border_by_scipy(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    black = (rgb < 24).all(axis=2)
    labels, _ = ndimage.label(black)
    at_rim = set(labels[0]) | set(labels[-1]) | set(labels[:, 0]) | set(labels[:, -1])
    touching = np.isin(labels, sorted(at_rim - {0}))
    return np.asarray(ndimage.binary_dilation(touching, np.ones((5, 5))))


@pytest.mark.parametrize("seed", range(8))
def test_border_is_the_black_connected_to_the_edge_with_its_soft_rim(seed: int) -> None:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(40, 60)), 2)
    rgb = np.where((smooth > np.quantile(smooth, 0.6))[..., None], 10, 200).astype(np.uint8).repeat(3, axis=2)
    expected = border_by_scipy(rgb)
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(black_border(rgb), expected)


def test_black_inside_the_image_is_no_border() -> None:
    rgb = blank(40, 40)
    rgb[15:25, 15:25] = 0
    assert not black_border(rgb).any()


def test_a_dark_colour_is_not_black() -> None:
    assert not black_border(blank(20, 20, (0, 0, 24))).any()
    assert black_border(blank(20, 20, (0, 0, 23))).all()


def test_white_is_the_92nd_percentile_of_each_channel() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (31, 47, 3)).astype(np.uint8)
    expected = [np.percentile(rgb[..., channel], 92, method="nearest") for channel in range(3)]
    assert white_point(rgb).tolist() == expected


def test_white_of_a_large_image_is_counted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (31, 47, 3)).astype(np.uint8)
    border = np.random.default_rng(1).integers(0, 2, (31, 47)).astype(np.bool_)
    expected = [np.percentile(rgb[~border][:, channel], 92, method="nearest") for channel in range(3)]
    for most in (1, 47, 200, 2**24):
        monkeypatch.setattr(color, "MOST_COUNTED", most)
        assert white_point(rgb, border).tolist() == expected


def test_white_is_looked_for_outside_the_border_alone() -> None:
    rgb = blank(20, 20, (200, 190, 180))
    border = np.zeros((20, 20), np.bool_)
    border[:, :19] = True
    rgb[border] = 255
    assert white_point(rgb, border).tolist() == [200, 190, 180]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 3)])
def test_white_of_an_all_black_image_can_still_be_divided_by(shape: tuple[int, int]) -> None:
    rgb = blank(*shape, (0, 0, 0))
    assert white_point(rgb, np.ones(shape, np.bool_)).tolist() == [1, 1, 1]


def test_balance_takes_white_to_235_and_everything_else_in_proportion() -> None:
    white = np.array([200, 235, 120], np.float32)
    rgb = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    expected = np.clip(rgb * (235 / white.astype(np.float64)), 0, 255)
    assert np.abs(balance(rgb, white) - expected).max() <= 0.5 + 1e-4
    assert balance(blank(1, 1, (200, 235, 120)), white).tolist() == [[[235, 235, 235]]]


def test_a_balanced_image_is_the_same_under_every_lamp() -> None:
    rng = np.random.default_rng(0)
    slide = np.clip(rng.normal(150, 30, (60, 60, 1)).repeat(3, axis=2), 40, 210)
    slide[:30] = 220
    lamps = [(1.0, 1.0, 1.0), (0.9, 0.9, 0.9), (1.0, 0.95, 0.7)]
    seen = [white_balance(np.rint(slide * lamp).astype(np.uint8)).astype(int) for lamp in lamps]
    assert all(np.abs(other - seen[0]).max() <= 2 for other in seen[1:])
    assert abs(int(seen[0][0, 0, 0]) - 235) <= 1


def test_a_black_border_does_not_move_the_balance() -> None:
    rng = np.random.default_rng(0)
    slide = rng.integers(80, 220, (60, 60, 3)).astype(np.uint8)
    bordered = np.pad(slide, ((40, 40), (40, 40), (0, 0)))
    inside = white_balance(bordered)[40:100, 40:100].astype(int)
    assert np.abs(inside - white_balance(slide)).max() <= 3


@pytest.mark.parametrize(
    ("pixel", "density"),
    [
        ((200, 200, 200), 0.0),
        ((20, 20, 200), 2.0),
        ((200, 20, 20), 0.0),
        ((100, 50, 100), math.log10(4)),
        ((255, 255, 255), 0.0),
        ((0, 0, 200), 2 * math.log10(200)),
        ((200, 200, 20), -1.0),
    ],
    ids=["ground", "nucleus", "red cell", "grey", "brighter than white", "black", "yellow"],
)
def test_nuclear_density_is_red_plus_green_minus_blue_in_optical_density(
    pixel: tuple[int, int, int], density: float
) -> None:
    found = nuclear_density(blank(2, 3, pixel), np.full(3, 200, np.float32))
    assert found.shape == (2, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, density, atol=1e-5)


def test_nuclear_density_follows_the_formula_on_any_pixel() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (20, 20, 3)).astype(np.uint8)
    white = np.array([210, 200, 190], np.float32)
    absorbed = -np.log10(np.clip(np.maximum(rgb, 1) / white.astype(np.float64), 1 / 255, 1))
    expected = absorbed[..., 0] + absorbed[..., 1] - absorbed[..., 2]
    np.testing.assert_allclose(nuclear_density(rgb, white), expected, atol=1e-5)
