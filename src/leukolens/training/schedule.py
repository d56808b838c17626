"""What is decided before a run starts: the order of crops, the size they are shown at, the rate."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from leukolens.datasets.base import Sample
from leukolens.training.recipe import Optimiser, Recipe, Schedule


def draws(schedule: Schedule, available: int) -> int:
    """Crops an epoch shows, a whole number of batches where there are enough."""
    wanted = schedule.draws or available
    return max(min(wanted, schedule.batch), wanted // schedule.batch * schedule.batch)


def weights(samples: tuple[Sample, ...], balance: float) -> NDArray[np.float64]:
    """How often each sample is drawn, (n,), adding up to 1.

    Every (lab, class) weighs its size to the power ``1 - balance``.
    """
    kinds = [(sample.lab, sample.label) for sample in samples]
    sizes = Counter(kinds)
    drawn = np.array([sizes[kind] ** -balance for kind in kinds])
    return np.asarray(drawn / drawn.sum(), dtype=np.float64)


def order(recipe: Recipe, samples: tuple[Sample, ...], epoch: int) -> NDArray[np.int64]:
    """The samples that an epoch shows, in order: (draws,), from seed and epoch alone.

    Drawn systematically over a shuffled row, so that no sample comes a second time before its weight
    allows it.
    """
    rng = np.random.default_rng([recipe.seed, epoch])
    count = draws(recipe.schedule, len(samples))
    shuffled = rng.permutation(len(samples))
    steps = np.cumsum(weights(samples, recipe.sampling.balance)[shuffled])
    picked = np.searchsorted(steps, (np.arange(count) + rng.random()) / count)
    chosen: NDArray[np.int64] = shuffled[np.minimum(picked, len(samples) - 1)]
    return rng.permutation(chosen)


def size(recipe: Recipe, epoch: int) -> int:
    """Side of the crops that this epoch (from 1) shows, in pixels."""
    small = epoch <= recipe.schedule.small_epochs
    return min(recipe.schedule.small_size, recipe.framing.size) if small else recipe.framing.size


def judged(recipe: Recipe, epoch: int) -> bool:
    """Whether what is held out is asked after this epoch (from 1)."""
    return epoch % recipe.validation.every == 0 or epoch == recipe.schedule.epochs


def rate(spec: Optimiser, step: int, steps: int) -> float:
    """Learning rate at a step (from 0) out of ``steps``: a linear rise, then level or a half cosine."""
    rise = max(1, round(spec.warmup * steps)) if spec.warmup else 0
    if step < rise:
        return spec.rate * (step + 1) / rise
    if not spec.cosine:
        return spec.rate
    return spec.rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def optimiser(network: nn.Module, spec: Optimiser) -> torch.optim.Optimizer:
    """The recipe's optimiser; only weights of two dimensions and more decay."""
    plain = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    exempt = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": plain, "weight_decay": spec.decay}, {"params": exempt, "weight_decay": 0.0}]
    kind = torch.optim.AdamW if spec.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=spec.rate, eps=1e-7)
