"""Each cell of a field is found once and where it is, whatever the shape, lamp, seams and edges; nothing else is."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from leukolens.bundle import Bundle
from leukolens.errors import BundleError
from leukolens.imaging.color import WHITE_LEVEL
from leukolens.imaging.nucleus import slide_of
from leukolens.reading import detector as module
from leukolens.reading.detector import Detector
from leukolens.reading.engine import FindingEngine

Disc = tuple[str, float, float, float]
"""Kind, x, y and diameter, pixels."""
Draw = Callable[[int, int, list[Disc]], NDArray[np.uint8]]
Smear = Callable[..., list[Disc]]
Check = Callable[..., None]
Engine = Callable[..., Any]
Maker = Callable[..., Detector]


@pytest.mark.parametrize("along", ["x", "y"])
def test_a_cell_on_a_seam_is_one_cell_wherever_it_lies(
    along: str, make_detector: Maker, draw: Draw, assert_found: Check
) -> None:
    """White cells all along a strip of three tiles, moved by 4 pixels at a time; each tile errs its own way."""
    detector, length, red = make_detector(wobble=1.5), 1500, 44.0
    for offset in range(0, 96, 4):
        discs: list[Disc] = [("white_cell", x, 55.0, 70.0) for x in range(45 + offset, length - 45, 96)]
        discs += [("red_cell", x, 140.0, red) for x in range(30 + offset, length - 30, 64)]
        if along == "y":
            discs = [(kind, y, x, side) for kind, x, y, side in discs]
        image = draw(length, 170, discs) if along == "x" else draw(170, length, discs)
        found = detector.find(image)
        assert len(module._spans(length, found.scale)) == 3
        assert_found(found, discs, within=4)


def test_tiles_cover_a_field_and_each_has_its_own_part() -> None:
    for length in (1, 700, 768, 769, 1375, 1376, 1377, 5000, 8000):
        for scale in (0.2, 1.0, 1.7):
            spans = module._spans(length, scale)
            assert (spans[0][2], spans[-1][3]) == (0, length)
            assert (spans[0][0], spans[-1][1]) == (-np.inf, np.inf)
            for (_, high, _, end), (low, _, start, _) in itertools.pairwise(spans):
                assert high == pytest.approx(low)
                # The largest white cell, 20 micrometres or 118 pixels of a look, is whole on one side at least.
                assert min(high - start, end - low) * scale >= 59
            assert max(end - start for _, _, start, end in spans) * scale <= module.TILE + 2 * scale


def test_black_corners_and_bars_hold_no_cells(
    make_detector: Maker, draw: Draw, smear: Smear, assert_found: Check
) -> None:
    """The engine would take black for a white cell."""
    red, side = 40.0, 700
    rows, columns = np.mgrid[:side, :side] + 0.5
    round_view = np.hypot(rows - side / 2, columns - side / 2) < side / 2 + 60
    discs = [
        disc for disc in smear(side, side, red, np.random.default_rng(2))
        if np.hypot(disc[1] - side / 2, disc[2] - side / 2) + disc[3] / 2 < side / 2 + 45
    ]  # fmt: skip
    image = draw(side, side, discs)
    assert round_view.mean() < 0.95
    image[~round_view] = 3
    assert_found(make_detector().find(image), discs, within=1.5)


def test_another_lamp_changes_nothing(
    make_detector: Maker, draw: Draw, smear: Smear, assert_found: Check
) -> None:
    discs = smear(640, 480, 45, np.random.default_rng(3))
    yellow = np.clip(draw(640, 480, discs) * np.array([0.8, 0.75, 0.6]), 0, 255).astype(np.uint8)
    assert_found(make_detector().find(yellow), discs, within=3)


@pytest.mark.parametrize("shape", [(1, 1), (8, 3000), (3000, 8), (1, 700), (16, 16), (5, 200)])
def test_an_image_of_any_shape_is_looked_at(shape: tuple[int, int], make_detector: Maker) -> None:
    for level in (0, 128, 255):
        found = make_detector().find(np.full((*shape, 3), level, np.uint8))
        assert len(found.finds) == 0


def test_a_thin_strip_has_its_cells_where_they_are(
    make_detector: Maker, draw: Draw, assert_found: Check
) -> None:
    discs: list[Disc] = [("red_cell", x, 14.0, 26.0) for x in range(20, 2980, 40)]
    found = make_detector().find(draw(3000, 29, discs))
    assert_found(found, discs, within=1.5)


def test_a_look_of_one_row_has_scales_of_its_own_across_and_down(
    make_detector: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3,000 x 8 pixels become 256 x 1; the middle of that row is the middle of the eight."""

    def middle(self: Any, field: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        heat = np.zeros((3, field.shape[1] // 4, field.shape[2] // 4), np.float32)
        shape = np.zeros((4, *heat.shape[1:]), np.float32)
        heat[1, 0, 10], shape[:, 0, 10] = 0.9, (0, -0.375, -1, -1)
        return heat, shape

    detector = make_detector()
    monkeypatch.setattr(FindingEngine, "peaks", middle)
    finds = detector.find(np.full((8, 3000, 3), 200, np.uint8)).finds
    np.testing.assert_allclose(finds.centres, [[42 * 3000 / 256, 4]])


def test_what_is_seen_in_the_padding_is_no_cell(
    make_detector: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def everywhere(self: Any, field: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        places = field.shape[1] // 4, field.shape[2] // 4
        return np.full((3, *places), 0.9, np.float32), np.full((4, *places), -1.0, np.float32)

    detector = make_detector()
    monkeypatch.setattr(FindingEngine, "peaks", everywhere)
    for height, width in ((1, 1), (9, 33), (100, 17)):
        centres = detector.find(np.full((height, width, 3), 200, np.uint8)).finds.centres
        assert len(centres) > 0 or min(height, width) < 2
        assert (centres >= 0).all()
        assert (centres < [width, height]).all()


def test_the_network_is_shown_balanced_ground_and_multiples_of_sixteen(
    make_detector: Maker,
    monkeypatch: pytest.MonkeyPatch,
    draw: Draw,
    smear: Smear,
    assert_found: Check,
    disc_engine: Engine,
) -> None:
    shown: list[NDArray[np.float32]] = []
    see = disc_engine()

    def watching(self: Any, field: NDArray[np.float32]) -> Any:
        shown.append(field)
        return see(self, field)

    detector = make_detector()
    monkeypatch.setattr(FindingEngine, "peaks", watching)
    discs = smear(1900, 1000, 40, np.random.default_rng(5))
    found = detector.find((draw(1900, 1000, discs) * 0.8).astype(np.uint8))
    assert_found(found, discs, within=2)
    assert len(shown) > 6
    for field in shown:
        assert field.dtype == np.float32
        assert field.shape[1] % 16 == field.shape[2] % 16 == 0
        assert max(field.shape[1:]) <= module.TILE + 16
        assert np.median(field) == pytest.approx(WHITE_LEVEL / 127.5 - 1, abs=0.02)


def test_the_bundles_thresholds_count_unless_another_is_asked_for(
    make_detector: Maker, draw: Draw, smear: Smear, assert_found: Check
) -> None:
    discs = smear(640, 480, 45, np.random.default_rng(6))
    image = draw(640, 480, discs)
    detector = make_detector(accept={"white_cell": 0.99, "red_cell": 0.5, "platelet": 0.99})
    assert_found(detector.find(image), [disc for disc in discs if disc[0] == "red_cell"], within=3)
    assert_found(detector.find(image, least=0.3), discs, within=3)
    assert len(detector.find(image, least=0.99).finds) == 0


@pytest.mark.parametrize("enlarged", [1, 2, 3])
def test_the_white_cell_of_an_image_of_one_cell(make_detector: Maker, enlarged: int, draw: Draw) -> None:
    discs: list[Disc] = [("white_cell", 160.0, 120.0, 90.0), ("red_cell", 60.0, 60.0, 50.0)]
    image = draw(
        320 * enlarged, 240 * enlarged, [(kind, *(enlarged * v for v in disc)) for kind, *disc in discs]
    )
    box = make_detector().white_cell(image, slide_of(image))
    assert box is not None
    off = np.array([box.x0, box.y0, box.x1, box.y1]) / enlarged - [115, 75, 205, 165]
    assert np.abs(off).max() < 5


def test_red_cells_alone_are_no_white_cell(make_detector: Maker, draw: Draw) -> None:
    image = draw(320, 240, [("red_cell", 60.0, 60.0, 50.0)])
    assert make_detector().white_cell(image, slide_of(image)) is None


def test_a_white_cell_without_a_nucleus_does_not_count(
    make_detector: Maker, draw: Draw, assert_found: Check
) -> None:
    cells: list[Disc] = [("red_cell", 60.0 + 90 * n, 60, 44) for n in range(6)]
    cells += [("white_cell", 150, 200, 70), ("white_cell", 350, 200, 70)]
    rgb = draw(640, 300, cells)
    cv2.circle(rgb, (350, 200), 35, (80, 80, 10), -1)  # absorbs blue as well, as no nucleus does
    detector = make_detector()
    assert_found(detector.find(rgb), cells[:-1], within=1.5)
    assert_found(detector.find(rgb, least=0.1), cells[:-1], within=1.5)
    with_it, without = rgb[140:260, 70:230], rgb[140:260, 270:430]
    assert detector.white_cell(with_it, slide_of(with_it)) is not None
    assert detector.white_cell(without, slide_of(without)) is None


def test_the_same_field_gives_the_same_finds_to_the_bit(
    make_detector: Maker, draw: Draw, smear: Smear
) -> None:
    image = draw(1800, 900, smear(1800, 900, 40, np.random.default_rng(7)))
    first, second = (make_detector(wobble=1.0).find(image) for _ in range(2))
    assert first.finds.boxes.tobytes() == second.finds.boxes.tobytes()
    assert first.finds.scores.tobytes() == second.finds.scores.tobytes()
    assert first.scale == second.scale


def test_a_bundle_without_a_detector_is_refused_with_the_remedy(make_bundle: Callable[..., Bundle]) -> None:
    with pytest.raises(BundleError, match="tiny has no detector") as caught:
        Detector(make_bundle())
    assert "--into" in caught.value.remedy
