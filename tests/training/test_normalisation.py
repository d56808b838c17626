"""Statistics taken anew without torch are those that torch's own batch normalisation would have stored."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from leukolens.adaptation.normalisation import unpack
from leukolens.adaptation.onnx_convs import convolutions
from leukolens.adaptation.onnx_graph import FLOAT, graph_in
from leukolens.adaptation.onnx_weights import values
from leukolens.adaptation.renormalise import renormalised, views
from leukolens.models.resnet import ResNet, resnet18, resnet24, resnet50
from leukolens.reading.inputs import scaled
from leukolens.training.export import to_onnx
from leukolens.training.normalisation import normalisation_of

SIZE = 32
KERAS = {"head": "flatten", "bias": True, "stride_first": True}


def network(make: object, **options: object) -> ResNet:
    """As after some training: no scale, shift, mean or variance is what it began with."""
    torch.manual_seed(0)
    made = make(3, size=SIZE, **options).eval()  # type: ignore[operator]
    with torch.no_grad():
        for layer in made.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.uniform_(0.3, 1.5)
                layer.bias.normal_(0, 0.3)
                layer.running_mean.normal_(0, 0.3)
                layer.running_var.uniform_(0.5, 2)
    return made


def relearned(given: ResNet, crops: np.ndarray) -> ResNet:
    """Torch's own: running statistics reset, one pass in training mode over all views, averaged cumulatively."""
    norms = [layer for layer in given.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None
        layer.register_forward_hook(_with_plain_variance)
    with torch.no_grad():
        given.train()(torch.from_numpy(scaled(views(crops))))
    return given.eval()


def _with_plain_variance(layer: nn.BatchNorm2d, inputs: tuple[torch.Tensor], _: torch.Tensor) -> None:
    """Torch stores variances with a divisor of n - 1, but normalises with n; in so small images that shows."""
    if layer.training:
        count = inputs[0].numel() / inputs[0].shape[1]
        layer.running_var *= (count - 1) / count


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (24, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("make", "options"), [(resnet24, {}), (resnet24, KERAS)], ids=["resnet24", "as Keras has it"]
)
def test_the_graph_is_the_one_that_torch_would_have_exported(
    make: object, options: dict[str, object], crops: np.ndarray
) -> None:
    given = network(make, **options)
    model, packed = to_onnx(given, SIZE), normalisation_of(given)
    assert packed is not None
    own = renormalised(model, unpack(packed), crops, prior=0)
    expected = to_onnx(relearned(given, crops), SIZE)
    one, other = graph_in(own), graph_in(expected)
    assert set(one.weights) == set(other.weights)
    for name, place in one.weights.items():
        if place.kind == FLOAT:
            found, wanted = values(own, place), values(expected, other.weights[name])
            np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())
    asked = scaled(np.random.default_rng(1).integers(0, 256, (9, SIZE, SIZE, 3), dtype=np.uint8))
    logits = [
        onnxruntime.InferenceSession(one).run(["logits"], {"crops": asked})[0]
        for one in (model, own, expected)
    ]
    np.testing.assert_allclose(logits[1], logits[2], atol=2e-3 * np.abs(logits[2]).max())
    assert np.abs(logits[0] - logits[2]).max() > 0.1 * np.abs(logits[2]).max()


@pytest.mark.parametrize("make", [resnet18, resnet24, resnet50])
def test_every_convolution_of_the_exported_graph_is_named_with_its_scale_and_shift(make: object) -> None:
    given = network(make)
    packed = normalisation_of(given)
    assert packed is not None
    norms = unpack(packed)
    found = convolutions(to_onnx(given, SIZE), norms)
    layers = dict(given.named_modules())
    assert len(found) == len(norms) == sum(isinstance(layer, nn.Conv2d) for layer in layers.values())
    first, shortcut = (norms[f"network.{name}.weight"] for name in ("conv", "stages.1.0.shortcut.0"))
    np.testing.assert_array_equal(first.scale, layers["norm"].weight.detach().numpy())
    np.testing.assert_array_equal(shortcut.shift, layers["stages.1.0.shortcut.1"].bias.detach().numpy())


def test_a_network_of_another_normalisation_has_none() -> None:
    assert normalisation_of(resnet24(2, norm="group")) is None
