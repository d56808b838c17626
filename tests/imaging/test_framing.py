"""The nucleus is found wherever there is one, nowhere else, and its cell is framed the same way each time."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from leukolens.card import Framing
from leukolens.datasets import synthetic
from leukolens.datasets.synthetic import DRAWN_CLASSES, DrawnField, draw_field, draw_single
from leukolens.imaging.framing import Box, frame, square
from leukolens.imaging.nucleus import Nucleus, find_nucleus

Image = NDArray[np.uint8]
GROUND, STAINED = (222, 216, 220), (96, 48, 140)


@pytest.fixture(scope="module")
def drawn() -> list[DrawnField]:
    rng = np.random.default_rng(24)
    return [draw_single(rng, label) for label in DRAWN_CLASSES for _ in range(2)]


def disc(width: int, height: int, x: float, y: float, radius: float) -> Image:
    """One round nucleus on empty ground; pixel centres lie at halves."""
    columns, rows = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    inside = (columns - x) ** 2 + (rows - y) ** 2 < radius**2
    return np.where(inside[..., None], STAINED, GROUND).astype(np.uint8)


def found(rgb: Image) -> Nucleus:
    nucleus = find_nucleus(rgb)
    assert nucleus is not None
    return nucleus


def distance(a: Nucleus, b: Nucleus) -> float:
    return float(np.hypot(a.x - b.x, a.y - b.y))


def test_the_nucleus_of_every_drawn_cell_is_found_inside_it(drawn: list[DrawnField]) -> None:
    for field in drawn:
        box, nucleus = field.cells[0].box, found(field.rgb)
        assert box.x0 < nucleus.x < box.x1
        assert box.y0 < nucleus.y < box.y1
        assert nucleus.extent < 1.3 * max(box.width, box.height)


def test_a_round_nucleus_has_its_own_centre_and_diameter() -> None:
    nucleus = found(disc(140, 120, 60.5, 70.5, 20))
    assert nucleus.x == pytest.approx(60.5, abs=0.5)
    assert nucleus.y == pytest.approx(70.5, abs=0.5)
    assert nucleus.extent == pytest.approx(40, abs=2)
    white, dark = np.array(GROUND), np.array(STAINED)
    absorbed = np.log10(white / dark)
    assert nucleus.density == pytest.approx(min(absorbed[0] + absorbed[1] - absorbed[2], 0.8), abs=0.1)


def test_a_lobe_that_stands_close_belongs_to_the_nucleus() -> None:
    rgb = np.minimum(disc(160, 120, 60, 60, 14), disc(160, 120, 82, 60, 6))
    # The centre of mass of two discs.
    assert found(rgb).x == pytest.approx(60 + 22 * 6**2 / (14**2 + 6**2), abs=0.7)
    apart = np.minimum(disc(160, 120, 60, 60, 14), disc(160, 120, 110, 60, 6))
    assert found(apart).x == pytest.approx(60, abs=0.7)


def tinted(rgb: Image, share: float) -> Image:
    """The same picture with this much of every absorbance."""
    return np.rint(np.array(GROUND) * (rgb / np.array(GROUND)) ** share).astype(np.uint8)


def test_dark_red_cells_that_touch_do_not_join_the_nucleus() -> None:
    red_cells = np.minimum(disc(160, 120, 34, 60, 22), disc(160, 120, 110, 66, 22))
    rgb = np.minimum(disc(160, 120, 72, 60, 17), tinted(red_cells, 0.6))
    assert found(rgb).x == pytest.approx(72, abs=1.5)
    assert found(rgb).extent == pytest.approx(34, rel=0.1)


def test_dense_clumps_do_not_stand_for_the_nucleus_that_holds_them() -> None:
    pale = tinted(disc(160, 120, 80, 60, 22), 0.62)
    rgb = np.minimum(pale, disc(160, 120, 70, 56, 8))
    assert found(rgb).extent == pytest.approx(44, rel=0.1)


def test_of_two_cells_far_apart_the_heavier_is_taken() -> None:
    rgb = np.minimum(disc(160, 120, 30, 30, 9), disc(160, 120, 120, 80, 16))
    assert found(rgb).x == pytest.approx(120, abs=1)
    assert found(rgb).y == pytest.approx(80, abs=1)


def test_a_black_border_of_any_width_moves_hardly_any(drawn: list[DrawnField]) -> None:
    """A border makes the small copy coarser: a nucleus whose parts lie about the threshold may lose one of them."""
    rng = np.random.default_rng(0)
    held = []
    for field in drawn:
        before = found(field.rgb)
        for left, right, top, bottom in rng.integers(0, 91, (10, 4)):
            after = found(np.pad(field.rgb, ((top, bottom), (left, right), (0, 0))))
            moved = np.hypot(after.x - left - before.x, after.y - top - before.y)
            held.append(moved < 5 and after.extent == pytest.approx(before.extent, rel=0.15))
    assert np.mean(held) >= 0.95
    # Whatever happens, what is found is no border.
    assert found(np.pad(drawn[0].rgb, ((90, 90), (90, 90), (0, 0)))).density > 0.2


@settings(max_examples=25, deadline=None)
@given(legs=st.lists(st.tuples(st.integers(0, 70), st.integers(0, 70)), min_size=4, max_size=4),
       which=st.integers(0, 9))  # fmt: skip
def test_black_triangles_in_the_corners_are_never_a_nucleus(
    legs: list[tuple[int, int]], which: int, drawn: list[DrawnField]
) -> None:
    rgb, box = drawn[which].rgb.copy(), drawn[which].cells[0].box
    before = found(rgb)
    height, width = rgb.shape[:2]
    for (across, down), (x, y) in zip(legs, [(0, 0), (1, 0), (0, 1), (1, 1)], strict=True):
        corner = np.array([x * (width - 1), y * (height - 1)])
        inward = np.array([1 - 2 * x, 1 - 2 * y])
        triangle = np.array([corner, corner + inward * (across, 0), corner + inward * (0, down)])
        covered = cv2.fillPoly(np.zeros((height, width), np.uint8), [triangle.astype(np.int32)], 1)
        if not covered[box.y0 : box.y1, box.x0 : box.x1].any():
            rgb[covered > 0] = 0
    assert distance(found(rgb), before) < 5


def red_cells_alone(seed: int) -> Image:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "PLATELETS_PER_SQUARE_MICROMETRE", 0)
        return draw_field(np.random.default_rng(seed), 320, 240, ()).rgb


EMPTY: dict[str, Callable[[], Image]] = {
    "empty ground": lambda: np.full((240, 320, 3), GROUND, np.uint8),
    "white": lambda: np.full((240, 320, 3), 255, np.uint8),
    "all black": lambda: np.zeros((240, 320, 3), np.uint8),
    "red cells": lambda: red_cells_alone(0),
    "other red cells": lambda: red_cells_alone(1),
    "camera noise": lambda: np.random.default_rng(0).normal(GROUND, 8, (240, 320, 3)).clip(0, 255).astype(np.uint8),
    "grey noise": lambda: np.random.default_rng(0).integers(60, 256, (240, 320, 1)).astype(np.uint8).repeat(3, 2),
    "border around ground": lambda: np.pad(np.full((80, 90, 3), GROUND, np.uint8), ((60, 9), (30, 70), (0, 0))),
    "one pixel": lambda: np.full((1, 1, 3), 120, np.uint8),
    "one black pixel": lambda: np.zeros((1, 1, 3), np.uint8),
    "one row": lambda: np.full((1, 400, 3), GROUND, np.uint8),
    "one column": lambda: np.full((400, 1, 3), GROUND, np.uint8),
    "yellow": lambda: np.full((50, 50, 3), (230, 220, 40), np.uint8),
}  # fmt: skip


@pytest.mark.parametrize("kind", EMPTY)
def test_where_no_nucleus_is_none_is_found(kind: str) -> None:
    rgb = EMPTY[kind]()
    assert find_nucleus(rgb) is None
    assert frame(rgb, Framing(size=32)) is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (1, 3000), (3000, 1), (2, 2), (5, 5)])
@pytest.mark.parametrize("seed", range(3))
def test_any_image_is_answered_however_small(shape: tuple[int, int], seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (*shape, 3)).astype(np.uint8)
    framed = frame(rgb, Framing(size=32))
    assert framed is None or framed[0].shape == (32, 32, 3)


def test_twice_the_image_gives_twice_the_box(drawn: list[DrawnField]) -> None:
    for field in drawn:
        doubled = cv2.resize(field.rgb, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        one, two = found(field.rgb), found(np.asarray(doubled, np.uint8))
        assert two.x == pytest.approx(2 * one.x, abs=6)
        assert two.y == pytest.approx(2 * one.y, abs=6)
        assert two.extent == pytest.approx(2 * one.extent, rel=0.08)


@pytest.mark.parametrize("lamp", [(0.9, 0.9, 0.9), (0.75, 0.75, 0.75), (1.0, 0.96, 0.8)], ids=str)
def test_neither_a_dim_lamp_nor_a_yellow_one_moves_the_box(
    lamp: tuple[float, float, float], drawn: list[DrawnField]
) -> None:
    for field in drawn:
        before, after = found(field.rgb), found(np.rint(field.rgb * lamp).astype(np.uint8))
        assert distance(before, after) < 3
        assert after.extent == pytest.approx(before.extent, rel=0.08)


def test_a_dim_yellow_crop_looks_like_the_bright_white_one(drawn: list[DrawnField]) -> None:
    framing = Framing(size=64, context=2.1)
    for field in drawn[::3]:
        crops = [
            framed[0].astype(float)
            for lamp in [(1, 1, 1), (0.85, 0.82, 0.7)]
            if (framed := frame(np.rint(field.rgb * np.array(lamp)).astype(np.uint8), framing))
        ]
        assert len(crops) == 2
        assert np.abs(crops[0] - crops[1]).mean() < 5


@pytest.mark.parametrize("size", [32, 112])
def test_a_crop_is_square_and_so_is_the_box_it_came_from(size: int, drawn: list[DrawnField]) -> None:
    for field in drawn[:4]:
        framed = frame(field.rgb, Framing(size=size))
        assert framed is not None
        crop, box = framed
        assert crop.shape == (size, size, 3)
        assert crop.dtype == np.uint8
        assert box.width == box.height


@pytest.mark.parametrize(
    ("nucleus", "context", "box"),
    [
        (Nucleus(50.0, 40.0, 20.0, 0.5), 2.0, Box(30, 20, 70, 60)),
        (Nucleus(5.0, 5.0, 20.0, 0.5), 3.0, Box(-25, -25, 35, 35)),
        (Nucleus(10.0, 10.0, 0.1, 0.5), 1.5, Box(9, 9, 11, 11)),
    ],
)
def test_the_square_is_context_times_the_extent_around_the_centre(
    nucleus: Nucleus, context: float, box: Box
) -> None:
    assert square(nucleus, context) == box


def test_a_box_is_half_open_and_knows_its_part_inside_an_image() -> None:
    box = Box(-3, 4, 7, 20)
    assert (box.width, box.height) == (10, 16)
    assert box.within(6, 10) == Box(0, 4, 6, 10)
    assert Box(1, 2, 3, 4).within(6, 10) == Box(1, 2, 3, 4)


def test_what_lies_outside_the_image_is_drawn_as_empty_ground() -> None:
    framed = frame(disc(200, 200, 24, 24, 20), Framing(size=80, context=4.0))
    assert framed is not None
    crop, box = framed
    assert box.x0 < -40
    assert box.y0 < -40
    outside = crop[:20, :20].astype(int)
    assert np.abs(outside - 235).max() <= 1
    assert np.abs(crop[-8:, -8:].astype(int) - 235).max() <= 1


def test_without_white_balance_the_crop_keeps_its_colours() -> None:
    framed = frame(disc(200, 200, 100, 100, 20), Framing(size=80, context=4.0, white_balance=False))
    assert framed is not None
    assert framed[0][0, 0].tolist() == list(GROUND)
    assert framed[0][40, 40].tolist() == list(STAINED)


def test_a_border_inside_the_crop_is_drawn_as_empty_ground() -> None:
    rgb = disc(200, 200, 40, 100, 20)
    rgb[:, :12] = 0
    framed = frame(rgb, Framing(size=100, context=3.5))
    assert framed is not None
    crop, box = framed
    assert box.x0 < 5
    edge = round((12 - box.x0) / box.width * 100)
    assert crop[5:95, : edge + 1].min() > 225


def test_a_whole_image_is_squeezed_and_always_found() -> None:
    rgb = np.random.default_rng(0).integers(40, 256, (64, 128, 3)).astype(np.uint8)
    framed = frame(rgb, Framing(size=32, whole_image=True, white_balance=False))
    assert framed is not None
    crop, box = framed
    assert box == Box(0, 0, 128, 64)
    means = rgb.reshape(32, 2, 32, 4, 3).mean(axis=(1, 3))
    assert np.abs(crop - means).max() <= 0.51


@pytest.mark.parametrize("kind", ["all black", "one pixel", "one row"])
def test_a_whole_image_needs_no_nucleus(kind: str) -> None:
    framed = frame(EMPTY[kind](), Framing(size=32, whole_image=True))
    assert framed is not None
    assert framed[0].shape == (32, 32, 3)


def test_more_context_shows_more_around_the_same_centre() -> None:
    rgb = disc(200, 200, 100, 100, 15)
    near, far = (frame(rgb, Framing(size=64, context=context)) for context in (2.0, 4.0))
    assert near is not None
    assert far is not None
    assert far[1].width == pytest.approx(2 * near[1].width, abs=2)
    assert (near[1].x0 + near[1].x1) / 2 == pytest.approx((far[1].x0 + far[1].x1) / 2, abs=1)
