"""Checkpoints: safetensors beside JSON, written so that kill -9 leaves the old state or the new one."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from leukolens.errors import TrainingError

NETWORK, AVERAGE, OPTIMISER = "network.", "average.", "optimiser."


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces a file so that a reader, or a crash, meets the old content or the new, never a part.

    Raises:
        TrainingError: Where the disk is full or the folder cannot be written to.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        if error.errno == errno.ENOSPC:
            raise TrainingError(
                f"the disk is full; {path} was not written", "Free some space and go on with --resume"
            ) from error
        raise TrainingError(
            f"{path} cannot be written ({error.strerror})", "Check the run's folder"
        ) from error


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Writes ``path``.safetensors, then ``path``.json; only both together are a checkpoint.

    An older JSON goes first, so that it never stands beside the newer tensors.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.with_suffix(".json").unlink(missing_ok=True)
    write_atomically(path.with_suffix(".safetensors"), to_bytes(contiguous))
    write_atomically(path.with_suffix(".json"), (json.dumps(facts, indent=1) + "\n").encode())


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors, on the CPU, and facts of a checkpoint.

    Raises:
        TrainingError: Where it is damaged.
    """
    try:
        facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return load_file(path.with_suffix(".safetensors")), facts
    except (OSError, ValueError, SafetensorError) as error:
        raise TrainingError(
            f"{path}.safetensors is damaged ({error})", "Delete it to go on from the one before"
        ) from error


def remove(path: Path) -> None:
    """Deletes a checkpoint; the JSON first, so that no half of it passes for a whole."""
    path.with_suffix(".json").unlink(missing_ok=True)
    path.with_suffix(".safetensors").unlink(missing_ok=True)


def complete(folder: Path) -> list[Path]:
    """The whole checkpoints in a folder, without suffix, the earliest first."""
    return [
        file.with_suffix("")
        for file in sorted(folder.glob("epoch-*.json"), key=lambda file: (len(file.name), file.name))
        if file.with_suffix(".safetensors").is_file()
    ]


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as named tensors, ``<parameter>.<slot>``."""
    state = optimiser.state_dict()["state"]
    return {
        f"{OPTIMISER}{index}.{slot}": value for index, slots in state.items() for slot, value in slots.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Puts `optimiser_tensors` back into an optimiser of the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(OPTIMISER):
            index, slot = name.removeprefix(OPTIMISER).split(".")
            state.setdefault(int(index), {})[slot] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


class Average:
    """A running average of weights and batch-norm statistics that warms up.

    The first steps weigh ``step / (step + 9)`` at most; without that the start, near chance, lives on.

    Args:
        network: Whose weights to follow; the average starts as a copy of them.
        decay: Share of the old average that stays at each step once warm.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def follow(self, network: nn.Module, step: int) -> None:
        """Moves the average towards the network; ``step`` counts from 1."""
        share = 1 - min(self.decay, step / (step + 9))
        for name, value in network.state_dict().items():
            kept = self.tensors[name]
            if kept.is_floating_point():
                kept.lerp_(value, share)
            else:
                kept.copy_(value)
