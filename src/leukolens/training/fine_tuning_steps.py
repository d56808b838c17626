"""All layers at a low rate, from a laboratory's cells: what a step shows, and what holds it to what was known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from leukolens.adaptation.replay import Replay
from leukolens.models.resnet import ResNet
from leukolens.training.augment import augmented, to_input
from leukolens.training.precision import processor_has_bfloat16
from leukolens.training.recipe import Augment, Optimiser
from leukolens.training.schedule import rate as rate_at

VIEWS = Augment.model_validate(
    {
        "rotation": 20,
        "shift": 0.04,
        "scale": (0.9, 1.15),
        "flips": True,
        "colour": 0.1,
        "stain": 0.1,
        "blur": 0.1,
    }
)
"""Modest, beside quarter turns: crops have no margin to turn into view, and their stain is the one that is wanted."""
AT_A_TIME = 32


@dataclass(frozen=True, slots=True)
class Settings:
    """How long, how fast and how far.

    Attributes:
        steps: Of one fit.
        batch: Cells a step, as many of each class.
        replayed: Features of the bundle's own cells a step.
        rate: Highest learning rate; it rises over a tenth of the steps and falls to 0 along a half cosine.
        pull: Towards the first weights, over the rate: what each step takes back of the way (L2-SP, Li et al.,
            *Explicit inductive bias for transfer learning*, ICML 2018, decoupled as in AdamW).
        smoothing: Share of a label that is spread over the laboratory's classes.
        absent: Largest share of a label that goes to classes without a cell at hand, as the parent would give it.
    """

    steps: int = 80
    batch: int = 16
    replayed: int = 64
    rate: float = 3e-4
    pull: float = 100.0
    smoothing: float = 0.05
    absent: float = 0.05


def train_on(
    network: ResNet,
    crops: NDArray[np.uint8],
    truth: NDArray[np.int64],
    replay: Replay | None,
    settings: Settings,
    rng: np.random.Generator,
    tick: Callable[[int], None],
) -> None:
    """Trains a network on, in place.

    Normalisation keeps the statistics of what was learned before, and learns its scale and shift: those of a few
    cells of one laboratory would move the cells of all others.

    Args:
        network: In evaluation mode, which it stays in; its last layer knows the cells already.
        crops: uint8 (n, size, size, 3).
        truth: (n,), their classes.
        replay: Features of the bundle's own cells; they teach the last layer alone.
        settings: How long, how fast and how far.
        rng: Draws cells, and seeds their views.
        tick: Called with 1 after each step.
    """
    targets = _targets(network, crops, truth, settings)
    draw = torch.Generator().manual_seed(int(rng.integers(2**31)))
    parameters: list[Tensor] = list(network.parameters())
    first = [parameter.detach().clone() for parameter in parameters]
    optimiser = torch.optim.AdamW(parameters, lr=settings.rate, betas=(0.9, 0.99), weight_decay=0)
    pixels, side = torch.from_numpy(crops), crops.shape[1]
    softens, network.smooth = network.smooth, False  # its views are resampled already
    course = Optimiser.model_validate({"rate": settings.rate, "warmup": 0.1, "cosine": True})
    for step in range(settings.steps):
        rate = rate_at(course, step, settings.steps)
        for group in optimiser.param_groups:
            group["lr"] = rate
        chosen = torch.from_numpy(_even(truth, settings.batch, rng))
        shown = quarter_turned(pixels[chosen], draw)
        views = augmented(shown, side, VIEWS, draw).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=processor_has_bfloat16()):
            logits = network(views)
        loss = -(targets[chosen] * F.log_softmax(logits.float(), 1)).sum(1).mean()
        if replay is not None:
            kept = _even(replay.truth, settings.replayed, rng)
            known = network.classifier(torch.from_numpy(replay.features[kept]))
            loss = loss + F.cross_entropy(
                known, torch.from_numpy(replay.truth[kept]), label_smoothing=settings.smoothing
            )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(parameters, first, min(1.0, rate * settings.pull))
        tick(1)
    network.smooth = softens


def quarter_turned(crops: Tensor, draw: torch.Generator) -> Tensor:
    """Crops (n, size, size, 3), each turned by none, one, two or three quarters: a smear has no up."""
    turns = torch.randint(4, (len(crops),), generator=draw).tolist()
    return torch.stack([crop.rot90(turn) for crop, turn in zip(crops, turns, strict=True)])


def _targets(
    network: ResNet, crops: NDArray[np.uint8], truth: NDArray[np.int64], settings: Settings
) -> Tensor:
    """What is asked of each cell, (n, classes): its class, softened, and what the network gave absent classes before.

    Without the latter, classes without a cell at hand would vanish: no label ever speaks for them. Without a limit to
    it they would keep the cells that the network gave them wrongly.
    """
    classes = network.classifier.out_features
    labels = torch.from_numpy(truth)
    present = torch.bincount(labels, minlength=classes) > 0
    targets = (1 - settings.smoothing) * F.one_hot(labels, classes).float()
    targets = targets + settings.smoothing * present / present.sum()
    given = torch.from_numpy(logits_of(network, crops)).float().softmax(1) * ~present
    share = given.sum(1, keepdim=True).clamp_min(torch.finfo(given.dtype).tiny)
    given = given * (share.clamp_max(settings.absent) / share)
    return targets * (1 - given.sum(1, keepdim=True)) + given


def logits_of(network: ResNet, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n, classes) of crops uint8 (n, size, size, 3) as they are."""
    with torch.no_grad():
        found = [
            network(to_input(piece).contiguous(memory_format=torch.channels_last))
            for piece in torch.split(torch.from_numpy(crops), AT_A_TIME)
        ]
    return torch.cat(found).double().numpy()


def _even(truth: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Places (count,) of cells, drawn so that every class comes as often."""
    weight = 1 / np.bincount(truth)[truth]
    return rng.choice(len(truth), count, p=weight / weight.sum())
