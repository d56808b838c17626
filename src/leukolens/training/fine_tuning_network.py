"""A bundle's network as torch trains it, made from its graph alone, and put back into the same graph.

In a graph batch normalisation is folded into the convolution before it. With its scale and shift at hand it is taken
out again: a convolution whose outputs have variance 1, and a normalisation that takes their mean away.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from leukolens.adaptation.normalisation import Norm, unpack
from leukolens.adaptation.onnx_convs import Convolution, convolutions
from leukolens.adaptation.onnx_head import Head, head_of, with_head
from leukolens.adaptation.onnx_weights import put, values
from leukolens.adaptation.renormalise import LEAST_SCALE
from leukolens.bundle import Bundle
from leukolens.errors import BundleError
from leukolens.models.resnet import NETWORKS, ResNet
from leukolens.reading.engine import Engine
from leukolens.training.normalisation import batch_norms

CLOSE = 1e-4
"""Of the largest logit, and of 1: how far torch and the graph may differ."""


def network_of(bundle: Bundle) -> ResNet:
    """The network that the bundle's graph computes, in evaluation mode, with its weights' names of training.

    Its normalisation has the scale and shift that it was trained to. A channel whose scale is about 0 gets 1, and its
    convolution what was left of it.

    Raises:
        BundleError: Where the bundle carries no normalisation, or no network of ours answers as its graph does.
    """
    card = bundle.card
    if bundle.normalisation is None:
        raise BundleError(
            f"bundle {card.name} carries no normalisation, so its network cannot be trained on",
            "Export it again from its run with `leukolens export`, or leave --fine-tune out",
        )
    known = unpack(bundle.normalisation)
    places = convolutions(bundle.classifier, known)
    # Which of its convolutions takes a block's stride, and whether it softens what it is asked, a graph's weights do
    # not say: its answers do.
    for stride_first, smooth in product((False, True), repeat=2):
        if card.network in NETWORKS:
            kind = NETWORKS[card.network]
            network = kind(len(card.classes), stride_first=stride_first, smooth=smooth).eval()
            if _filled(network, bundle.classifier, places, known) and _agrees(network, bundle):
                return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
    raise BundleError(
        f"the graph of bundle {card.name} is no {card.network} with batch normalisation",
        "Leave --fine-tune out: the last layer learns without it",
    )


def graph_with(bundle: Bundle, network: ResNet) -> bytes:
    """The bundle's graph with this network's weights in place of its own, normalisation folded in.

    Args:
        bundle: That the network was made from.
        network: Since then trained.

    Raises:
        BundleError: Where a weight is no number.
    """
    assert bundle.normalisation is not None
    layers = batch_norms(network)
    changed = bytearray(bundle.classifier)
    for place in convolutions(bundle.classifier, unpack(bundle.normalisation)):
        convolution, norm = layers[place.weight.name]
        weight, bias = _folded(convolution, norm)
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise BundleError(
                f"training left what is no number in {place.weight.name!r}", "Leave --fine-tune out"
            )
        put(changed, place.weight, weight.astype(np.float32))
        put(changed, place.bias, bias.astype(np.float32))
    return with_head(bytes(changed), head_in(network))


def head_in(network: ResNet) -> Head:
    """The network's last layer."""
    layer = network.classifier
    return Head(layer.weight.detach().double().numpy().copy(), layer.bias.detach().double().numpy().copy())


def put_head(network: ResNet, head: Head) -> None:
    """Gives the network another last layer."""
    with torch.no_grad():
        network.classifier.weight.copy_(torch.from_numpy(head.weight))
        network.classifier.bias.copy_(torch.from_numpy(head.bias))


def _filled(network: ResNet, model: bytes, places: tuple[Convolution, ...], known: dict[str, Norm]) -> bool:
    """Gives the network a graph's weights; False where they do not fit."""
    layers = batch_norms(network)
    shapes = {name: tuple(convolution.weight.shape) for name, (convolution, _) in layers.items()}
    head = head_of(model)
    if shapes != {place.weight.name: place.weight.shape for place in places}:
        return False
    if tuple(network.classifier.weight.shape) != head.weight.shape:
        return False
    for place in places:
        convolution, norm = layers[place.weight.name]
        given = known[place.weight.name]
        scale = given.scale.astype(np.float64)
        scale[np.abs(scale) < LEAST_SCALE] = 1
        weight = values(model, place.weight).reshape(place.weight.shape) / scale[:, None, None, None]
        mean = (given.shift - values(model, place.bias)) / scale
        with torch.no_grad():
            convolution.weight.copy_(torch.from_numpy(weight))
            norm.weight.copy_(torch.from_numpy(scale))
            norm.bias.copy_(torch.from_numpy(given.shift))
            norm.running_mean.copy_(torch.from_numpy(mean))  # type: ignore[union-attr]
            norm.running_var.fill_(1 - norm.eps)  # type: ignore[union-attr]
    put_head(network, head)
    return True


def _folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights and bias of the convolution that gives what both give."""
    scale, shift, mean, variance = (
        part.detach().double().numpy()
        for part in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        if part is not None
    )
    factor = scale / np.sqrt(variance + norm.eps)
    weight = convolution.weight.detach().double().numpy() * factor[:, None, None, None]
    return weight, shift - factor * mean


def _agrees(network: ResNet, bundle: Bundle) -> bool:
    """Whether it answers as the graph does, asked of noise in smooth patches."""
    draw = torch.Generator().manual_seed(0)
    coarse = 2 * torch.rand(4, 3, 8, 8, generator=draw) - 1
    shown = nn.functional.interpolate(coarse, [bundle.card.framing.size] * 2, mode="bilinear")
    expected = torch.from_numpy(Engine(bundle).logits(shown.numpy()))
    with torch.inference_mode():
        apart = float((network(shown) - expected).abs().max())
    return apart <= CLOSE * max(1.0, float(expected.abs().max()))
