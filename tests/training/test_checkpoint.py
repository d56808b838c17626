"""A checkpoint is whole or absent, whatever happens while it is written."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from leukolens.errors import TrainingError
from leukolens.training import checkpoint
from leukolens.training.checkpoint import Average


def fails(code: int) -> Any:
    def failing(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return failing


TENSORS = {"network.a": torch.arange(6.0).view(2, 3), "optimiser.0.step": torch.tensor(3.0)}


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "epoch-001", TENSORS, {"steps": 4, "sums": [0.1, 1e-300]})
    tensors, facts = checkpoint.load(tmp_path / "epoch-001")
    assert facts == {"steps": 4, "sums": [0.1, 1e-300]}
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_any_memory_layout_is_saved(tmp_path: Path) -> None:
    spread = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    checkpoint.save(tmp_path / "epoch-001", {"a": spread, "b": spread.transpose(0, 1)}, {})
    tensors, _ = checkpoint.load(tmp_path / "epoch-001")
    assert torch.equal(tensors["a"], spread)
    assert torch.equal(tensors["b"], spread.transpose(0, 1))


@pytest.mark.parametrize(("module", "call"), [(os, "fsync"), (Path, "replace")])
@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "cannot be written")]
)
def test_a_failed_write_leaves_the_old_content_and_says_why(
    module: Any, call: str, code: int, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "metrics.jsonl"
    checkpoint.write_atomically(path, b"old")
    monkeypatch.setattr(module, call, fails(code))
    with pytest.raises(TrainingError, match=words) as caught:
        checkpoint.write_atomically(path, b"new")
    monkeypatch.undo()
    assert str(path) in caught.value.problem
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_the_disk_before_it_takes_the_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, told = tmp_path / "metrics.jsonl", []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda number: (told.append(f"fsync, {path.exists()}"), fsync(number))[1]
    )
    monkeypatch.setattr(Path, "replace", lambda self, to: (told.append("replace"), replace(self, to))[1])
    checkpoint.write_atomically(path, b"new")
    assert told == ["fsync, False", "replace"]


@pytest.mark.parametrize("writes", [0, 1])
def test_tensors_and_facts_of_two_times_never_pass_for_a_checkpoint(
    writes: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The second saving dies before its first or its second file."""
    path = tmp_path / "epoch-001"
    checkpoint.save(path, {"a": torch.tensor(1.0)}, {"value": 1})
    real, left = checkpoint.write_atomically, [writes]

    def dying(*arguments: Any) -> None:
        if not left[0]:
            raise SystemExit
        left[0] -= 1
        real(*arguments)

    monkeypatch.setattr(checkpoint, "write_atomically", dying)
    with pytest.raises(SystemExit):
        checkpoint.save(path, {"a": torch.tensor(2.0)}, {"value": 2})
    if checkpoint.complete(tmp_path):
        tensors, facts = checkpoint.load(path)
        assert float(tensors["a"]) == facts["value"]


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[: len(content) // 2],
                                    lambda content: b"\xff" * len(content)],
                         ids=["empty", "cut", "overwritten"])  # fmt: skip
def test_a_damaged_checkpoint_is_named_with_the_way_out(suffix: str, damage: Any, tmp_path: Path) -> None:
    path = tmp_path / "epoch-001"
    checkpoint.save(path, TENSORS, {"steps": 4})
    file = path.with_suffix(suffix)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(TrainingError, match=r"epoch-001.* is damaged") as caught:
        checkpoint.load(path)
    assert "Delete it" in caught.value.remedy


def test_half_a_checkpoint_is_none(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        checkpoint.save(tmp_path / f"epoch-{number:03d}", TENSORS, {})
    (tmp_path / "epoch-002.safetensors").unlink()
    (tmp_path / "epoch-003.json").unlink()
    assert checkpoint.complete(tmp_path) == [tmp_path / "epoch-001"]


def test_checkpoints_stand_in_the_order_of_their_epochs_beyond_999_too(tmp_path: Path) -> None:
    for number in (1000, 2, 999, 10):
        checkpoint.save(tmp_path / f"epoch-{number:03d}", TENSORS, {})
    assert [path.name for path in checkpoint.complete(tmp_path)] == [
        "epoch-002",
        "epoch-010",
        "epoch-999",
        "epoch-1000",
    ]


def test_a_removed_checkpoint_is_gone_and_may_be_removed_again(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "epoch-001", TENSORS, {})
    checkpoint.remove(tmp_path / "epoch-001")
    checkpoint.remove(tmp_path / "epoch-001")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_pickled(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "epoch-001", TENSORS, {"steps": 4})
    content = (tmp_path / "epoch-001.safetensors").read_bytes()
    # https://github.com/huggingface/safetensors: eight bytes of length, then JSON.
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header["network.a"]["shape"] == [2, 3]
    assert json.loads((tmp_path / "epoch-001.json").read_text()) == {"steps": 4}


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_an_optimiser_goes_on_from_its_tensors_to_the_bit(kind: Any, tmp_path: Path) -> None:
    def start() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        network = nn.Linear(5, 3)
        return network, kind(network.parameters(), lr=0.1)

    def steps(network: nn.Module, optimiser: torch.optim.Optimizer, count: range) -> None:
        for number in count:
            optimiser.zero_grad()
            network(torch.full((2, 5), float(number))).square().sum().backward()
            optimiser.step()

    network, optimiser = start()
    steps(network, optimiser, range(6))
    halfway, first = start()
    steps(halfway, first, range(3))
    checkpoint.save(tmp_path / "epoch-001", checkpoint.optimiser_tensors(first), {})
    tensors, _ = checkpoint.load(tmp_path / "epoch-001")
    resumed, second = start()
    resumed.load_state_dict(halfway.state_dict())
    checkpoint.restore_optimiser(second, tensors)
    steps(resumed, second, range(3, 6))
    assert torch.equal(resumed.weight, network.weight)  # type: ignore[arg-type]
    assert torch.equal(resumed.bias, network.bias)  # type: ignore[arg-type]


def test_parts_are_told_by_their_prefix() -> None:
    assert checkpoint.part(TENSORS, "network.").keys() == {"a"}
    assert checkpoint.part(TENSORS, "average.") == {}


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_the_average_warms_up_then_forgets_at_its_decay(decay: float) -> None:
    network = nn.Linear(1, 1, bias=False)
    values = np.random.default_rng(0).normal(size=60)
    average = Average(network, decay)
    expected = float(network.weight.detach())
    for step, value in enumerate(values, 1):
        with torch.no_grad():
            network.weight.fill_(value)
        average.follow(network, step)
        kept = min(decay, step / (step + 9))
        expected = kept * expected + (1 - kept) * value
        assert float(average.tensors["weight"]) == pytest.approx(expected, abs=1e-5)


def test_the_average_forgets_the_start_however_slow_its_decay() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 1000.0)
    average = Average(network, 0.998)
    nn.init.zeros_(network.weight)
    for step in range(1, 101):
        average.follow(network, step)
    # Shares s / (s + 9) multiply to 9! * 100! / 109!; .998 alone would keep four fifths.
    assert 0 <= float(average.tensors["weight"]) < 1e-6


def test_the_average_counts_batches_as_the_network_does() -> None:
    network = nn.BatchNorm2d(2)
    average = Average(network, 0.9)
    network.train()(torch.randn(2, 2, 3, 3))
    average.follow(network, 1)
    assert int(average.tensors["num_batches_tracked"]) == 1
    torch.testing.assert_close(average.tensors["running_mean"], 0.9 * network.running_mean)
