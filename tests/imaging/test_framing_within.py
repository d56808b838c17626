"""A cell that was found in a field is framed as it would be alone, whatever stands beside it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from leukolens.card import Framing
from leukolens.datasets.synthetic import DRAWN_CLASSES, DrawnField, draw_single
from leukolens.imaging.framing import Box, frame, frame_within
from leukolens.imaging.nucleus import Slide, slide_of

Image = NDArray[np.uint8]
GROUND, CYTOPLASM, NUCLEUS, DENSER = (230, 228, 232), (200, 190, 225), (110, 60, 150), (60, 20, 110)
FRAMING = Framing(size=112, context=2.0)


def field(width: int = 640, height: int = 480) -> Image:
    return np.full((height, width, 3), GROUND, np.uint8)


def put(image: Image, x: float, y: float, radius: float, colour: tuple[int, int, int]) -> None:
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    image[np.hypot(rows - y, columns - x) < radius] = colour


def cell(image: Image, x: float, y: float, nucleus: tuple[int, int, int] = NUCLEUS) -> Box:
    """A cell of 80 pixels with a nucleus of 50, a little off its middle."""
    put(image, x, y, 40, CYTOPLASM)
    put(image, x + 6, y - 4, 25, nucleus)
    return Box(round(x - 40), round(y - 40), round(x + 40), round(y + 40))


def middle(box: Box) -> tuple[float, float]:
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2


@pytest.fixture(scope="module")
def drawn() -> list[DrawnField]:
    rng = np.random.default_rng(31)
    return [draw_single(rng, label) for label in DRAWN_CLASSES for _ in range(2)]


def test_a_cell_alone_is_framed_as_identify_frames_it(drawn: list[DrawnField]) -> None:
    near = 0
    for single in drawn:
        alone = frame(single.rgb, FRAMING)
        assert alone is not None
        _, square = frame_within(single.rgb, single.cells[0].box, FRAMING, slide_of(single.rgb))
        apart = np.hypot(*np.subtract(middle(square), middle(alone[1])))
        near += apart < 0.1 * alone[1].width and 0.8 < square.width / alone[1].width < 1.25
    assert near >= 0.85 * len(drawn)


def test_the_square_goes_around_the_nucleus_not_around_the_box() -> None:
    image = field()
    box = cell(image, 300, 200)
    crop, square = frame_within(image, box, FRAMING, slide_of(image))
    assert crop.shape == (112, 112, 3)
    assert crop.dtype == np.uint8
    np.testing.assert_allclose(middle(square), (306, 196), atol=1.5)
    assert square.width == square.height == pytest.approx(100, abs=6)


def test_a_box_that_is_off_by_a_tenth_gives_the_same_square() -> None:
    image = field()
    box = cell(image, 300, 200)
    squares = [
        frame_within(image, Box(box.x0 + dx, box.y0 + dy, box.x1 + dx, box.y1 + dy), FRAMING, slide_of(image))[1]
        for dx, dy in ((0, 0), (8, 0), (-8, 8), (0, -8))
    ]  # fmt: skip
    for square in squares[1:]:
        np.testing.assert_allclose(middle(square), middle(squares[0]), atol=2)
        assert abs(square.width - squares[0].width) <= 4


def test_a_neighbours_denser_nucleus_is_never_taken() -> None:
    image = field()
    box = cell(image, 300, 200)
    cell(image, 384, 200, nucleus=DENSER)
    _, square = frame_within(image, box, FRAMING, slide_of(image))
    np.testing.assert_allclose(middle(square), (306, 196), atol=3)
    assert square.width == pytest.approx(100, abs=12)
    # Without the box it is the neighbour that stands out.
    alone = frame(image, FRAMING)
    assert alone is not None
    assert middle(alone[1])[0] > 360


def test_where_no_nucleus_stands_out_the_square_goes_around_the_boxs_middle() -> None:
    image = field()
    crop, square = frame_within(image, Box(100, 100, 170, 156), FRAMING, slide_of(image))
    assert middle(square) == (135, 128)
    assert square.width == 100  # twice the nucleus of a cell 1.4 times as wide
    assert np.ptp(crop.reshape(-1, 3), axis=0).max() <= 1


def test_a_cell_over_the_edge_is_framed_with_empty_ground_beyond() -> None:
    image = field()
    cell(image, 10, 240)
    crop, square = frame_within(image, Box(-30, 200, 50, 280), FRAMING, slide_of(image))
    assert square.x0 < -20
    beyond = crop[:, : int(-square.x0 / square.width * 112) - 1]
    assert beyond.shape[1] > 20
    assert np.abs(beyond.astype(int) - 235).max() <= 2


@pytest.mark.parametrize("size", [(640, 480), (2000, 1500), (90, 70)])
@pytest.mark.parametrize("place", [(0.0, 0.0), (1.0, 1.0), (0.5, 0.0)])
def test_boxes_at_every_edge_of_fields_of_any_size_are_framed(
    size: tuple[int, int], place: tuple[float, float]
) -> None:
    image = field(*size)
    x, y = place[0] * (size[0] - 1), place[1] * (size[1] - 1)
    put(image, x, y, 20, NUCLEUS)
    for half in (1, 20, 60):
        box = Box(round(x) - half, round(y) - half, round(x) + half, round(y) + half)
        crop, square = frame_within(image, box, FRAMING, slide_of(image))
        assert crop.shape == (112, 112, 3)
        assert square.width == square.height >= 2


def test_a_black_corner_is_neither_a_nucleus_nor_in_the_crop() -> None:
    image = field()
    image[:200, :260] = 0
    box = cell(image, 300, 210)
    crop, square = frame_within(image, box, FRAMING, slide_of(image))
    np.testing.assert_allclose(middle(square), (306, 206), atol=3)
    assert square.x0 < 262
    assert square.y0 < 202
    assert crop.min() > 30


@pytest.mark.parametrize("size", [(640, 480), (501, 333), (1201, 97)])
def test_the_border_of_a_part_is_that_of_the_whole(size: tuple[int, int]) -> None:
    image = field(*size)
    width, height = size
    rows, columns = np.mgrid[:height, :width]
    image[np.hypot((rows - height / 2) / height, (columns - width / 2) / width) > 0.6] = 0
    slide = slide_of(image)
    assert slide.border.any()
    whole = slide.border_of((0, 0, width, height), size)
    x0, y0, x1, y1 = width // 5, height // 7, width // 2, height // 2
    part = slide.border_of((x0, y0, x1, y1), (x1 - x0, y1 - y0))
    assert whole is not None
    assert part is not None
    np.testing.assert_array_equal(part, whole[y0:y1, x0:x1])
    assert whole[height // 2, width // 2] == 0
    assert whole[0, 0] == whole[-1, -1] == 1


def test_a_field_without_a_border_has_none_in_any_part() -> None:
    slide: Slide = slide_of(field())
    assert slide.border_of((10, 10, 60, 60), (50, 50)) is None


def test_a_bundle_that_sees_whole_images_sees_the_whole_field() -> None:
    image = field()
    box = cell(image, 300, 200)
    _, square = frame_within(image, box, Framing(size=64, whole_image=True), slide_of(image))
    assert square == Box(0, 0, 640, 480)


def test_a_crop_from_a_large_field_costs_no_copy_of_the_field() -> None:
    """A mask of the border as large as the field, for every cell, took 64 MB and a tenth of a second."""
    image = field(4000, 3000)
    image[:300, :300] = 0
    image[1475:1525, 1975:2025] = NUCLEUS
    slide = slide_of(image)
    tracemalloc.start()
    frame_within(image, Box(1950, 1450, 2050, 1550), FRAMING, slide)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2e6
