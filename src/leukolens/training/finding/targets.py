"""What a detector should answer for a view, and how far off it is."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from leukolens.models.detector import KINDS, STRIDE, UNIT
from leukolens.training.finding.views import View

SPREAD = 0.11
"""Deviation of a centre's heat, as a share of the cell's side."""
LEAST_SPREAD = 0.7
CORE = 0.5
"""Heat from which a place also learns the box."""
SHAPE_WEIGHT = 1.0


def targets(views: list[View]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Heatmaps, boxes, where boxes count and where heat counts.

    Returns:
        Heat (n, kinds, h, w) of 0 to 1, with 1 at a cell's centre; boxes (n, 4, h, w) as
        `Detector.forward` gives them; the weight of each place's box (n, 2, h, w), for its middle and for
        its size; whether a place's heat teaches (n, kinds, h, w).
    """
    parts = [_target(each) for each in views]
    heat, shape, weight, taught = (
        torch.from_numpy(np.stack([part[index] for part in parts])) for index in range(4)
    )
    return heat, shape, weight, taught


def _target(
    view: View,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    side = view.pixels.shape[0] // STRIDE
    heat = np.zeros((len(KINDS), side, side), np.float32)
    shape = np.zeros((4, side, side), np.float32)
    weight = np.zeros((2, side, side), np.float32)
    strongest = np.zeros((side, side), np.float32)
    steps = np.arange(side, dtype=np.float32)
    for box, kind, sized in zip(view.boxes, view.kinds, view.sized, strict=True):
        width, height = (float(value) for value in box[2:] - box[:2])
        x, y = (float(value) / STRIDE for value in (box[:2] + box[2:]) / 2)
        column, row = min(int(x), side - 1), min(int(y), side - 1)
        across, down = (max(SPREAD * value / STRIDE, LEAST_SPREAD) for value in (width, height))
        blob = np.exp(
            -(((steps - column) / across) ** 2)[None] / 2 - (((steps - row) / down) ** 2)[:, None] / 2
        )
        heat[kind] = np.maximum(heat[kind], blob)
        core = (blob >= CORE) & (blob > strongest)
        strongest[core] = blob[core]
        shape[0][core] = (x - steps[None] - 0.5).repeat(side, 0)[core]
        shape[1][core] = (y - steps[:, None] - 0.5).repeat(side, 1)[core]
        shape[2][core] = np.log(max(width, 1.0) / UNIT)
        shape[3][core] = np.log(max(height, 1.0) / UNIT)
        weight[0][core] = 1 / core.sum() if core.any() else 0
        weight[1][core] = weight[0][core] * float(sized)
    taught = view.taught[:, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    return heat, shape, weight, np.maximum(taught, heat == 1)


def loss(answer: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    """Penalty-reduced focal loss of the heat (Zhou et al. 2019, alpha 2, beta 4) plus the boxes' L1.

    Both are means over the cells that are shown.
    """
    logits, given = (part.float() for part in answer)
    heat, shape, weight, taught = wanted
    positive = heat == 1
    probability = torch.sigmoid(logits)
    found = F.logsigmoid(logits) * (1 - probability) ** 2
    absent = F.logsigmoid(-logits) * probability**2 * (1 - heat) ** 4 * taught
    cells = positive.sum().clamp_min(1)
    focal = -(found[positive].sum() + absent[~positive].sum()) / cells
    off = (given - shape).abs()
    places = (off[:, :2].sum(1) * weight[:, 0] + off[:, 2:].sum(1) * weight[:, 1]).sum() / cells
    return focal + SHAPE_WEIGHT * places
