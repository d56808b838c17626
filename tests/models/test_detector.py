"""The detector's network: its size, its cost, what its answers mean, and what is exported of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from leukolens.models import detector as module
from leukolens.models.detector import KINDS, RARE, Detector, Peaks, multiply_adds
from leukolens.reading import peaks
from leukolens.training.finding.targets import loss

DOCS = Path(__file__).resolve().parents[2] / "docs"
TINY: Any = {"widths": (4, 8, 8), "depths": (1, 1, 1), "neck": 8}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def shipped_size() -> Detector:
    torch.manual_seed(0)
    return Detector().eval()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (48, 16), (208, 272), (480, 640)])
def test_there_is_an_answer_every_four_pixels(shipped_size: Detector, height: int, width: int) -> None:
    with torch.inference_mode():
        heat, shape = shipped_size(torch.zeros(1, 3, height, width))
    assert heat.shape == (1, 3, height // 4, width // 4)
    assert shape.shape == (1, 4, height // 4, width // 4)


def test_reading_which_has_no_torch_agrees_with_the_network_on_what_its_numbers_mean() -> None:
    assert (peaks.STRIDE, peaks.UNIT) == (module.STRIDE, module.UNIT)
    assert KINDS == ("white_cell", "red_cell", "platelet")


def test_the_manual_says_how_large_it_is_and_what_it_costs(shipped_size: Detector) -> None:
    parameters = sum(parameter.numel() for parameter in shipped_size.parameters())
    operations = 2 * multiply_adds(shipped_size, 480, 640)
    for name in ("detector.md", "decisions/0008-finding.md"):
        page = " ".join((DOCS / name).read_text(encoding="utf-8").split())
        assert f"{parameters:,} parameters" in page
        assert f"{operations / 1e9:.2f} GFLOP" in page


def test_it_has_as_many_parameters_as_before(shipped_size: Detector) -> None:
    assert sum(parameter.numel() for parameter in shipped_size.parameters()) == 350_743


def test_a_field_costs_at_most_five_billion_operations(shipped_size: Detector) -> None:
    own = multiply_adds(shipped_size, 480, 640)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        shipped_size(torch.zeros(1, 3, 480, 640))
    # Both count 2 operations a multiplication with its addition.
    assert 2 * own == counter.get_total_flops()
    assert 2 * own <= 5e9


def test_counting_leaves_the_network_as_it_was() -> None:
    network = Detector(**TINY).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    multiply_adds(network, 32, 32)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(layer._forward_hooks for layer in network.modules())


def test_at_first_few_places_are_a_cells_centre(shipped_size: Detector) -> None:
    with torch.inference_mode():
        heat, shape = Detector()(torch.rand(2, 3, 96, 96) * 2 - 1)
    assert torch.equal(shipped_size.heat.bias, torch.full((3,), RARE))
    assert float(torch.sigmoid(heat).mean()) == pytest.approx(0.047, abs=0.02)
    assert float(shape.abs().max()) < 1


def test_every_parameter_learns() -> None:
    torch.manual_seed(1)
    network = Detector(**TINY)
    wanted = (
        torch.zeros(2, 3, 16, 16), torch.ones(2, 4, 16, 16), torch.ones(2, 2, 16, 16), torch.ones(2, 3, 16, 16)
    )  # fmt: skip
    wanted[0][:, :, 5, 7] = 1
    loss(network(torch.rand(2, 3, 64, 64) * 2 - 1), wanted).backward()
    still = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert still == []


class Fixed(nn.Module):
    """Answers with heatmap logits of its own, whatever it is shown."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, fields: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.logits, torch.zeros(len(self.logits), 4, *self.logits.shape[2:])


def test_peaks_are_what_is_highest_among_its_eight_neighbours() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(-1, 2, (2, 3, 13, 9)).astype(np.float32)
    heat, _ = Peaks(Fixed(torch.from_numpy(logits)))(torch.zeros(2, 3, 52, 36))  # type: ignore[arg-type]
    expected = np.zeros_like(logits)
    for image, kind, row, column in np.ndindex(*logits.shape):
        around = logits[image, kind, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        if logits[image, kind, row, column] == around.max():
            expected[image, kind, row, column] = 1 / (1 + np.exp(-logits[image, kind, row, column]))
    assert 0.05 < (expected > 0).mean() < 0.2
    np.testing.assert_allclose(heat.numpy(), expected, atol=1e-6)


def test_coarser_stages_reach_every_answer(shipped_size: Detector) -> None:
    """What is 60 pixels away, more than a red cell, still speaks: the coarsest stage sees that far."""
    field = torch.rand(1, 3, 256, 256, requires_grad=True)
    heat, _ = shipped_size(field)
    heat[0, 0, 32, 32].backward()
    assert field.grad is not None
    rows = field.grad.abs().sum(dim=(0, 1, 3)).nonzero().ravel()
    assert int(rows.min()) < 130 - 60
    assert int(rows.max()) > 130 + 60


def test_heat_that_nothing_explains_costs_more_than_none() -> None:
    heat = torch.zeros(1, 3, 4, 4)
    shape = torch.zeros(1, 4, 4, 4)
    wanted = (heat, shape, torch.zeros(1, 2, 4, 4), torch.ones(1, 3, 4, 4))
    quiet, loud = (loss((torch.full((1, 3, 4, 4), level), shape), wanted) for level in (-9.0, 0.0))
    assert float(quiet) < 1e-6
    assert float(loud) == pytest.approx(48 * 0.25 * float(-F.logsigmoid(torch.zeros(()))))
