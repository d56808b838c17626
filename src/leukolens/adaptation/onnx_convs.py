"""The convolutions that batch normalisation was folded into: found in a graph, and changed in place, byte for byte.

What is not as `leukolens export` writes it is refused: half of the layers changed would answer nonsense.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leukolens.adaptation.normalisation import Norm
from leukolens.adaptation.onnx_graph import Node, Weights, graph_in
from leukolens.adaptation.onnx_weights import own, put, values
from leukolens.errors import BundleError


@dataclass(frozen=True, slots=True)
class Convolution:
    """One convolution of a graph.

    Attributes:
        output: Name of what it gives.
        weight: Where its weights are, (channels out, channels in, h, w).
        bias: Where its bias is, (channels out,).
    """

    output: str
    weight: Weights
    bias: Weights


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """What a convolution's output is changed to, channel by channel: ``factor * output + offset``.

    Attributes:
        factor: float64 (channels,).
        offset: float64 (channels,).
    """

    factor: NDArray[np.float64]
    offset: NDArray[np.float64]


def convolutions(model: bytes, norms: Mapping[str, Norm]) -> tuple[Convolution, ...]:
    """The normalised convolutions of a serialised model, in the order in which they run.

    Args:
        model: The classifier's graph.
        norms: What each was normalised to, by the name of its weights.

    Raises:
        BundleError: Where the two don't belong together, or weights are kept in another way than as plain float32.
    """
    graph = graph_in(model)
    found = [node for node in graph.nodes if node.operator == "Conv" and node.inputs[1] in norms]
    unknown = set(norms) - {node.inputs[1] for node in found}
    if unknown:
        raise _other(f"no convolution has the weights {min(unknown)!r}")
    places = []
    for node in found:
        name = _of_three(node)
        weight, bias = own(graph, name, _other), own(graph, node.inputs[2], _other)
        channels = norms[name].scale.shape
        if len(weight.shape) != 4 or weight.shape[:1] != channels or bias.shape != channels:
            raise _other(
                f"{name!r} is {weight.shape} with a bias {bias.shape}, and {channels[0]} channels are known"
            )
        places.append(Convolution(node.outputs[0], weight, bias))
    return tuple(places)


def with_outputs(model: bytes, changes: Mapping[Convolution, Affine]) -> bytes:
    """The model with the outputs of convolutions changed, by their weights and bias; nothing else changes.

    Raises:
        BundleError: Where a change holds what is no number.
    """
    changed = bytearray(model)
    for place, affine in changes.items():
        if not (np.isfinite(affine.factor).all() and np.isfinite(affine.offset).all()):
            raise _other(f"{place.weight.name!r} would hold what is no number")
        weight = values(model, place.weight).reshape(place.weight.shape) * affine.factor[:, None, None, None]
        bias = values(model, place.bias) * affine.factor + affine.offset
        put(changed, place.weight, weight.astype(np.float32))
        put(changed, place.bias, bias.astype(np.float32))
    return bytes(changed)


def _of_three(node: Node) -> str:
    if len(node.inputs) != 3:
        raise _other(f"the convolution of {node.inputs[1]!r} has no bias")
    return node.inputs[1]


def _other(problem: str) -> BundleError:
    return BundleError(
        f"the statistics of the classifier's normalisation cannot be replaced: {problem}",
        "Export the bundle again from its run with `leukolens export`, or fetch it again",
    )
