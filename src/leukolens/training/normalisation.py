"""Scale and shift of a network's batch normalisation, for whoever takes its statistics anew from a bundle."""

from __future__ import annotations

from torch import nn

from leukolens.adaptation.normalisation import Norm, pack
from leukolens.models.resnet import ResNet


def normalisation_of(network: ResNet) -> bytes | None:
    """The bytes of a bundle's ``normalisation.npz``; None where the network's normalisation is no batch-norm.

    Args:
        network: In evaluation mode, as `leukolens.training.export.to_onnx` exports it: its convolutions bear the
            same names there, with ``network.`` before.
    """
    layers = [
        (name, layer)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d)
    ]
    if not any(isinstance(layer, nn.BatchNorm2d) for _, layer in layers):
        return None
    # In every network of models/resnet.py each convolution is followed by its own normalisation.
    norms = {}
    for (name, convolution), (_, norm) in zip(layers[::2], layers[1::2], strict=True):
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.num_features == convolution.out_channels
        norms[f"network.{name}.weight"] = Norm(norm.weight.detach().numpy(), norm.bias.detach().numpy())
    return pack(norms)
