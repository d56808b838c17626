"""Random changes to crops, in batches, on the device that trains."""

from __future__ import annotations

import math

import torch
from kornia.color import rgb_to_grayscale
from kornia.filters import gaussian_blur2d
from torch import Tensor
from torch.nn import functional as F

from leukolens.imaging.color import WHITE_LEVEL
from leukolens.training.recipe import Augment

# Rows: absorbance of haematoxylin, eosin and the residual in red, green and blue. Ruifrok & Johnston,
# *Quantification of histochemical staining by color deconvolution*, 2001.
STAINS = torch.tensor([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])

COARSE = 0.05
"""Highest frequency that `exchanged` changes, in periods a pixel of the view: a twentieth."""


def to_input(crops: Tensor) -> Tensor:
    """uint8 or float crops (n, h, w, 3) of 0 to 255 -> what the network takes, (n, 3, h, w) of -1 to 1."""
    return crops.permute(0, 3, 1, 2).float() / 127.5 - 1


def centre(crops: Tensor, size: int, margin: float) -> Tensor:
    """Undistorted middles of wide crops, (n, w, w, 3) -> (n, 3, size, size) of -1 to 1."""
    side = crops.shape[1]
    inner = min(side, round(side / margin))
    start = (side - inner) // 2
    middle = to_input(crops[:, start : start + inner, start : start + inner])
    if inner == size:
        return middle
    return F.interpolate(middle, (size, size), mode="bilinear", antialias=True, align_corners=False)


def augmented(crops: Tensor, size: int, spec: Augment, draw: torch.Generator) -> Tensor:
    """Distorted, recoloured views of wide crops.

    Args:
        crops: uint8 (n, w, w, 3), ``spec.margin`` times wider than the view.
        size: Side of the view in pixels.
        spec: What may change, and how much.
        draw: Where all randomness comes from; on the CPU, so that every device sees the same.

    Returns:
        (n, 3, size, size) of -1 to 1.
    """
    grid = F.affine_grid(_view(len(crops), spec, draw), [len(crops), 3, size, size], align_corners=False)
    pixels = crops.permute(0, 3, 1, 2).float() / WHITE_LEVEL
    views = F.grid_sample(pixels, grid.to(crops.device), padding_mode="border", align_corners=False)
    return restyled(views, spec, draw)


def restyled(views: Tensor, spec: Augment, draw: torch.Generator) -> Tensor:
    """Views in other stains, light and focus.

    Args:
        views: (n, 3, h, w), 1 at the level of white.
        spec: What may change, and how much.
        draw: As above.

    Returns:
        (n, 3, h, w) of -1 to 1.
    """
    strange = views
    if spec.density:
        strange = thinned(strange, spec.density, draw)
    if spec.exchange:
        strange = exchanged(strange, spec.exchange, draw)
    if spec.mixing:
        strange = mixed(strange, spec.mixing, draw)
    if strange is not views and spec.strange < 1:
        chosen = (torch.rand(len(views), generator=draw) < spec.strange).to(views.device)
        strange = torch.where(chosen[:, None, None, None], strange, views)
    views = strange
    if spec.stain:
        views = _restained(views, spec.stain, draw)
    if spec.colour:
        views = _recoloured(views, spec.colour, draw)
    if spec.grey:
        chosen = (torch.rand(len(views), generator=draw) < spec.grey).to(views.device)
        views = torch.where(chosen[:, None, None, None], rgb_to_grayscale(views), views)
    if spec.blur:
        views = _blurred(views, spec.blur, draw)
    return (views.clamp(0, 255 / WHITE_LEVEL) * (WHITE_LEVEL / 127.5)) - 1


def _uniform(count: int, low: float, high: float, draw: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=draw)


def _view(count: int, spec: Augment, draw: torch.Generator) -> Tensor:
    """Where each view looks in its wide crop: (n, 2, 3) in units of half its side."""
    turn = _uniform(count, -spec.rotation, spec.rotation, draw) * (math.pi / 180)
    shear = torch.tan(_uniform(count, -spec.shear, spec.shear, draw) * (math.pi / 180))
    low, high = (math.log(value) for value in spec.scale)
    reach = 1 / spec.margin / torch.exp(_uniform(count, low, high, draw))
    mirror = torch.where(torch.rand(2, count, generator=draw) < (0.5 if spec.flips else 0.0), -1.0, 1.0)
    cosine, sine = torch.cos(turn), torch.sin(turn)
    matrix = torch.stack([cosine, cosine * shear - sine, sine, sine * shear + cosine], dim=1).view(
        count, 2, 2
    )
    matrix = matrix * reach[:, None, None] * mirror.T[:, None, :]
    shift = _uniform(2 * count, -2 * spec.shift, 2 * spec.shift, draw).view(count, 2, 1) / spec.margin
    return torch.cat([matrix, shift], dim=2)


def _restained(views: Tensor, amount: float, draw: torch.Generator) -> Tensor:
    """More or less of each stain, in optical density."""
    stains = STAINS.to(views)
    change = torch.diag_embed(_uniform(3 * len(views), 1 - amount, 1 + amount, draw).view(-1, 3)).to(views)
    mixing = torch.linalg.inv(stains) @ change @ stains
    density = -torch.log(views.clamp_min(1 / 255))
    return torch.exp(-torch.einsum("nchw,ncd->ndhw", density, mixing))


def thinned(views: Tensor, deviation: float, draw: torch.Generator) -> Tensor:
    """Views whose stain is thinner or denser as a whole: every absorbance times one factor; white stays.

    Args:
        views: (n, 3, h, w), 1 at the level of white.
        deviation: Of the factor's natural logarithm, a normal draw a view.
        draw: Where all randomness comes from; on the CPU.
    """
    factor = torch.exp(deviation * torch.randn(len(views), generator=draw)).to(views)
    return views.clamp(1 / 255, 1) ** factor[:, None, None, None]


def mixed(views: Tensor, deviation: float, draw: torch.Generator) -> Tensor:
    """Views whose absorbances in red, green and blue are mixed at random, as another stain would; white stays.

    Args:
        views: (n, 3, h, w), 1 at the level of white.
        deviation: Of what is added to each place of the identity matrix, a normal draw a view.
        draw: Where all randomness comes from; on the CPU.
    """
    mixing = torch.eye(3) + deviation * torch.randn(len(views), 3, 3, generator=draw)
    density = -torch.log(views.clamp(1 / 255, 1))
    return torch.exp(-torch.einsum("nchw,ncd->ndhw", density, mixing.to(views)).clamp_min(0))


def exchanged(views: Tensor, share: float, draw: torch.Generator) -> Tensor:
    """Some views with another's coarse colour and shading: their lowest spatial amplitudes drawn towards its.

    Phases, which hold the shapes, stay. Yang & Soatto, *FDA: Fourier domain adaptation for semantic
    segmentation*, CVPR 2020; Xu et al., *A Fourier-based framework for domain generalization*, CVPR 2021.

    Args:
        views: (n, 3, h, w), 1 at the level of white.
        share: How many of the views change; each goes a random part of the way.
        draw: Where all randomness comes from; on the CPU.
    """
    count, _, height, width = views.shape
    partner = torch.randperm(count, generator=draw)
    way = torch.rand(count, generator=draw) * (torch.rand(count, generator=draw) < share)
    rows = torch.fft.fftfreq(height).abs()[:, None] <= COARSE
    columns = torch.fft.rfftfreq(width)[None] <= COARSE
    part = way[:, None, None, None] * (rows & columns)
    spectrum = torch.fft.rfft2(views)
    size = spectrum.abs()
    size = size + part.to(views.device) * (size[partner.to(views.device)] - size)
    shown: Tensor = torch.fft.irfft2(torch.polar(size, spectrum.angle()), s=(height, width))
    return shown.clamp(0, 255 / WHITE_LEVEL)


def _recoloured(views: Tensor, amount: float, draw: torch.Generator) -> Tensor:
    """Brightness, contrast around the crop's mean and saturation."""
    bright, contrast, colour = (
        _uniform(len(views), 1 - amount, 1 + amount, draw).to(views)[:, None, None, None] for _ in range(3)
    )
    views = views * (1 + (bright - 1) / 2)
    mean = views.mean(dim=(1, 2, 3), keepdim=True)
    views = mean + (views - mean) * contrast
    grey = rgb_to_grayscale(views)
    return grey + (views - grey) * colour


def _blurred(views: Tensor, share: float, draw: torch.Generator) -> Tensor:
    """A Gaussian blur of .3 to 1.5 pixels on a share of the views."""
    chosen = (torch.rand(len(views), generator=draw) < share).nonzero().ravel().to(views.device)
    sigma = _uniform(len(views), 0.3, 1.5, draw).to(views)[chosen, None].expand(-1, 2)
    if len(chosen):
        views = views.clone()
        views[chosen] = gaussian_blur2d(views[chosen], (7, 7), sigma)
    return views
