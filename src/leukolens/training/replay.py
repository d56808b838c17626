"""Features of some cells that taught a network, for whoever adapts its bundle to a laboratory of their own."""

from __future__ import annotations

import numpy as np

from leukolens.adaptation.replay import Replay, chosen, pack, room
from leukolens.models.resnet import ResNet
from leukolens.training.crops import Crops
from leukolens.training.familiarity import features_of
from leukolens.training.recipe import Recipe


def replay_of(network: ResNet, teach: Crops, recipe: Recipe) -> bytes | None:
    """The bytes of a bundle's ``replay.npz``; None where the network has no *pool* head.

    Args:
        network: In evaluation mode.
        teach: The wide crops that it learned from.
        recipe: That it followed.
    """
    if network.head != "pool":
        return None
    labs = [sample.lab for sample in teach.samples]
    rng = np.random.default_rng(recipe.seed)
    index = chosen(teach.truth, labs, rng, room(network.num_features))
    return pack(Replay(features_of(network, teach.pixels[index], recipe), teach.truth[index]))
