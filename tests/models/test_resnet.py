"""ResNet-24 and its kin: layers, sizes and arithmetic as published."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn

from leukolens.models.resnet import (
    NETWORKS,
    RESAMPLED,
    Basic,
    Bottleneck,
    ResNet,
    Shortcut,
    count_layers,
    norm_layer,
    resnet18,
    resnet24,
    resnet50,
)

Floats = NDArray[np.float64]
ORIGINAL: dict[str, Any] = {
    "head": "flatten",
    "size": 224,
    "bias": True,
    "stride_first": True,
    "epsilon": 1e-3,
    "momentum": 0.01,
}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def running_statistics(network: nn.Module) -> int:
    return sum(buffer.numel() for name, buffer in network.named_buffers() if "running" in name)


@pytest.fixture(autouse=True)
def _quick_start(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of the large kin are only counted, so they need not be drawn."""
    if "kin" in request.node.name or "resnet50" in request.node.name:
        monkeypatch.setattr(nn.init, "kaiming_normal_", lambda tensor, **_: tensor)
        monkeypatch.setattr(nn.init, "kaiming_uniform_", lambda tensor, **_: tensor)


def shaken(module: nn.Module, seed: int = 0) -> nn.Module:
    """In float64 and evaluation mode, every weight and statistic drawn at random, so that none hides."""
    draw = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            continue
        fan_in = max(1, tensor[0].numel()) if tensor.ndim > 1 else 1
        values = torch.randn(tensor.shape, generator=draw, dtype=torch.float64) / math.sqrt(fan_in)
        tensor.copy_(values.abs() + 0.5 if "running_var" in name else values)
    return module


# The oracle: the layers written out in numpy, float64.


def convolved(x: Floats, layer: nn.Conv2d) -> Floats:
    pad, stride = int(layer.padding[0]), layer.stride[0]
    weight = layer.weight.detach().numpy()
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(2, 3))
    answer = np.einsum("nchwij,ocij->nohw", windows[:, :, ::stride, ::stride], weight, optimize=True)
    return answer if layer.bias is None else answer + layer.bias.detach().numpy()[:, None, None]


def normalised(x: Floats, layer: nn.Module) -> Floats:
    if isinstance(layer, nn.GroupNorm):
        grouped = x.reshape(len(x), layer.num_groups, -1)
        spread = np.sqrt(grouped.var(axis=2, keepdims=True) + layer.eps)
        x = ((grouped - grouped.mean(axis=2, keepdims=True)) / spread).reshape(x.shape)
    else:
        assert isinstance(layer, nn.BatchNorm2d)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        mean, variance = layer.running_mean.numpy(), layer.running_var.numpy()
        x = (x - mean[:, None, None]) / np.sqrt(variance + layer.eps)[:, None, None]
    gain, offset = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    return x * gain[:, None, None] + offset[:, None, None]


def rectified(x: Floats) -> Floats:
    return np.maximum(x, 0)


def block_by_hand(x: Floats, block: nn.Module) -> Floats:
    assert isinstance(block, Bottleneck | Basic)
    shortcut = x
    if isinstance(block.shortcut, Shortcut):
        shortcut = normalised(convolved(x, block.shortcut[0]), block.shortcut[1])  # type: ignore[arg-type]
    y = rectified(normalised(convolved(x, block.conv1), block.norm1))
    y = normalised(convolved(y, block.conv2), block.norm2)
    if isinstance(block, Bottleneck):
        y = normalised(convolved(rectified(y), block.conv3), block.norm3)
    return rectified(y + shortcut)


def network_by_hand(x: Floats, network: ResNet) -> Floats:
    x = rectified(normalised(convolved(x, network.conv), network.norm))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    x = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2].max(axis=(4, 5))
    for stage in network.stages:
        for block in stage:  # type: ignore[attr-defined]
            x = block_by_hand(x, block)
    x = x.mean(axis=(2, 3)) if network.head == "pool" else x.reshape(len(x), -1)
    return x @ network.classifier.weight.detach().numpy().T + network.classifier.bias.detach().numpy()


def test_resnet24_has_24_layers_22_convolutions_a_max_pool_and_a_fully_connected_one() -> None:
    network = resnet24(4)
    convolutions = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and "shortcut" not in name
    ]
    assert len(convolutions) == 22
    assert sum(isinstance(module, nn.MaxPool2d) for module in network.modules()) == 1
    assert sum(isinstance(module, nn.Linear) for module in network.modules()) == 1
    assert count_layers(network) == 24


def test_its_first_23_layers_are_those_of_resnet50() -> None:
    small, large = resnet24(4), resnet50(4)
    shapes = {name: value.shape for name, value in large.state_dict().items()}
    own = {name: value.shape for name, value in small.state_dict().items() if "classifier" not in name}
    assert own == {name: shapes[name] for name in own}
    beyond = {name for name in shapes if not name.startswith(("stages.2", "stages.3", "classifier"))}
    assert beyond == set(own)
    assert count_layers(small) - 1 == 23


def test_kin_count_as_their_names_say_once_the_max_pool_is_left_out() -> None:
    assert count_layers(resnet18(4)) - 1 == 18
    assert count_layers(resnet50(4)) - 1 == 50


def test_parameter_counts_are_pinned() -> None:
    assert parameters(resnet24(4)) == 1_446_980
    # The original layout, counted as Keras counts: running statistics too.
    original = resnet24(4, **ORIGINAL)
    assert parameters(original) + running_statistics(original) == 3_065_732


@pytest.mark.parametrize(("build", "published"), [(resnet18, 11_689_512), (resnet50, 25_557_032)])
def test_kin_have_as_many_parameters_as_published_for_imagenet(build: Any, published: int) -> None:
    assert parameters(build(1000)) == published


@pytest.mark.parametrize(
    ("name", "stride", "features"), [("resnet24", 8, 512), ("resnet18", 32, 512), ("resnet50", 32, 2048)]
)
@torch.inference_mode()
def test_features_have_the_width_and_stride_of_the_last_stage(name: str, stride: int, features: int) -> None:
    network = NETWORKS[name](5).eval()
    assert network.num_features == features
    maps = network.forward_features(torch.zeros(2, 3, 64, 96))
    assert maps.shape == (2, features, 64 // stride, 96 // stride)
    assert network.forward_head(maps).shape == (2, 5)


@pytest.mark.parametrize("head", ["pool", "flatten"])
@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("stride_first", [False, True])
def test_every_layout_answers_and_learns(head: Any, norm: Any, stride_first: bool) -> None:
    torch.manual_seed(0)
    network = resnet24(3, head=head, norm=norm, stride_first=stride_first, size=32, bias=True)
    logits = network(torch.randn(2, 3, 32, 32))
    assert logits.shape == (2, 3)
    nn.functional.cross_entropy(logits, torch.tensor([0, 2])).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert all(bool(parameter.grad.isfinite().all()) for parameter in network.parameters())  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [(32, 32), (57, 57), (112, 80), (33, 40)])
@torch.inference_mode()
def test_a_pool_head_takes_any_size(size: tuple[int, int]) -> None:
    assert resnet24(4).eval()(torch.zeros(1, 3, *size)).shape == (1, 4)


class TestSoftened:
    @staticmethod
    def pair() -> tuple[ResNet, ResNet]:
        torch.manual_seed(0)
        plain = resnet24(3).eval()
        soft = resnet24(3, smooth=True).eval()
        soft.load_state_dict(plain.state_dict())
        return plain, soft

    @torch.inference_mode()
    def test_it_answers_as_the_plain_network_does_of_softened_crops(self) -> None:
        plain, soft = self.pair()
        crops = torch.rand(3, 3, 40, 40) * 2 - 1
        softened = ndimage.convolve1d(crops.numpy(), RESAMPLED, axis=2, mode="nearest")
        softened = ndimage.convolve1d(softened, RESAMPLED, axis=3, mode="nearest")
        expected = plain(torch.from_numpy(softened))
        torch.testing.assert_close(soft(crops), expected, rtol=1e-4, atol=1e-4)
        assert (plain(crops) - expected).abs().max() > 1e-3

    @torch.inference_mode()
    def test_training_shows_what_it_is_given(self) -> None:
        plain, soft = self.pair()
        crops = torch.rand(3, 3, 40, 40) * 2 - 1
        torch.testing.assert_close(soft.train()(crops), plain.train()(crops))

    def test_it_softens_about_as_much_as_bilinear_resampling_does(self) -> None:
        # The variance that a bilinear kernel adds to a row, at every place between two pixels: 1/6 on average.
        between = np.linspace(0, 1, 1001)
        resampled = float(np.mean(between * (1 - between)))
        own = RESAMPLED[0] + RESAMPLED[2]
        assert sum(RESAMPLED) == pytest.approx(1)
        assert own == pytest.approx(resampled, rel=0.25)


@pytest.mark.parametrize("size", [32, 33, 40, 57, 100, 113])
@torch.inference_mode()
def test_a_flatten_head_fits_the_size_it_was_made_for(size: int) -> None:
    network = resnet24(4, head="flatten", size=size).eval()
    assert network.forward_features(torch.zeros(1, 3, size, size)).shape[2:] == (network.side,) * 2
    assert network(torch.zeros(1, 3, size, size)).shape == (1, 4)
    with pytest.raises(RuntimeError):
        network(torch.zeros(1, 3, size + 16, size + 16))


BLOCKS: list[tuple[type[Bottleneck] | type[Basic], int, int, int, bool]] = [
    (Bottleneck, 64, 16, 1, False),
    (Bottleneck, 64, 16, 2, False),
    (Bottleneck, 64, 16, 2, True),
    (Bottleneck, 32, 32, 1, False),
    (Basic, 32, 32, 1, False),
    (Basic, 32, 64, 2, False),
]


@pytest.mark.parametrize(("kind", "width_in", "width", "stride", "stride_first"), BLOCKS)
@pytest.mark.parametrize("norm", ["batch", "group"])
@torch.inference_mode()
def test_a_blocks_arithmetic_is_that_of_the_layers_written_out(
    kind: Any, width_in: int, width: int, stride: int, stride_first: bool, norm: Any
) -> None:
    layer = norm_layer(norm, epsilon=1e-3)
    if norm == "group":  # 32 groups want 32 channels
        width, width_in = 2 * width, 2 * width_in
    block = shaken(kind(width_in, width, stride, layer, bias=True, stride_first=stride_first))
    x = torch.randn(2, width_in, 9, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = block_by_hand(x.numpy(), block)
    assert expected.std() > 0.1
    np.testing.assert_allclose(block(x.clone()).numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("head", "norm"), [("pool", "batch"), ("flatten", "group")])
@torch.inference_mode()
def test_the_whole_network_is_its_layers_written_out(head: Any, norm: Any) -> None:
    network = shaken(resnet24(4, head=head, norm=norm, size=32, bias=head == "flatten", stride_first=True))
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert isinstance(network, ResNet)
    np.testing.assert_allclose(network(x).numpy(), network_by_hand(x.numpy(), network), rtol=1e-7, atol=1e-9)


def test_gradients_pass_through_the_shortcuts_where_the_residual_branch_is_dead() -> None:
    torch.manual_seed(0)
    network = resnet24(4).double().eval()
    for module in network.modules():
        if isinstance(module, Bottleneck):
            nn.init.zeros_(module.norm3.weight)  # type: ignore[arg-type]
            nn.init.zeros_(module.norm3.bias)  # type: ignore[arg-type]
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64, requires_grad=True)
    network(x).sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().max()) > 1e-6
    dead = [block.conv1.weight.grad for stage in network.stages for block in stage]  # type: ignore[attr-defined]
    assert all(float(gradient.abs().max()) == 0 for gradient in dead)


@torch.inference_mode()
def test_a_block_whose_residual_branch_is_dead_is_the_identity_of_what_is_positive() -> None:
    block = Bottleneck(64, 16, 1, norm_layer("batch"), bias=False, stride_first=False).eval()
    block.norm3.weight.zero_()  # type: ignore[operator]
    x = torch.randn(2, 64, 5, 5)
    torch.testing.assert_close(block(x.clone()), x.clamp_min(0))


@torch.inference_mode()
def test_class_activation_maps_are_exact() -> None:
    network = shaken(resnet24(4))
    assert isinstance(network, ResNet)
    x = torch.randn(2, 3, 48, 56, dtype=torch.float64)
    features = network.forward_features(x)
    maps = network.activation(features)
    assert maps.shape == (2, 4, 6, 7)
    torch.testing.assert_close(maps.mean(dim=(2, 3)) + network.classifier.bias, network(x))


def test_group_norm_carries_nothing_of_the_labs_it_saw() -> None:
    network = resnet24(4, norm="group")
    assert list(network.buffers()) == []
    assert running_statistics(resnet24(4)) > 0


def test_with_group_norm_an_answer_does_not_depend_on_its_neighbours() -> None:
    torch.manual_seed(0)
    network = resnet24(4, norm="group").train()
    x = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(network(x)[:1], network(x[:1]), rtol=1e-4, atol=1e-4)


def test_momentum_is_the_weight_of_the_newest_batch() -> None:
    network = resnet24(4, momentum=0.25)
    x = torch.randn(4, 3, 32, 32)
    with torch.inference_mode():
        mean = network.conv(x).mean(dim=(0, 2, 3))
        network.train()(x)
    running = network.norm.running_mean
    torch.testing.assert_close(running, 0.25 * mean, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("epsilon", [1e-5, 1e-3])
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_epsilon_reaches_every_normalisation(epsilon: float, norm: Any) -> None:
    network = resnet24(4, norm=norm, epsilon=epsilon)
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d | nn.GroupNorm)]
    # A stem, 7 blocks of 3, and 2 projections.
    assert len(layers) == 1 + 7 * 3 + 2
    assert {layer.eps for layer in layers} == {epsilon}


def test_convolutions_start_he_normal_and_biases_at_zero() -> None:
    torch.manual_seed(0)
    network = resnet24(4, bias=True)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            assert float(module.weight.detach().std()) == pytest.approx(math.sqrt(2 / fan_in), rel=0.06)
            assert module.bias is not None
            assert not module.bias.detach().any()


@pytest.mark.parametrize(("stride_first", "strides"), [(True, (2, 1)), (False, (1, 2))])
def test_stride_stands_where_keras_or_torchvision_puts_it(
    stride_first: bool, strides: tuple[int, int]
) -> None:
    block = resnet24(4, stride_first=stride_first).stages[1][0]  # type: ignore[index]
    assert (block.conv1.stride[0], block.conv2.stride[0]) == strides
    assert block.shortcut[0].stride[0] == 2
