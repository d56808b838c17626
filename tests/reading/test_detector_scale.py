"""At any size and magnification the detector finds the scale at which cells are seen, and tells it where it knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from leukolens.reading import detector as module
from leukolens.reading.detector import RED_CELL_MICROMETRES, Detector
from leukolens.reading.engine import FindingEngine

Disc = tuple[str, float, float, float]
"""Kind, x, y and diameter, pixels."""
Draw = Callable[[int, int, list[Disc]], NDArray[np.uint8]]
Smear = Callable[..., list[Disc]]
Check = Callable[..., None]
Engine = Callable[..., Any]
Maker = Callable[..., Detector]


@pytest.mark.parametrize(
    ("width", "height", "red"),
    [
        (200, 200, 16), (256, 200, 30), (320, 240, 44), (640, 480, 12), (640, 480, 24), (640, 480, 45),
        (640, 640, 80), (1300, 1000, 200), (2000, 1500, 30), (2592, 1944, 120), (3000, 200, 40),
        (200, 3000, 40), (8000, 5000, 200), (8000, 400, 60),
    ],
)  # fmt: skip
def test_every_cell_of_a_field_is_found_once_whatever_its_size_and_magnification(
    width: int, height: int, red: float, make_detector: Maker, draw: Draw, smear: Smear, assert_found: Check
) -> None:
    discs = smear(width, height, red, np.random.default_rng(round(width + red)))
    found = make_detector().find(draw(width, height, discs))
    assert found.scale == pytest.approx(min(44 / red, 3), rel=0.36)
    assert_found(found, discs, within=max(1.2, 1.5 / found.scale))
    assert found.pixels_per_micrometre == pytest.approx(red / RED_CELL_MICROMETRES, rel=0.1)


@pytest.mark.parametrize("red", [12, 30, 60, 100, 200])
def test_the_magnification_is_right_within_a_tenth_though_the_edge_cuts_half_of_the_cells(
    red: int, make_detector: Maker, draw: Draw, smear: Smear
) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        width, height = (640, 480) if red <= 60 else (8 * red, 6 * red)
        wide = smear(width + 4 * red, height + 4 * red, red, rng, platelet=0.0, white_cell=0.1)
        shift = rng.uniform(1, 3, 2) * red
        discs = [(kind, x - shift[0], y - shift[1], side) for kind, x, y, side in wide]
        found = make_detector().find(draw(width, height, discs))
        assert found.pixels_per_micrometre == pytest.approx(red / RED_CELL_MICROMETRES, rel=0.1)


@pytest.mark.parametrize("size", [(640, 480), (300, 300), (256, 200)])
def test_without_red_cells_white_cells_are_found_and_no_magnification_is_told(
    size: tuple[int, int], make_detector: Maker, draw: Draw, assert_found: Check
) -> None:
    discs = [("white_cell", 100.0, 90.0, 70.0), ("white_cell", 190.0, 120.0, 76.0)]
    found = make_detector().find(draw(*size, discs))
    assert_found(found, discs, within=2.5)
    assert found.pixels_per_micrometre is None


@pytest.mark.parametrize("reds", [0, 4])
@pytest.mark.parametrize(
    ("width", "height", "diameter"),
    [
        (3000, 2250, 150),
        (3000, 2250, 220),
        (4000, 3000, 300),
        (1280, 960, 75),
        (2592, 1944, 110),
        (1400, 60, 56),
    ],
)
def test_in_a_large_field_without_red_cells_white_cells_tell_the_scale(
    width: int, height: int, diameter: float, reds: int, make_detector: Maker, draw: Draw, assert_found: Check
) -> None:
    """At 256 pixels a field, cells of 16 pixels or less, which the engine does not see."""
    red = diameter / 1.6
    discs: list[Disc] = [
        ("white_cell", 0.3 * width, height / 2, diameter), ("white_cell", 0.7 * width, height / 2, 0.8 * diameter),
        *(("red_cell", 0.3 * width + (number + 2) * 1.2 * red, height / 2, red) for number in range(reds)),
    ]  # fmt: skip
    found = make_detector().find(draw(width, height, discs))
    assert_found(found, discs, within=2 / found.scale)
    assert found.pixels_per_micrometre is None
    assert 1.2 <= diameter * found.scale / 44 <= 2.6


@pytest.mark.parametrize("speck", [40, 46])
def test_what_passes_for_a_white_cell_too_close_by_is_none(
    speck: float, make_detector: Maker, draw: Draw, assert_found: Check
) -> None:
    """The engine takes specks for white cells where it sees them: those of 40 at full size, of 46 at half size too."""
    cells: list[Disc] = [("white_cell", 500.0, 400.0, 110.0), ("white_cell", 1400.0, 900.0, 112.0)]
    specks: list[Disc] = [("white_cell", 200.0 + 120 * number, 1200.0, speck) for number in range(12)]
    found = make_detector().find(draw(2000, 1500, cells + specks), least=0.1)
    assert found.scale == pytest.approx(0.5)
    assert_found(found, cells, within=4)


def test_without_red_cells_a_round_aperture_holds_no_white_cell(
    make_detector: Maker, draw: Draw, assert_found: Check
) -> None:
    """The engine would take black for a white cell."""
    side = 2400
    discs: list[Disc] = [("white_cell", 1000.0, 1100.0, 160.0), ("white_cell", 1500.0, 1400.0, 130.0)]
    rows, columns = np.mgrid[:side, :side] + 0.5
    image = draw(side, side, discs)
    image[np.hypot(rows - side / 2, columns - side / 2) > side / 2] = 3
    assert_found(make_detector().find(image), discs, within=4)


def test_a_large_empty_field_costs_no_more_than_4000_pixels_square_at_half_size(
    make_detector: Maker, monkeypatch: pytest.MonkeyPatch, disc_engine: Engine
) -> None:
    pixels = 0
    see = disc_engine()

    def counting(self: Any, field: NDArray[np.float32]) -> Any:
        nonlocal pixels
        pixels += field.shape[1] * field.shape[2]
        return see(self, field)

    detector = make_detector()
    monkeypatch.setattr(FindingEngine, "peaks", counting)
    for width, height in ((6000, 4000), (8000, 300), (640, 480)):
        pixels = 0
        assert len(detector.find(np.full((height, width, 3), 235, np.uint8)).finds) == 0
        closer = 6 * (2 * module.FIRST_LOOK) ** 2  # at the middle, where red cells are looked for
        overlap = (module.TILE / (module.TILE - module.OVERLAP)) ** 2
        assert pixels < 2000 * 2000 * overlap + closer
        assert len(module._whole_scales(np.empty((height, width, 3), np.uint8))) <= 6


@pytest.mark.parametrize("size", [(1, 1), (200, 256), (480, 640), (3000, 4000), (8000, 8000), (8, 3000)])
def test_whole_looks_double_up_to_the_closest_and_enlarge_nothing(size: tuple[int, int]) -> None:
    image = np.empty((*size, 3), np.uint8)
    scales = [module._first_scale(image), *module._whole_scales(image)]
    steps = np.array(scales[1:]) / scales[:-1]
    # A white cell has its size, 1.2 to 2.6 red cells, in one of two looks at most 2.6 / 1.2 apart.
    assert (steps > 1.05).all()
    assert (steps <= 2.6 / 1.2).all()
    assert scales[-1] <= 1
    assert scales[-1] == 1 or scales[-1] ** 2 * size[0] * size[1] == pytest.approx(module.MOST_LOOKED_AT)


@pytest.mark.parametrize("few", [3, 4, 5])
def test_a_few_red_cells_are_not_believed(few: int, make_detector: Maker, draw: Draw) -> None:
    discs: list[Disc] = [("red_cell", 60.0 + 80 * number, 100.0, 44.0) for number in range(few)]
    found = make_detector().find(draw(640, 480, discs))
    assert len(found.finds) == few
    assert (found.pixels_per_micrometre is None) == (few < 5)
