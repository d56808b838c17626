"""However a scene is turned, scaled and put together with others, its boxes fit what is seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from leukolens.training.finding.recipe import Views
from leukolens.training.finding.scenes import STORED_RED_CELL, Scene
from leukolens.training.finding.views import LARGEST_TILT, SEEN, View, view

SceneMaker = Callable[..., Scene]
ONE = np.ones(1)


def spec(scale: float | tuple[float, float] = 1.0, **more: Any) -> Views:
    given = scale if isinstance(scale, tuple) else (scale, scale)
    fixed = {"size": 224, "red_cell": 44.0, "usual": 0.0, "mosaic": 0.0, "tilt": 0.0}
    return Views.model_validate({**fixed, "scale": given, **more})


def components(shown: View) -> NDArray[np.float64]:
    """Boxes (n, 4) of what is no empty ground, by its pixels."""
    mask = (np.abs(shown.pixels.astype(int) - 235).max(axis=2) > 40).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    x, y, w, h, _ = stats[1:count].T
    return np.stack([x, y, x + w, y + h], axis=1).astype(np.float64)


def colour(kind: int) -> int:
    """Which channel of a disc of this kind is brightest."""
    return (2, 0, 1)[kind]


@pytest.mark.parametrize("scale", [0.4, 0.7, 1.0, 1.6, 2.5])
@pytest.mark.parametrize("tilt", [0.0, 1.0])
def test_boxes_fit_the_pixels_of_their_cells_after_any_turn(
    scale: float, tilt: float, make_scene: SceneMaker
) -> None:
    shown_cells = 0
    for seed in range(6):
        scene, rng = make_scene(seed), np.random.default_rng(seed)
        shown = view([scene], ONE, spec(scale, tilt=tilt), rng)
        seen = components(shown)
        for box, kind in zip(shown.boxes, shown.kinds, strict=True):
            # A disc of which little shows is cut a little inside its ellipse's box after a tilt.
            off = np.abs(seen - box).max(axis=1)
            inside = (box[:2] > 1).all() and (box[2:] < 223).all()
            assert off.min() <= (1.6 if inside else 4), (seed, box)
            x0, y0, x1, y1 = (round(float(side)) for side in box)
            middle = shown.pixels[(y0 + y1) // 2, (x0 + x1) // 2].astype(int)
            if inside:
                assert middle.argmax() == colour(int(kind))
        shown_cells += len(shown.boxes)
        # What no box was kept for is a rest of a cell at the edge.
        for rest in seen:
            if not len(shown.boxes) or np.abs(shown.boxes - rest).max(axis=1).min() > 4:
                assert rest[:2].min() <= 1 or rest[2:].max() >= 223
    assert shown_cells >= 6


@pytest.mark.parametrize("tilt", [0.0, 1.0])
def test_a_long_cell_has_a_box_as_it_comes_to_lie(tilt: float) -> None:
    large = np.full((1200, 1200, 3), 235, np.uint8)
    cv2.ellipse(large, (600, 600), (240, 120), 0, 0, 360, (90, 60, 160), -1)
    pixels = np.asarray(cv2.resize(large, (300, 300), interpolation=cv2.INTER_AREA), np.uint8)
    box = np.array([[90, 120, 210, 180]], np.float32)
    scene = Scene("bccd/long", pixels, box, np.zeros(1, np.int64), np.ones(1, np.bool_), (True,) * 3, "long")
    lying = set()
    for seed in range(12):
        shown = view([scene], ONE, spec(1.0, tilt=tilt, size=320), np.random.default_rng(seed))
        np.testing.assert_allclose(shown.boxes, components(shown), atol=1.6)
        width, height = shown.boxes[0, 2:] - shown.boxes[0, :2]
        lying.add(bool(width > height))
    assert lying == {True, False}


def test_a_cell_is_as_large_as_the_scale_says(make_scene: SceneMaker) -> None:
    for scale in (0.5, 1.0, 2.0):
        for seed in range(8):
            shown = view([make_scene(seed)], ONE, spec(scale, tilt=0.5), np.random.default_rng(seed))
            whole = (shown.boxes > 0).all(axis=1) & (shown.boxes < 224).all(axis=1) & (shown.kinds == 1)
            sides = shown.boxes[whole, 2:] - shown.boxes[whole, :2]
            np.testing.assert_allclose(sides, 64 * 44 / STORED_RED_CELL * scale, rtol=1e-3)


def test_scales_are_drawn_from_the_usual_range_as_often_as_asked(make_scene: SceneMaker) -> None:
    scene, rng = make_scene(kinds=(1,) * 12), np.random.default_rng(0)
    wanted = spec((0.4, 2.0), usual=0.7, usual_scale=(0.9, 1.1), size=320)
    scales = []
    for _ in range(400):
        shown = view([scene], ONE, wanted, rng)
        whole = shown.boxes[(shown.boxes > 0).all(axis=1) & (shown.boxes < 320).all(axis=1)]
        scales.append(float(np.median(whole[:, 2] - whole[:, 0])) / 44 if len(whole) else math.nan)
    drawn = np.array(scales)[np.isfinite(scales)]
    assert len(drawn) > 350
    assert drawn.min() > 0.39
    assert drawn.max() < 2.01
    # The other range covers the usual one for an eighth of its draws.
    usual = float(np.mean((drawn > 0.9) & (drawn < 1.1)))
    assert usual == pytest.approx(0.7 + 0.3 * math.log(1.1 / 0.9) / math.log(5), abs=0.08)


def test_every_quarter_turn_and_mirror_is_shown_and_tilts_keep_their_bound(make_scene: SceneMaker) -> None:
    """Three cells that are no line tell how their scene was turned."""
    scene = make_scene(kinds=(0, 1, 1, 1, 2))
    centres = (scene.boxes[[0, 1, 4], :2] + scene.boxes[[0, 1, 4], 2:]) / 2
    before = (centres[1:] - centres[0]).T
    seen, tilts = set(), []
    for seed in range(150):
        shown = view([scene], ONE, spec(0.5, tilt=0.5, size=448), np.random.default_rng(seed))
        assert shown.kinds.tolist() == scene.kinds.tolist()
        after = (shown.boxes[[0, 1, 4], :2] + shown.boxes[[0, 1, 4], 2:]) / 2
        linear = (after[1:] - after[0]).T @ np.linalg.inv(before) / (44 / 64 / 2)
        np.testing.assert_allclose(linear @ linear.T, np.eye(2), atol=1e-3)
        mirrored = np.linalg.det(linear) < 0
        angle = math.atan2(linear[1, 0], linear[0, 0]) / (math.pi / 2)
        seen.add((bool(mirrored), round(angle) % 4))
        tilts.append(abs(angle - round(angle)) * math.pi / 2)
    assert len(seen) == 8
    assert max(tilts) <= LARGEST_TILT + 1e-3
    assert max(tilts) > 0.8 * LARGEST_TILT
    assert np.mean(np.array(tilts) < 1e-3) == pytest.approx(0.5, abs=0.12)


def test_absence_teaches_only_kinds_that_are_listed_and_beyond_the_scene_all(make_scene: SceneMaker) -> None:
    scene = make_scene(ground=(200, 190, 205), taught=(True, False, False), kinds=(0,))
    beyond_seen = 0
    for seed in range(8):
        shown = view([scene], ONE, spec(0.4, tilt=1.0), np.random.default_rng(seed))
        assert set(np.unique(shown.taught)) <= {0.0, 1.0}
        assert bool((shown.taught[0] == 1).all())
        beyond = (shown.pixels == 235).all(axis=2)
        rim = cv2.dilate(beyond.astype(np.uint8), np.ones((5, 5))) != cv2.erode(
            beyond.astype(np.uint8), np.ones((5, 5))
        )
        rim[[0, 1, -2, -1]] = rim[:, [0, 1, -2, -1]] = True
        for kind in (1, 2):
            np.testing.assert_array_equal(shown.taught[kind][~rim] == 1, beyond[~rim])
        beyond_seen += int(beyond.sum())
    assert beyond_seen > 8 * 2000


def test_four_scenes_meet_at_a_point_each_with_its_own_boxes(make_scene: SceneMaker) -> None:
    grounds = [(235, 235, 235), (225, 235, 235), (235, 225, 235), (235, 235, 225)]
    scenes = [
        make_scene(number, ground=ground, taught=(True, number % 2 == 0, False))
        for number, ground in enumerate(grounds)
    ]
    met = []
    for seed in range(10):
        shown = view(scenes, np.full(4, 0.25), spec(0.8, mosaic=1.0, tilt=0.5), np.random.default_rng(seed))
        mask = np.abs(shown.pixels.astype(int) - 235).max(axis=2) > 40
        for x0, y0, x1, y1 in np.rint(shown.boxes).astype(int).tolist():
            part = mask[max(y0, 0) : y1, max(x0, 0) : x1]
            assert part.mean() > 0.6
            # Its cell reaches each side of the box.
            rows, columns = part.any(axis=1).nonzero()[0], part.any(axis=0).nonzero()[0]
            assert rows[0] <= 4
            assert columns[0] <= 4
            assert rows[-1] >= part.shape[0] - 5
            assert columns[-1] >= part.shape[1] - 5
        counted = {tuple(pixel) for pixel in shown.pixels.reshape(-1, 3).tolist()} & set(grounds)
        met.append(len(counted))
    assert max(met) >= 3


def test_the_rng_decides_everything(scenes: list[Scene]) -> None:
    weights = np.full(len(scenes), 1 / len(scenes))
    wanted = Views.model_validate({"size": 96})
    first, again, other = (view(scenes, weights, wanted, np.random.default_rng(seed)) for seed in (4, 4, 5))
    for name in ("pixels", "boxes", "kinds", "sized", "taught"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert not np.array_equal(first.pixels, other.pixels)
    before = [scene.pixels.copy() for scene in scenes]
    view(scenes, weights, wanted, np.random.default_rng(6))
    assert all(np.array_equal(scene.pixels, kept) for scene, kept in zip(scenes, before, strict=True))


def test_a_scene_without_weight_is_never_shown(make_scene: SceneMaker) -> None:
    shown_scene, hidden = make_scene(0, kinds=(0,)), make_scene(1, kinds=(2,))
    for seed in range(20):
        shown = view(
            [shown_scene, hidden], np.array([1.0, 0.0]), spec(0.5, mosaic=0.5), np.random.default_rng(seed)
        )
        assert 2 not in shown.kinds


def test_whether_a_box_is_measured_goes_with_its_cell(make_scene: SceneMaker) -> None:
    for seed in range(6):
        shown = view([make_scene(seed)], ONE, spec(0.7, mosaic=0.5), np.random.default_rng(seed))
        np.testing.assert_array_equal(shown.sized, shown.kinds != 2)
        assert len(shown.kinds) == len(shown.boxes) > 0


def test_a_cell_counts_as_shown_from_the_share_of_its_box_that_its_kind_wants(make_scene: SceneMaker) -> None:
    for seed in range(40):
        shown = view([make_scene(seed)], ONE, spec(1.0), np.random.default_rng(seed))
        assert (shown.boxes >= 0).all()
        assert (shown.boxes <= 224).all()
        whole = np.array([100, 64, 22])[shown.kinds] * 44 / 64
        share = np.prod(shown.boxes[:, 2:] - shown.boxes[:, :2], axis=1) / whole**2
        assert (share > SEEN[shown.kinds] - 1e-4).all()
        assert (share < 1.001).all()
