"""Scale and shift of a network's batch normalisation, for whoever takes its statistics anew from a bundle."""

from __future__ import annotations

from torch import nn

from leukolens.adaptation.normalisation import Norm, pack
from leukolens.models.resnet import ResNet


def batch_norms(network: ResNet) -> dict[str, tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution with the batch normalisation behind it, by the name that its weights have in a bundle's graph.

    Args:
        network: As `leukolens.training.export.to_onnx` exports it: its layers bear the same names there, with
            ``network.`` before. Where its normalisation is of another kind, there are none.
    """
    found: dict[str, tuple[nn.Conv2d, nn.BatchNorm2d]] = {}
    before: tuple[str, nn.Conv2d] | None = None
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            before = name, layer
        elif isinstance(layer, nn.BatchNorm2d) and before:
            found[f"network.{before[0]}.weight"] = before[1], layer
    return found


def normalisation_of(network: ResNet) -> bytes | None:
    """The bytes of a bundle's ``normalisation.npz``; None where the network's normalisation is no batch-norm."""
    layers = batch_norms(network)
    norms = {
        name: Norm(norm.weight.detach().numpy(), norm.bias.detach().numpy())
        for name, (_, norm) in layers.items()
    }
    return pack(norms) if norms else None
