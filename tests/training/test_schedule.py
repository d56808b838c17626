"""What a run will do is decided by its recipe, before it starts."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from leukolens.datasets.base import Sample
from leukolens.training import schedule
from leukolens.training.recipe import Optimiser, Schedule


def samples(**sizes: int) -> tuple[Sample, ...]:
    """So many samples of each ``lab_class``."""
    return tuple(
        Sample(Path(f"{kind}/{index}.png"), kind.split("_")[1], kind.split("_")[0], "all", f"{kind}/{index}")
        for kind, size in sizes.items()
        for index in range(size)
    )


UNEVEN = samples(a_neutrophil=60, a_monocyte=12, b_neutrophil=6, b_monocyte=3)


@pytest.mark.parametrize(
    ("batch", "wanted", "available", "drawn"),
    [(8, 0, 81, 80), (8, 0, 5, 5), (8, 20, 81, 16), (8, 200, 81, 200), (8, 4, 81, 4), (81, 0, 81, 81)],
)
def test_an_epoch_shows_a_whole_number_of_batches_where_there_are_enough(
    batch: int, wanted: int, available: int, drawn: int
) -> None:
    assert schedule.draws(Schedule(epochs=1, batch=batch, draws=wanted), available) == drawn


def test_without_balance_every_sample_weighs_alike() -> None:
    np.testing.assert_allclose(schedule.weights(UNEVEN, 0.0), 1 / len(UNEVEN))


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_a_class_of_a_lab_weighs_its_size_to_the_power_one_minus_balance(balance: float) -> None:
    weights = schedule.weights(UNEVEN, balance)
    assert weights.sum() == pytest.approx(1)
    shares = np.array([weights[:60].sum(), weights[60:72].sum(), weights[72:78].sum(), weights[78:].sum()])
    expected = np.array([60, 12, 6, 3]) ** (1 - balance)
    np.testing.assert_allclose(shares, expected / expected.sum())


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("draws", [40, 80, 400])
def test_each_sample_comes_as_often_as_its_weight_says_give_or_take_one(
    balance: float, draws: int, tiny_recipe: Any
) -> None:
    recipe = tiny_recipe(schedule={"batch": 8, "draws": draws}, sampling={"balance": balance})
    expected = schedule.weights(UNEVEN, balance) * draws
    for epoch in (1, 2, 3):
        order = schedule.order(recipe, UNEVEN, epoch)
        assert len(order) == draws
        times = np.bincount(order, minlength=len(UNEVEN))
        assert (times >= np.floor(expected - 1e-9)).all()
        assert (times <= np.ceil(expected + 1e-9)).all()


def test_over_many_epochs_the_frequencies_are_the_weights(tiny_recipe: Any) -> None:
    recipe = tiny_recipe(schedule={"batch": 8, "draws": 16}, sampling={"balance": 0.5})
    seen = Counter(int(index) for epoch in range(600) for index in schedule.order(recipe, UNEVEN, epoch))
    expected = schedule.weights(UNEVEN, 0.5) * 16 * 600
    times = np.array([seen[index] for index in range(len(UNEVEN))])
    # A share of p in 600 epochs spreads by at most sqrt(600 / 4); five of those never happen.
    assert np.abs(times - expected).max() < 5 * math.sqrt(600 / 4)


def test_a_whole_epoch_without_balance_shows_everything_once(tiny_recipe: Any) -> None:
    recipe = tiny_recipe(schedule={"batch": 27, "draws": 0})
    assert sorted(schedule.order(recipe, UNEVEN, 1)) == list(range(81))


def test_the_order_is_decided_by_seed_and_epoch_alone(tiny_recipe: Any) -> None:
    recipe = tiny_recipe()
    first = schedule.order(recipe, UNEVEN, 1).tolist()
    assert schedule.order(recipe, UNEVEN, 1).tolist() == first
    assert schedule.order(recipe, UNEVEN, 2).tolist() != first
    assert schedule.order(tiny_recipe(seed=8), UNEVEN, 1).tolist() != first


def test_small_epochs_come_first_and_never_enlarge(tiny_recipe: Any) -> None:
    recipe = tiny_recipe(framing={"size": 64}, schedule={"epochs": 4, "small_epochs": 2, "small_size": 48})
    assert [schedule.size(recipe, epoch) for epoch in (1, 2, 3, 4)] == [48, 48, 64, 64]
    recipe = tiny_recipe(framing={"size": 40}, schedule={"epochs": 4, "small_epochs": 2, "small_size": 48})
    assert {schedule.size(recipe, epoch) for epoch in (1, 2, 3, 4)} == {40}


@pytest.mark.parametrize(("every", "epochs"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (9, [5])])
def test_some_epochs_are_judged_and_always_the_last(tiny_recipe: Any, every: int, epochs: list[int]) -> None:
    recipe = tiny_recipe(schedule={"epochs": 5}, validation={"every": every})
    assert [epoch for epoch in range(1, 6) if schedule.judged(recipe, epoch)] == epochs


def test_a_level_rate_is_level() -> None:
    assert {schedule.rate(Optimiser(rate=0.5), step, 100) for step in range(100)} == {0.5}


def test_the_rate_rises_linearly_to_its_highest() -> None:
    spec = Optimiser(rate=2.0, warmup=0.1)
    assert [schedule.rate(spec, step, 100) for step in range(10)] == pytest.approx(
        [0.2 * (step + 1) for step in range(10)]
    )
    assert {schedule.rate(spec, step, 100) for step in range(10, 100)} == {2.0}


def test_the_rate_falls_along_a_half_cosine() -> None:
    spec = Optimiser(rate=2.0, warmup=0.1, cosine=True)
    rates = [schedule.rate(spec, step, 110) for step in range(11, 110)]
    expected = 2.0 * 0.5 * (1 + np.cos(np.pi * np.arange(99) / 99))
    assert rates == pytest.approx(expected.tolist())
    assert rates[0] == 2.0
    assert rates[-1] < 0.001
    plain = Optimiser(rate=2.0, cosine=True)
    assert schedule.rate(plain, 0, 100) == 2.0
    assert schedule.rate(plain, 50, 101) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.9])
def test_the_shortest_runs_have_rates_too(steps: int, warmup: float) -> None:
    spec = Optimiser(rate=1.0, warmup=warmup, cosine=True)
    assert all(0 < schedule.rate(spec, step, steps) <= 1 for step in range(steps))


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_only_weights_of_two_dimensions_and_more_decay(name: Any, kind: type) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    made = schedule.optimiser(network, Optimiser(name=name, rate=0.1, decay=0.3))
    assert type(made) is kind
    decaying = {id(p) for group in made.param_groups if group["weight_decay"] == 0.3 for p in group["params"]}
    exempt = {id(p) for group in made.param_groups if group["weight_decay"] == 0 for p in group["params"]}
    assert decaying == {id(network[0].weight), id(network[3].weight)}
    assert decaying | exempt == {id(parameter) for parameter in network.parameters()}
    assert not decaying & exempt
