"""Finds white cells, red cells and platelets: centre heatmaps with size, on a slim trunk of ResNet's blocks.

Zhou et al., *Objects as points*, 2019: a cell is the peak of its kind's heatmap; box sides and the peak's
place between cells of the grid are read off there. Lin et al., *Feature pyramid networks for object
detection*, CVPR 2017: coarser stages, which see more around a cell, are added to the finer ones.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leukolens.models.resnet import Bottleneck, norm_layer

KINDS: tuple[str, ...] = ("white_cell", "red_cell", "platelet")
STRIDE = 4
COARSEST = 16
RARE = -3.0
UNIT = 32.0


class Detector(nn.Module):
    """A field, at a scale where a red cell has about 44 pixels, to heatmaps and boxes.

    Args:
        widths: Of the 3x3 convolutions of the three stages, at 4, 8 and 16 pixels a step; blocks are four
            times as wide.
        depths: Blocks a stage.
        neck: Channels in which the stages are added up.
    """

    def __init__(
        self,
        widths: tuple[int, int, int] = (16, 32, 64),
        depths: tuple[int, int, int] = (2, 3, 3),
        neck: int = 48,
    ) -> None:
        super().__init__()
        layer = norm_layer("batch")
        self.conv = nn.Conv2d(3, widths[0], 7, 2, padding=3, bias=False)
        self.norm = layer(widths[0])
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        width_in, stages, laterals = widths[0], [], []
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            blocks = []
            for index in range(depth):
                stride = 2 if stage and index == 0 else 1
                blocks.append(Bottleneck(width_in, width, stride, layer, bias=False, stride_first=False))
                width_in = width * Bottleneck.expansion
            stages.append(nn.Sequential(*blocks))
            laterals.append(nn.Conv2d(width_in, neck, 1))
        self.stages = nn.ModuleList(stages)
        self.laterals = nn.ModuleList(laterals)
        self.neck = nn.Sequential(
            nn.Conv2d(neck, neck, 3, padding=1, bias=False), layer(neck), nn.ReLU(inplace=True)
        )
        self.heat = nn.Conv2d(neck, len(KINDS), 1)
        self.shape = nn.Conv2d(neck, 4, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """He-normal convolutions; heatmaps that begin at 5 %, since few places are a cell's centre."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.heat.weight, std=0.01)
        if self.heat.bias is not None:
            nn.init.constant_(self.heat.bias, RARE)
        nn.init.normal_(self.shape.weight, std=0.01)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """A field to the logits of its heatmaps and the boxes at every place.

        Args:
            x: (n, 3, h, w), balanced RGB as value / 127.5 - 1; h and w are multiples of 16.

        Returns:
            Heatmap logits (n, kinds, h / 4, w / 4), and (n, 4, h / 4, w / 4): the centre's place from
            the middle of its step, right and down, in steps, and the natural logarithms of width and
            height over 32 pixels.
        """
        x = self.pool(F.relu(self.norm(self.conv(x)), inplace=True))
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        merged = self.laterals[-1](levels[-1])
        for level, lateral in zip(levels[-2::-1], list(self.laterals)[-2::-1], strict=True):
            merged = lateral(level) + F.interpolate(merged, scale_factor=2.0, mode="nearest")
        features = self.neck(F.relu(merged, inplace=True))
        return self.heat(features), self.shape(features)


class Peaks(nn.Module):
    """What is exported: a detector whose heatmaps are probabilities, zero everywhere but at their peaks."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, fields: Tensor) -> tuple[Tensor, Tensor]:
        """As `Detector.forward`, heatmaps of 0 to 1 with what isn't the highest of 3x3 places set to 0."""
        logits, shape = self.detector(fields)
        heat = torch.sigmoid(logits)
        highest = F.max_pool2d(heat, 3, 1, padding=1)
        return heat * (heat >= highest).to(heat.dtype), shape


def multiply_adds(detector: Detector, height: int, width: int) -> int:
    """Multiplications (each with its addition) that the convolutions need for one field of this size."""
    counted = 0

    def count(module: nn.Module, given: tuple[Tensor, ...], answer: Tensor) -> None:
        nonlocal counted
        weight = module.weight
        assert isinstance(weight, Tensor)
        counted += weight[0].numel() * answer.numel()

    hooks = [
        module.register_forward_hook(count) for module in detector.modules() if isinstance(module, nn.Conv2d)
    ]
    device = next(detector.parameters()).device
    training = detector.training
    detector.eval()
    with torch.no_grad():
        detector(torch.zeros(1, 3, height, width, device=device))
    detector.train(training)
    for hook in hooks:
        hook.remove()
    return counted
