"""What a trained network's learned cells look like to it, and how far held-out ones lie from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from leukolens.card import Judgement
from leukolens.models.resnet import ResNet
from leukolens.reading.batch_check import FEWEST_CELLS
from leukolens.reading.evidence import evidence_of
from leukolens.reading.familiarity import Familiarity, learned
from leukolens.training.augment import centre
from leukolens.training.crops import Crops
from leukolens.training.recipe import Recipe

MOST_OF_A_KIND = 400
"""Cells of a class of a laboratory that its Gaussian is fitted to; more change nothing but the time."""
BATCH = 64
USUAL, UNLIKE = 0.95, 0.99


def features_of(network: ResNet, pixels: NDArray[np.uint8], recipe: Recipe) -> NDArray[np.float32]:
    """What the last layer sees of wide crops, uint8 (n, w, w, 3): float32 (n, d)."""
    found = []
    with torch.inference_mode():
        for at in range(0, len(pixels), BATCH):
            piece = torch.from_numpy(np.ascontiguousarray(pixels[at : at + BATCH]))
            inputs = centre(piece, recipe.framing.size, recipe.augment.margin)
            found.append(network.forward_features(inputs).mean(dim=(2, 3)).numpy())
    return np.concatenate(found) if found else np.zeros((0, network.num_features), np.float32)


def familiarity_of(network: ResNet, teach: Crops, recipe: Recipe) -> Familiarity | None:
    """What the cells that taught a network look like to it.

    Args:
        network: In evaluation mode.
        teach: The wide crops that it learned from.
        recipe: That it followed.

    Returns:
        None where it has no *pool* head, or no class of a laboratory has eight cells.
    """
    if network.head != "pool":
        return None
    rng = np.random.default_rng(recipe.seed)
    kinds = np.array([f"{sample.lab}/{sample.label}" for sample in teach.samples])
    members = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]
    chosen = np.sort(np.concatenate([rng.permutation(own)[:MOST_OF_A_KIND] for own in members]))
    samples = [teach.samples[place] for place in chosen]
    features = features_of(network, teach.pixels[chosen], recipe)
    labels = [sample.label for sample in samples]
    try:
        found = learned(features, labels, [sample.lab for sample in samples])
    except ValueError:
        return None
    weight, bias = (
        part.detach().float().numpy() for part in (network.classifier.weight, network.classifier.bias)
    )
    return replace(found, evidence=evidence_of(weight, bias, recipe.classes, features, labels))


def with_limits(
    judgement: Judgement,
    distances: NDArray[np.floating],
    known: NDArray[np.bool_],
    labs: Sequence[str],
) -> Judgement:
    """The judgement with what is usual among held-out cells, each answered by a network that never saw its group.

    Args:
        judgement: The rest of it.
        distances: (n,), each to what its network learned.
        known: (n,), which are white cells of the classes that were learned.
        labs: (n,), where they come from; those of fewer than 20 cells say nothing of a whole sample.
    """
    if not known.any():
        return judgement
    rows = np.asarray(distances, np.float64)
    usual, unlike = np.quantile(rows[known], [USUAL, UNLIKE])
    shares = [1 - USUAL]
    for lab in set(labs):
        own = known & (np.asarray(labs, dtype=object) == lab)
        if own.sum() >= FEWEST_CELLS:
            shares.append(float((rows[own] > usual).mean()))
    return judgement.model_copy(
        update={
            "usual_within": float(usual),
            "unlike_beyond": float(unlike),
            "outside_share": max(shares),
        }
    )
