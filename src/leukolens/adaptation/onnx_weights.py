"""Weights in a serialised graph: read from their bytes, and written over them, of equal length."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from leukolens.adaptation.onnx_graph import FLOAT, Graph, Weights
from leukolens.errors import BundleError


def own(graph: Graph, name: str, refusal: Callable[[str], BundleError]) -> Weights:
    """The initialiser of this name, kept as plain float32, which one operation takes and no other.

    Args:
        graph: Where it stands.
        name: Its name.
        refusal: Makes the error of a problem.

    Raises:
        BundleError: Where it is not so.
    """
    found = graph.weights.get(name)
    size = 4 * int(np.prod(found.shape)) if found else 0
    if found is None or found.kind != FLOAT or not found.length or found.length != size:
        raise refusal(f"its weights {name!r} are not kept as plain float32")
    if graph.takers(name) != 1:
        raise refusal(f"its weights {name!r} serve two layers")
    return found


def values(model: bytes, place: Weights) -> NDArray[np.float64]:
    """An initialiser's values, flat."""
    return np.frombuffer(model, "<f4", place.length // 4, place.start).astype(np.float64)


def put(model: bytearray, place: Weights, new: NDArray[np.float32]) -> None:
    """Writes values over an initialiser's; there must be as many."""
    content = np.ascontiguousarray(new, "<f4").tobytes()
    assert len(content) == place.length
    model[place.start : place.start + place.length] = content
