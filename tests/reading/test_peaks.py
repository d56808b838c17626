"""From heatmaps to finds: what was drawn is read off, and each cell is found once."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional as F

from leukolens.reading.peaks import INSIDE, MOST_PEAKS, Finds, joined, overlaps, read_off, suppressed
from leukolens.training.finding.targets import targets
from leukolens.training.finding.views import View

Boxes = NDArray[np.float64]


def boxes_of(rng: np.random.Generator, count: int, side: float = 300, largest: float = 60) -> Boxes:
    corner = rng.uniform(0, side, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(4, largest, (count, 2))], axis=1)


def finds_of(rng: np.random.Generator, count: int, **more: float) -> Finds:
    return Finds(boxes_of(rng, count, **more), rng.random(count).round(2), rng.integers(0, 3, count))


def as_set(finds: Finds) -> list[tuple[float, ...]]:
    return sorted(
        (*box, score, kind)
        for box, score, kind in zip(finds.boxes.tolist(), finds.scores, finds.kinds, strict=True)
    )


def test_what_a_detector_should_answer_is_read_off_as_the_boxes_it_was_made_from() -> None:
    rng = np.random.default_rng(4)
    size = 256
    # One cell in each square of 48 pixels, so that none hides another's centre.
    corners = np.array([(x, y) for x in range(8, 208, 48) for y in range(8, 208, 48)], np.float64)
    centres = corners + rng.uniform(16, 32, corners.shape)
    halves = rng.uniform(5, 20, corners.shape)
    boxes = np.concatenate([centres - halves, centres + halves], axis=1).astype(np.float32)
    kinds = np.arange(len(boxes)) % 3
    seen = View(
        np.zeros((size, size, 3), np.uint8), boxes, kinds, np.ones(len(boxes), np.bool_),
        np.ones((3, size, size), np.float32),
    )  # fmt: skip
    heat, shape, _, _ = targets([seen])
    peaks = heat * (heat >= F.max_pool2d(heat, 3, 1, padding=1))
    finds = read_off(peaks[0].numpy(), shape[0].numpy(), 0.99)
    assert len(finds) == len(boxes)
    assert (finds.scores == 1).all()
    nearest = np.abs(finds.centres[:, None] - centres[None]).sum(axis=2).argmin(axis=1)
    assert sorted(nearest) == list(range(len(boxes)))
    np.testing.assert_array_equal(finds.kinds, kinds[nearest])
    np.testing.assert_allclose(finds.boxes, boxes[nearest], atol=1e-3)


def test_a_place_beside_the_peak_tells_the_same_box() -> None:
    box = np.array([[30.0, 40.0, 75.0, 90.0]], np.float32)
    seen = View(
        np.zeros((128, 128, 3), np.uint8), box, np.zeros(1, np.int64), np.ones(1, np.bool_),
        np.ones((3, 128, 128), np.float32),
    )  # fmt: skip
    heat, shape, weight, _ = targets([seen])
    core = (weight[0, 0] > 0).numpy()
    assert core.sum() > 4
    finds = read_off(np.where(core, heat[0].numpy(), 0).astype(np.float32), shape[0].numpy(), 0.1)
    assert len(finds) == core.sum()
    np.testing.assert_allclose(finds.boxes, box.repeat(len(finds), 0), atol=1e-3)


def test_the_highest_peaks_are_kept_and_come_first() -> None:
    heat = np.random.default_rng(0).random((3, 40, 40), np.float32)
    finds = read_off(heat, np.zeros((4, 40, 40), np.float32), 0.25)
    np.testing.assert_allclose(finds.scores, np.sort(heat[heat >= 0.25])[::-1][:MOST_PEAKS])
    assert (heat >= 0.25).sum() > MOST_PEAKS


def test_a_damaged_answer_overflows_into_no_number() -> None:
    heat = np.zeros((3, 4, 4), np.float32)
    heat[0, 1, 2] = 0.5
    finds = read_off(heat, np.full((4, 4, 4), 3e38, np.float32), 0.1)
    assert np.isfinite(finds.boxes).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_overlaps_are_intersection_over_union(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, others = boxes_of(rng, 5, 40), boxes_of(rng, 7, 40)
    for (i, a), (j, b) in itertools.product(enumerate(first), enumerate(others)):
        width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
        height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
        assert overlaps(first, others)[i, j] == pytest.approx(width * height / union)


def slowly(finds: Finds, overlap: float) -> list[tuple[float, ...]]:
    """The same by a loop that takes the best, strikes what is of its cell, and begins again."""
    left = sorted(as_set(finds), key=lambda find: (-find[4], find[5], *find[3::-1]))
    kept = []
    while left:
        best, *rest = left
        kept.append(best)
        left = []
        for other in rest:
            a, b = np.array([best[:4]]), np.array([other[:4]])
            union = float(overlaps(a, b)[0, 0])
            area_a, area_b = (float(np.prod(box[0, 2:] - box[0, :2])) for box in (a, b))
            shared = union / (1 + union) * (area_a + area_b)
            same = union > overlap or shared / min(area_a, area_b) > INSIDE
            if best[5] != other[5] or not same:
                left.append(other)
    return sorted(kept)


@pytest.mark.parametrize("overlap", [0.2, 0.5])
@pytest.mark.parametrize("block", [1, 7, 512])
def test_each_cell_is_kept_once_as_a_slow_loop_does_it(
    overlap: float, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leukolens.reading.peaks.BLOCK", block)
    for seed in range(4):
        finds = finds_of(np.random.default_rng(seed), 90, side=150.0, largest=70.0)
        kept = suppressed(finds, overlap)
        assert 10 < len(kept) < 85
        assert as_set(kept) == slowly(finds, overlap)


def test_the_order_of_finds_decides_nothing() -> None:
    rng = np.random.default_rng(8)
    finds = finds_of(rng, 60)
    expected = suppressed(finds, 0.3)
    for _ in range(5):
        again = suppressed(finds.only(rng.permutation(60)), 0.3)
        np.testing.assert_array_equal(again.boxes, expected.boxes)
        np.testing.assert_array_equal(again.scores, expected.scores)


def test_a_cell_of_another_kind_never_gives_way() -> None:
    box = np.array([[10.0, 10, 50, 50]] * 3)
    finds = Finds(box, np.array([0.9, 0.8, 0.7]), np.array([0, 1, 0]))
    assert as_set(suppressed(finds, 0.5)) == [(10, 10, 50, 50, 0.8, 1), (10, 10, 50, 50, 0.9, 0)]


def test_a_lobe_inside_its_cell_gives_way_and_a_neighbour_that_touches_does_not() -> None:
    boxes = np.array([[0, 0, 40, 40], [5, 5, 15, 15], [30, 0, 70, 40]], np.float64)
    kept = suppressed(Finds(boxes, np.array([0.9, 0.5, 0.8]), np.zeros(3, np.int64)), 0.5)
    assert kept.boxes.tolist() == [[0, 0, 40, 40], [30, 0, 70, 40]]


def test_tens_of_thousands_of_red_cells_need_little_memory() -> None:
    """As a field of 8,000 pixels holds them; every pair of them would take 6 GB."""
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(np.arange(100), np.arange(100)), axis=-1).reshape(-1, 2) * 57.0
    corner = np.concatenate([grid, grid + 4]) + rng.uniform(0, 3, (2 * len(grid), 2))
    finds = Finds(
        np.concatenate([corner, corner + 44], 1), rng.random(len(corner)), np.ones(len(corner), np.int64)
    )
    tracemalloc.start()
    kept = suppressed(finds, 0.5)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(kept) == len(grid)
    assert most < 2e8


@pytest.mark.parametrize("parts", [[], [Finds(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))] * 2])
def test_nothing_found_stays_nothing(parts: list[Finds]) -> None:
    finds = suppressed(joined(parts), 0.5)
    assert len(finds) == 0
    assert finds.boxes.shape == (0, 4)
    assert finds.centres.shape == (0, 2)
    assert finds.sides.shape == (0,)


def test_another_frame_has_its_own_scale_across_and_down() -> None:
    finds: Any = Finds(np.array([[8.0, 6, 16, 30]]), np.array([0.5]), np.array([2]))
    moved = finds.moved((0.5, 2.0), 100, 1000)
    assert moved.boxes.tolist() == [[116, 1003, 132, 1015]]
    assert finds.sides.tolist() == [16]
    assert finds.centres.tolist() == [[12, 18]]
