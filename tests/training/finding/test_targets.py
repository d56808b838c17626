"""What a detector should answer, and that nothing costs less than answering it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from leukolens.training.finding.targets import LEAST_SPREAD, SPREAD, loss, targets
from leukolens.training.finding.views import View

SIZE = 64


def view_of(
    boxes: list[list[float]],
    kinds: list[int] | None = None,
    *,
    sized: bool = True,
    taught: NDArray[np.float32] | None = None,
) -> View:
    return View(
        np.zeros((SIZE, SIZE, 3), np.uint8),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(kinds if kinds is not None else [0] * len(boxes), np.int64),
        np.full(len(boxes), sized),
        np.ones((3, SIZE, SIZE), np.float32) if taught is None else taught,
    )


def perfect(wanted: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The answer that the targets ask for: sure of each centre, sure of nothing else."""
    heat, shape, _, _ = wanted
    return torch.where(heat == 1, 14.0, -14.0), shape.clone()


def test_a_cells_heat_is_one_at_its_centre_and_falls_off_with_its_size() -> None:
    heat, _, _, _ = targets([view_of([[8, 16, 40, 32]], [1])])
    assert heat.shape == (1, 3, SIZE // 4, SIZE // 4)
    assert (heat == 1).nonzero().tolist() == [[0, 1, 6, 6]]
    across, down = (max(SPREAD * side / 4, LEAST_SPREAD) for side in (32, 16))
    for row, column in ((6, 7), (6, 4), (4, 6), (8, 9)):
        expected = math.exp(-(((column - 6) / across) ** 2) / 2 - ((row - 6) / down) ** 2 / 2)
        assert float(heat[0, 1, row, column]) == pytest.approx(expected, rel=1e-4)
    assert not heat[0, 0].any()
    assert not heat[0, 2].any()


def test_places_of_a_cell_share_its_weight_and_know_its_box() -> None:
    box = [9.0, 14.0, 51.0, 44.0]
    _, shape, weight, _ = targets([view_of([box])])
    core = weight[0, 0] > 0
    assert float(weight[0, 0].sum()) == pytest.approx(1)
    assert torch.equal(weight[0, 0], weight[0, 1])
    for row, column in core.nonzero().tolist():
        right, down, width, height = shape[0, :, row, column].tolist()
        assert (column + 0.5 + right) * 4 == pytest.approx(30, abs=1e-4)
        assert (row + 0.5 + down) * 4 == pytest.approx(29, abs=1e-4)
        assert 32 * math.exp(width) == pytest.approx(42, rel=1e-5)
        assert 32 * math.exp(height) == pytest.approx(30, rel=1e-5)


def test_where_two_cells_meet_each_place_belongs_to_the_nearer() -> None:
    _, shape, weight, _ = targets([view_of([[4, 16, 36, 48], [20, 16, 52, 48]])])
    left, right = ((column + 0.5 + float(shape[0, 0, 8, column])) * 4 for column in (4, 9))
    assert (left, right) == (pytest.approx(20), pytest.approx(36))
    assert float(weight[0, 0, 8, 5]) > 0


def test_a_cell_in_the_far_corner_keeps_its_centre_in_the_map() -> None:
    heat, _, _, _ = targets([view_of([[60, 60, 64, 64], [0, 0, 3, 2]])])
    assert (heat[0, 0] == 1).nonzero().tolist() == [[0, 0], [15, 15]]


def test_the_perfect_answer_costs_nothing_and_every_other_more() -> None:
    wanted = targets([view_of([[8, 8, 40, 40], [40, 44, 58, 60], [2, 50, 14, 62]], [0, 1, 2]), view_of([])])
    heat, shape = perfect(wanted)
    least = float(loss((heat, shape), wanted))
    assert least < 1e-4
    draw = torch.Generator().manual_seed(0)
    for strength in (0.3, 1.0, 3.0):
        for _ in range(5):
            noise = torch.randn(shape.shape, generator=draw) * strength
            assert float(loss((heat, shape + noise), wanted)) > least + 0.01
            worse = torch.randn(heat.shape, generator=draw) * strength * 5
            assert float(loss((heat + worse, shape), wanted)) > least
    missed = heat.clone()
    missed[0, 0, 6, 6] = -14
    assert float(loss((missed, shape), wanted)) > 4
    twice = heat.clone()
    twice[1, 1, 3, 3] = 14
    assert float(loss((twice, shape), wanted)) > 4


def test_the_loss_is_the_papers_formula() -> None:
    """Zhou et al. 2019, equation 1 with alpha 2 and beta 4, and the mean L1 over each cell's places."""
    rng = np.random.default_rng(2)
    taught = (rng.random((3, SIZE, SIZE)) < 0.7).astype(np.float32)
    views = [
        view_of([[8, 8, 40, 40], [30, 34, 58, 60]], [0, 2], taught=taught),
        view_of([[4, 4, 20, 24]], [1]),
    ]
    wanted = targets(views)
    logits = rng.normal(-1, 2, wanted[0].shape)
    given = rng.normal(0, 1, wanted[1].shape)
    heat, shape, weight, counts = (part.double().numpy() for part in wanted)
    total = 0.0
    for place in np.ndindex(*heat.shape):
        probability = 1 / (1 + math.exp(-logits[place]))
        if heat[place] == 1:
            total -= (1 - probability) ** 2 * math.log(probability)
        elif counts[place]:
            total -= (1 - heat[place]) ** 4 * probability**2 * math.log(1 - probability)
    off = np.abs(given - shape)
    total += float((off[:, :2].sum(1) * weight[:, 0]).sum() + (off[:, 2:].sum(1) * weight[:, 1]).sum())
    answer = torch.from_numpy(logits).float(), torch.from_numpy(given).float()
    assert float(loss(answer, wanted)) == pytest.approx(total / 3, rel=1e-4)


def test_a_kind_that_is_not_listed_teaches_only_where_it_is_shown() -> None:
    taught = np.ones((3, SIZE, SIZE), np.float32)
    taught[1:] = 0
    taught[1, :, 48:] = 1
    wanted = targets([view_of([[8, 8, 24, 24], [20, 36, 40, 56]], [0, 1], taught=taught)])
    logits = torch.zeros(1, 3, 16, 16, requires_grad=True)
    shape = torch.zeros(1, 4, 16, 16, requires_grad=True)
    loss((logits, shape), wanted).backward()
    assert logits.grad is not None
    assert bool((logits.grad[0, 0] != 0).all())
    assert logits.grad[0, 1, :, :12].nonzero().tolist() == [[11, 7]]
    assert bool((logits.grad[0, 1, :, 12:] > 0).all())
    assert not logits.grad[0, 2].any()


def test_a_box_that_is_not_measured_teaches_its_middle_alone() -> None:
    wanted = targets([view_of([[8, 8, 40, 40]], sized=False)])
    shape = torch.full((1, 4, 16, 16), 9.0, requires_grad=True)
    loss((torch.zeros(1, 3, 16, 16), shape), wanted).backward()
    assert shape.grad is not None
    assert shape.grad[0, :2].any()
    assert not shape.grad[0, 2:].any()


def test_an_empty_view_teaches_that_nothing_is_there() -> None:
    wanted = targets([view_of([])])
    logits = torch.zeros(1, 3, 16, 16, requires_grad=True)
    cost = loss((logits, torch.zeros(1, 4, 16, 16)), wanted)
    cost.backward()
    assert float(cost.detach()) == pytest.approx(3 * 16 * 16 * 0.25 * math.log(2))
    assert logits.grad is not None
    assert bool((logits.grad > 0).all())
