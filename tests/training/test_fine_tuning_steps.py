"""What fine-tuning shows a network, and what holds it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leukolens.adaptation.replay import Replay
from leukolens.models.resnet import Basic, ResNet
from leukolens.reading.classifier import softmax
from leukolens.reading.inputs import scaled
from leukolens.training.fine_tuning_steps import Settings, logits_of, quarter_turned, train_on

SIZE, CLASSES = 16, 4
QUICK = Settings(steps=6, batch=12, replayed=8, rate=1e-3)


@pytest.fixture
def network() -> ResNet:
    torch.manual_seed(0)
    return ResNet(Basic, (1,), CLASSES).eval()


@pytest.fixture
def crops() -> np.ndarray:
    """Dark cells, then light ones; no class 2 or 3."""
    rng = np.random.default_rng(0)
    return np.clip(rng.normal(90, 30, (20, SIZE, SIZE, 3)) + 90 * TRUTH[:, None, None, None], 0, 255).astype(
        np.uint8
    )


TRUTH = np.arange(20) // 10


def replay_of(truth: list[int]) -> Replay:
    rows = np.random.default_rng(2).normal(size=(len(truth), 64)).astype(np.float32)
    return Replay(np.abs(rows) + 4 * np.eye(64)[truth].astype(np.float32), np.array(truth))


def train(
    network: ResNet, crops: np.ndarray, settings: Settings = QUICK, replay: Replay | None = None
) -> int:
    ticks: list[int] = []
    train_on(network, crops, TRUTH, replay, settings, np.random.default_rng(3), ticks.append)
    return sum(ticks)


def test_logits_are_those_of_the_crops_as_reading_scales_them(network: ResNet, crops: np.ndarray) -> None:
    with torch.no_grad():
        expected = network(torch.from_numpy(scaled(crops))).numpy()
    np.testing.assert_allclose(logits_of(network, crops), expected, atol=1e-5)


def test_it_learns_the_cells_and_counts_its_steps(network: ResNet, crops: np.ndarray) -> None:
    before = softmax(logits_of(network, crops))[np.arange(20), TRUTH].mean()
    assert train(network, crops, Settings(steps=20, batch=12, rate=1e-3)) == 20
    assert softmax(logits_of(network, crops))[np.arange(20), TRUTH].mean() > before + 0.2


def test_all_layers_move_and_statistics_do_not(network: ResNet, crops: np.ndarray) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    train(network, crops)
    for name, value in network.state_dict().items():
        learned = "running" not in name and "tracked" not in name
        assert torch.equal(value, before[name]) != learned, name


def test_crops_are_turned_by_every_number_of_quarters(crops: np.ndarray) -> None:
    turned = quarter_turned(torch.from_numpy(crops), torch.Generator().manual_seed(0)).numpy()
    quarters = [
        [turn for turn in range(4) if np.array_equal(after, np.rot90(before, turn))]
        for before, after in zip(crops, turned, strict=True)
    ]
    assert {tuple(found) for found in quarters} == {(0,), (1,), (2,), (3,)}


def test_views_are_not_softened_twice(crops: np.ndarray) -> None:
    def trained(smooth: bool) -> ResNet:
        torch.manual_seed(0)
        net = ResNet(Basic, (1,), CLASSES, smooth=smooth).eval()
        train_on(
            net,
            crops,
            TRUTH,
            None,
            Settings(steps=3, batch=12, absent=0),
            np.random.default_rng(3),
            lambda made: None,
        )
        return net

    soft, plain = trained(smooth=True), trained(smooth=False)
    assert soft.smooth
    assert torch.equal(soft.conv.weight, plain.conv.weight)


def test_a_strong_pull_leaves_it_where_it_was(network: ResNet, crops: np.ndarray) -> None:
    def moved(pull: float) -> float:
        torch.manual_seed(0)
        net = ResNet(Basic, (1,), CLASSES).eval()
        first = net.conv.weight.detach().clone()
        train(net, crops, Settings(steps=6, batch=12, rate=1e-3, pull=pull))
        return float((net.conv.weight.detach() - first).abs().mean())

    assert moved(500) < 0.7 * moved(0)
    assert moved(1 / 1e-3) < 0.5 * moved(0)


def test_equal_seeds_give_equal_weights(crops: np.ndarray) -> None:
    made = []
    for _ in range(2):
        torch.manual_seed(0)
        network = ResNet(Basic, (1,), CLASSES).eval()
        train(network, crops, replay=replay_of([0, 1, 2, 3] * 4))
        made.append(torch.cat([value.ravel() for value in network.parameters()]))
    assert torch.equal(*made)


def test_a_class_without_a_cell_neither_vanishes_nor_wins(network: ResNet, crops: np.ndarray) -> None:
    with torch.no_grad():
        network.classifier.weight.zero_()
        network.classifier.bias.copy_(torch.tensor([0.0, 0.0, 3.0, -8.0]))
    train(network, crops, Settings(steps=80, batch=12, rate=3e-3, pull=0, absent=0.05))
    shares = softmax(logits_of(network, crops)).mean(axis=0)
    assert 0.01 < shares[2] < 0.15  # it had .9 of every cell
    assert shares[3] < 0.02


def test_replay_keeps_what_no_cell_teaches(network: ResNet, crops: np.ndarray) -> None:
    replay = replay_of([0, 1, 2, 3] * 8)
    settings = Settings(steps=60, batch=12, replayed=16, rate=3e-3, pull=0)

    def named(given: Replay | None) -> float:
        torch.manual_seed(0)
        net = ResNet(Basic, (1,), CLASSES).eval()
        train(net, crops, settings, given)
        with torch.no_grad():
            return replay.balanced(net.classifier(torch.from_numpy(replay.features)).double().numpy())

    assert named(replay) > 0.9
    assert named(None) < 0.7
