"""Takes the statistics of a network's batch normalisation anew, from a laboratory's cells without labels.

A stain or a scanner moves the mean and variance of every channel, and what follows reads them as if they stood where
they stood in training. Schneider et al., *Improving robustness against common corruptions by covariate shift
adaptation*, NeurIPS 2020, put the mean and variance of the cells at hand in their place, mixed with the learned ones
where cells are few. Weights of the last layer stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from leukolens.adaptation.normalisation import Norm
from leukolens.adaptation.onnx_convs import Affine, convolutions, with_outputs
from leukolens.adaptation.onnx_segments import loaded, run, segments
from leukolens.reading.engine import INPUT
from leukolens.reading.inputs import scaled, side_of

PRIOR = 50.0
"""Cells that the learned statistics are worth against those at hand."""
TURNS = 4
MOST_PIXELS = 200 * 112**2
"""Of all views together, which bounds the memory: 200 at the usual size, four of each of 50 cells, take some 0.6 GB."""
BATCH = 4
LEAST_SCALE = 1e-3
"""A channel that normalisation made smaller than this is left alone: its variance is what rounding left of it."""
LEAST_VARIANCE = 1e-3
"""A channel's variance is taken for no less, as a part of the learned one: a dead channel is not blown up."""

Values = dict[str, NDArray[np.float32]]


def renormalised(
    model: bytes,
    norms: Mapping[str, Norm],
    crops: NDArray[np.uint8],
    prior: float = PRIOR,
    threads: int = 1,
) -> bytes:
    """The graph with the statistics of these cells in its normalisation, as if it had been exported with them.

    Layer by layer: mean and variance of what a convolution gives, over all cells, views and places, are made those
    that normalisation had given it, and the next layer sees it so. Without a prior that is what a pass in training
    mode leaves in batch-norm layers whose running statistics were reset.

    Args:
        model: The classifier's graph.
        norms: What `leukolens.adaptation.normalisation.unpack` gave.
        crops: uint8 (n, size, size, 3); n is 1 or more.
        prior: Cells that the learned mean and variance are worth: with n cells they weigh ``prior / (n + prior)``.
        threads: How many batches run beside each other; the answer is the same for any number.

    Raises:
        BundleError: Where the graph and the norms don't belong together, or the graph cannot run.
    """
    places = convolutions(model, norms)
    share = len(crops) / (len(crops) + prior)
    seen = views(crops)
    batches: list[Values] = [{INPUT: scaled(seen[at : at + BATCH])} for at in range(0, len(seen), BATCH)]
    changes = {}
    with ThreadPoolExecutor(threads) as pool:
        for place, segment in zip(places, segments(model, [place.output for place in places]), strict=True):
            list(pool.map(partial(run, loaded(segment), segment), batches))
            outputs = [values[place.output] for values in batches]
            changes[place] = _change(norms[place.weight.name], outputs, share, pool)
            list(pool.map(partial(_apply, changes[place]), outputs))
            del outputs  # what the next piece does not take is free then
    return with_outputs(model, changes)


def views(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The crops, then each turned by a quarter, a half and three quarters: a smear has no up.

    Of many cells fewer turns are taken, and of very many an even choice of cells.
    """
    most = max(1, MOST_PIXELS // (crops.shape[1] * crops.shape[2]))
    if len(crops) > most:
        crops = crops[np.linspace(0, len(crops) - 1, most).round().astype(np.int64)]
    turns = min(TURNS, max(1, most // len(crops)))
    return np.concatenate([side_of(crops, turn) for turn in range(turns)])


def _change(
    norm: Norm, outputs: Sequence[NDArray[np.float32]], share: float, pool: ThreadPoolExecutor
) -> Affine:
    """What gives outputs, each (b, channels, h, w), the mean and deviation of the norm, as far as they are believed."""
    scale, shift = norm.scale.astype(np.float64), norm.shift.astype(np.float64)
    left = np.abs(scale) < LEAST_SCALE
    parts = list(pool.map(partial(_sums, norm.shift), outputs))
    count = sum(output.shape[0] * output.shape[2] * output.shape[3] for output in outputs)
    mean = np.sum([first for first, _ in parts], axis=0) / count
    variance = np.sum([second for _, second in parts], axis=0) / count - mean**2
    own = variance / np.where(left, 1, scale) ** 2
    factor = 1 / np.sqrt(np.maximum(share * own + (1 - share), LEAST_VARIANCE))
    offset = shift - factor * (shift + share * mean)
    return Affine(np.where(left, 1, factor), np.where(left, 0, offset))


def _sums(
    shift: NDArray[np.float32], output: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and sum of squares (channels,) of an output (b, channels, h, w) less the shift."""
    apart = output.reshape(*output.shape[:2], -1) - shift[:, None]
    square = np.einsum("bcp,bcp->bc", apart, apart)
    return apart.sum(axis=2).sum(axis=0, dtype=np.float64), square.sum(axis=0, dtype=np.float64)


def _apply(change: Affine, output: NDArray[np.float32]) -> None:
    output *= change.factor.astype(np.float32)[:, None, None]
    output += change.offset.astype(np.float32)[:, None, None]
