"""The last layer of a bundle's graph: read from it, and replaced in place, byte for byte of equal length.

The graph ends ``features`` -> Gemm -> ``logits``, and beside it stands the 1x1 convolution whose output is
``activation``, with the same weights. What is not so is refused: a head put in half way would answer nonsense.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leukolens.adaptation.onnx_graph import Graph, Weights, graph_in
from leukolens.adaptation.onnx_weights import own, put, values
from leukolens.errors import BundleError
from leukolens.reading.engine import ACTIVATION, FEATURES, LOGITS


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A linear layer: ``logits = features @ weight.T + bias``.

    Attributes:
        weight: (classes, features).
        bias: (classes,).
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n, classes) of features (n, d)."""
        return np.asarray(features.astype(np.float64) @ self.weight.T + self.bias)


@dataclass(frozen=True, slots=True)
class _Places:
    weight: Weights
    bias: Weights
    activation: Weights | None
    across: bool  # whether a row of the weights is a class, not a feature


def head_of(model: bytes) -> Head:
    """The last layer of a serialised ONNX model.

    Raises:
        BundleError: Where the model does not end in one, or not as a float32 layer whose bytes stand in it.
    """
    places = _places(model)
    weight = values(model, places.weight).reshape(places.weight.shape)
    return Head(weight if places.across else weight.T, values(model, places.bias))


def with_head(model: bytes, head: Head) -> bytes:
    """The model with another last layer, in ``logits`` and in ``activation``; nothing else changes.

    Raises:
        BundleError: As for `head_of`, or where the new one has another shape or holds what is no number.
    """
    places, old = _places(model), head_of(model)
    if (head.weight.shape, head.bias.shape) != (old.weight.shape, old.bias.shape):
        raise _other(f"a head of {head.weight.shape} does not fit one of {old.weight.shape}")
    if not (np.isfinite(head.weight).all() and np.isfinite(head.bias).all()):
        raise _other("the new head holds what is no number")
    changed = bytearray(model)
    by_class = head.weight.astype("<f4")
    put(changed, places.weight, by_class if places.across else by_class.T)
    put(changed, places.bias, head.bias.astype("<f4"))
    if places.activation is not None:
        put(changed, places.activation, by_class)
    return bytes(changed)


def _places(model: bytes) -> _Places:
    graph = graph_in(model)
    last = graph.giver(LOGITS)
    if last is None or last.operator != "Gemm" or len(last.inputs) != 3:
        raise _other(f"its {LOGITS} come from no fully connected layer")
    if graph.giver(FEATURES) is None or last.inputs[0] != FEATURES:
        raise _other(f"its last layer does not take an output {FEATURES!r}")
    plain = {"alpha": 1, "beta": 1, "transA": 0}
    if any(last.attributes.get(name, value) != value for name, value in plain.items()):
        raise _other("its last layer scales or turns what it takes")
    across = last.attributes.get("transB", 0) == 1
    weight, bias = (own(graph, name, _other) for name in last.inputs[1:])
    if len(weight.shape) != 2:
        raise _other(f"its last layer's weights are {weight.shape}")
    classes, width = weight.shape if across else weight.shape[::-1]
    if bias.shape not in ((classes,), (1, classes)):
        raise _other(f"its last layer's weights {weight.shape} and bias {bias.shape} disagree")
    return _Places(weight, bias, _activation(graph, (classes, width)), across)


def _activation(graph: Graph, shape: tuple[int, int]) -> Weights | None:
    maps = graph.giver(ACTIVATION)
    if maps is None:
        return None
    if maps.operator != "Conv" or len(maps.inputs) != 2:
        raise _other(f"its {ACTIVATION} comes from no plain convolution")
    found = own(graph, maps.inputs[1], _other)
    if found.shape != (*shape, 1, 1):
        raise _other(f"its {ACTIVATION} has weights {found.shape}, its last layer {shape}")
    return found


def _other(problem: str) -> BundleError:
    return BundleError(
        f"the classifier's graph cannot be given another head: {problem}",
        "Use a bundle that `leukolens export` wrote from a network with the `pool` head",
    )
