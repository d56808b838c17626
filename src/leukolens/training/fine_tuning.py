"""Fine-tunes a bundle's network for a laboratory: the last layer first, as without torch, then all layers.

How far to go is chosen inside the cells that are taught. A fold of them is held out, the others train the network, and
the share of the way from start to end that names the fold best is gone with all of them. A start that training does
not improve on stays.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray

from leukolens.adaptation.learning import Learned, deal, learn
from leukolens.adaptation.onnx_head import head_of
from leukolens.adaptation.replay import Replay
from leukolens.adaptation.teacher import Own, Taught, Teacher
from leukolens.bundle import Bundle
from leukolens.models.resnet import ResNet
from leukolens.training.fine_tuning_network import graph_with, head_in, network_of, put_head
from leukolens.training.fine_tuning_steps import Settings, logits_of, train_on
from leukolens.training.normalisation import normalisation_of

OUTER_FOLDS = 3
INNER_FOLDS = 3
SHARES = (0.0, 0.25, 0.5, 0.75)
"""Of the way from the start to the end of training: what the inner fold chooses from. The last quarter of the way
gains hardly anything on cells that were not taught, and moves those of other laboratories most."""

Tick = Callable[[int], None]


def network_teacher(
    bundle: Bundle, *, settings: Settings | None = None, threads: int = 1, tick: Tick = lambda steps: None
) -> Teacher:
    """Teaches all layers.

    Args:
        bundle: The parent.
        settings: How long, how fast and how far.
        threads: That torch may use; another number gives other last bits.
        tick: Called with the steps that were made, or that need not be made any more; `steps_of` says how many there
            are in all.

    Raises:
        BundleError: Where the bundle's network cannot be trained on.
    """
    network_of(bundle)  # refused now, before cells are framed
    chosen = settings or Settings()

    def teach(taught: Taught, replay: Replay | None, rng: np.random.Generator) -> Own:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return _teach(bundle, taught, replay, rng, chosen, tick)
        finally:
            torch.set_num_threads(before)

    return Teacher("network", OUTER_FOLDS, teach)


def steps_of(settings: Settings | None = None) -> int:
    """How many steps judging and learning take at most: an inner and a whole training for each fold, and for all."""
    return 2 * (OUTER_FOLDS + 1) * (settings or Settings()).steps


def _teach(
    bundle: Bundle,
    taught: Taught,
    replay: Replay | None,
    rng: np.random.Generator,
    settings: Settings,
    tick: Tick,
) -> Own:
    folds = deal(taught.truth, taught.groups, INNER_FOLDS, rng)
    inner, asked = taught.only(folds != 0), taught.only(folds == 0)
    share = 0.0
    if len(inner) and len(asked):
        first, _ = _start(bundle, inner, replay, rng)
        end = _trained(first, inner, replay, settings, rng, tick)
        losses = [
            _surprise(logits_of(between(first, end, part), asked.crops), asked.truth) for part in SHARES
        ]
        share = SHARES[int(np.argmin(losses))]
    else:
        tick(settings.steps)
    first, learned = _start(bundle, taught, replay, rng)
    if not share:
        tick(settings.steps)
        return Own(learned.head, learned.strength)
    found = between(first, _trained(first, taught, replay, settings, rng, tick), share)
    return Own(head_in(found), learned.strength, graph_with(bundle, found), normalisation_of(found))


def _start(
    bundle: Bundle, taught: Taught, replay: Replay | None, rng: np.random.Generator
) -> tuple[ResNet, Learned]:
    """The parent's network with the last layer that learns without torch."""
    head, threads = head_of(bundle.classifier), torch.get_num_threads()
    learned = learn(head, taught.looks, taught.truth, taught.groups, replay, rng, threads)
    network = network_of(bundle)
    put_head(network, learned.head)
    return network, learned


def _trained(
    first: ResNet,
    taught: Taught,
    replay: Replay | None,
    settings: Settings,
    rng: np.random.Generator,
    tick: Tick,
) -> ResNet:
    network = deepcopy(first)
    train_on(network, taught.crops, taught.truth, replay, settings, rng, tick)
    return network


def between(first: ResNet, end: ResNet, share: float) -> ResNet:
    """A network on the straight way from one to the other.

    Wortsman et al., *Robust fine-tuning of zero-shot models*, CVPR 2022.

    Args:
        first: Where the way begins.
        end: Where it ends.
        share: Of the way, 0 to 1.
    """
    found, ends = deepcopy(first), end.state_dict()
    with torch.no_grad():
        for name, value in found.state_dict().items():
            if value.is_floating_point():
                value.lerp_(ends[name], share)
    return found


def _surprise(logits: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """Mean cross-entropy (natural logarithm), every class at hand weighing the same."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    of_each = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(truth)), truth]
    weight = 1 / np.bincount(truth)[truth]
    return float(weight @ of_each / weight.sum())
