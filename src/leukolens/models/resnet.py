"""ResNet-24, the network that Leukolens ships, and its kin by the same blocks.

ResNet-24 is the first 23 layers of ResNet-50 (stem convolution, max-pool, the 3 + 4 bottleneck blocks
of its first two stages) and one fully connected layer. He et al., *Deep residual learning for image
recognition*, CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Head = Literal["pool", "flatten"]
Norm = Literal["batch", "group"]
NormLayer = Callable[[int], nn.Module]


RESAMPLED = (0.1, 0.8, 0.1)
"""What bilinear resampling does to a row of pixels, on average: each takes about a tenth of either neighbour."""


def norm_layer(kind: Norm, *, epsilon: float = 1e-5, momentum: float = 0.1) -> NormLayer:
    """A maker of normalisation layers; ``momentum`` is the weight of the newest batch, as in torch."""
    if kind == "group":
        return lambda width: nn.GroupNorm(32, width, eps=epsilon)
    return partial(nn.BatchNorm2d, eps=epsilon, momentum=momentum)


class Shortcut(nn.Sequential):
    """The projection that a block's input takes where its shape changes."""

    def __init__(self, width_in: int, width_out: int, stride: int, norm: NormLayer, bias: bool) -> None:
        super().__init__(nn.Conv2d(width_in, width_out, 1, stride, bias=bias), norm(width_out))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions with a skip connection; the last is four times as wide.

    Args:
        width_in: Channels that come in.
        width: Channels of the 3x3 convolution.
        stride: Of the whole block.
        norm: Makes the normalisation layers.
        bias: Whether convolutions have one.
        stride_first: Stride in the first 1x1 (Keras, and the paper) instead of the 3x3 (torchvision).
    """

    expansion = 4

    def __init__(
        self, width_in: int, width: int, stride: int, norm: NormLayer, *, bias: bool, stride_first: bool
    ) -> None:
        super().__init__()
        width_out = width * self.expansion
        first, second = (stride, 1) if stride_first else (1, stride)
        self.conv1 = nn.Conv2d(width_in, width, 1, first, bias=bias)
        self.norm1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, second, padding=1, bias=bias)
        self.norm2 = norm(width)
        self.conv3 = nn.Conv2d(width, width_out, 1, bias=bias)
        self.norm3 = norm(width_out)
        changes = stride != 1 or width_in != width_out
        self.shortcut = Shortcut(width_in, width_out, stride, norm, bias) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(n, width_in, h, w) -> (n, 4 width, h / stride, w / stride)."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = F.relu(self.norm2(self.conv2(y)), inplace=True)
        y = self.norm3(self.conv3(y))
        return F.relu(y + self.shortcut(x), inplace=True)


class Basic(nn.Module):
    """Two 3x3 convolutions with a skip connection: the block of ResNet-18. Arguments as `Bottleneck`."""

    expansion = 1

    def __init__(
        self, width_in: int, width: int, stride: int, norm: NormLayer, *, bias: bool, stride_first: bool
    ) -> None:
        super().__init__()
        del stride_first  # its first convolution always takes the stride
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=bias)
        self.norm1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=bias)
        self.norm2 = norm(width)
        changes = stride != 1 or width_in != width
        self.shortcut = Shortcut(width_in, width, stride, norm, bias) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(n, width_in, h, w) -> (n, width, h / stride, w / stride)."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        return F.relu(y + self.shortcut(x), inplace=True)


class ResNet(nn.Module):
    """A residual network for crops of one cell.

    Args:
        block: `Bottleneck` or `Basic`.
        depths: Blocks a stage; stage ``i`` is ``64 * 2**i`` wide.
        classes: Number of logits.
        head: *pool*: global average, any input size; *flatten*: one weight a place, one input size.
        norm: *batch*, or *group* (32 groups), which carries no statistics of the training labs.
        size: Side of the input in pixels; only *flatten* binds the network to it.
        bias: Whether convolutions have a bias, as Keras' do.
        stride_first: See `Bottleneck`.
        epsilon: Of the normalisation.
        momentum: Of batch-norm's running statistics, the weight of the newest batch.
        smooth: Whether to soften what is asked as turning and scaling soften what is shown in training: as sharp as
            they are framed, crops are sharper than any that the network has learned from.
    """

    resampled: Tensor

    def __init__(
        self,
        block: type[Bottleneck] | type[Basic],
        depths: tuple[int, ...],
        classes: int,
        *,
        head: Head = "pool",
        norm: Norm = "batch",
        size: int = 112,
        bias: bool = False,
        stride_first: bool = False,
        epsilon: float = 1e-5,
        momentum: float = 0.1,
        smooth: bool = False,
    ) -> None:
        super().__init__()
        layer = norm_layer(norm, epsilon=epsilon, momentum=momentum)
        self.head, self.smooth = head, smooth
        if smooth:
            row = torch.tensor(RESAMPLED)
            self.register_buffer("resampled", torch.outer(row, row).repeat(3, 1, 1, 1), persistent=False)
        self.conv = nn.Conv2d(3, 64, 7, 2, padding=3, bias=bias)
        self.norm = layer(64)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        width_in, stages = 64, []
        for stage, depth in enumerate(depths):
            width, blocks = 64 * 2**stage, []
            for index in range(depth):
                stride = 2 if stage and index == 0 else 1
                blocks.append(block(width_in, width, stride, layer, bias=bias, stride_first=stride_first))
                width_in = width * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.num_features = width_in
        self.side = -(-size // 4 // 2 ** (len(depths) - 1))
        places = self.side**2 if head == "flatten" else 1
        self.classifier = nn.Linear(self.num_features * places, classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """He-normal convolutions, zero biases, as the paper starts."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward_features(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) -> the last feature map, (n, num_features, h / 8, w / 8) for two stages."""
        if self.smooth and not self.training:
            x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), self.resampled, groups=3)
        x = self.pool(F.relu(self.norm(self.conv(x)), inplace=True))
        features: Tensor = self.stages(x)
        return features

    def forward_head(self, features: Tensor) -> Tensor:
        """Feature map -> logits, (n, classes)."""
        pooled = features.mean(dim=(2, 3)) if self.head == "pool" else features.flatten(1)
        logits: Tensor = self.classifier(pooled)
        return logits

    def activation(self, features: Tensor) -> Tensor:
        """Exact class activation maps, (n, classes, h, w): their mean plus the bias is the logit.

        Zhou et al., *Learning deep features for discriminative localization*, CVPR 2016. Only networks
        with a *pool* head have them.
        """
        return F.conv2d(features, self.classifier.weight[:, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w), RGB as value / 127.5 - 1 -> logits, (n, classes)."""
        return self.forward_head(self.forward_features(x))


def resnet24(classes: int, **options: object) -> ResNet:
    """Stem, 3 + 4 bottleneck blocks, one fully connected layer."""
    return ResNet(Bottleneck, (3, 4), classes, **options)  # type: ignore[arg-type]


def resnet18(classes: int, **options: object) -> ResNet:
    """Four stages of two basic blocks."""
    return ResNet(Basic, (2, 2, 2, 2), classes, **options)  # type: ignore[arg-type]


def resnet50(classes: int, **options: object) -> ResNet:
    """Four stages of 3, 4, 6 and 3 bottleneck blocks."""
    return ResNet(Bottleneck, (3, 4, 6, 3), classes, **options)  # type: ignore[arg-type]


NETWORKS: dict[str, Callable[..., ResNet]] = {
    "resnet24": resnet24,
    "resnet18": resnet18,
    "resnet50": resnet50,
}


def count_layers(network: nn.Module) -> int:
    """Convolutions outside the shortcuts, max-pools and fully connected layers: 24 in ResNet-24."""
    counted = (nn.Conv2d, nn.MaxPool2d, nn.Linear)
    return sum(
        isinstance(module, counted) for name, module in network.named_modules() if ".shortcut" not in name
    )
