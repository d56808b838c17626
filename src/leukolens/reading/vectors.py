"""Crops that a bundle carries along with what its classifier says of them, by which another engine is checked."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from leukolens.errors import BundleError


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """Drawn cells, never photographs.

    Attributes:
        crops: uint8 (n, size, size, 3).
        logits: float32 (n, classes), by ONNX Runtime on the processor.
    """

    crops: NDArray[np.uint8]
    logits: NDArray[np.float32]

    def to_bytes(self) -> bytes:
        """A bundle's ``vectors.npz``."""
        buffer = BytesIO()
        np.savez_compressed(buffer, crops=self.crops, logits=self.logits)
        return buffer.getvalue()

    def changed(self, logits: NDArray[np.float32]) -> int:
        """How many crops are given another class by logits (n, classes)."""
        return int((logits.argmax(axis=1) != self.logits.argmax(axis=1)).sum())


def from_bytes(content: bytes, size: int, classes: int) -> Vectors:
    """What `Vectors.to_bytes` made.

    Args:
        content: Of a bundle's ``vectors.npz``.
        size: Side of the bundle's crops, pixels.
        classes: How many classes it knows.

    Raises:
        BundleError: Where it is damaged, or of another bundle.
    """
    try:
        with np.load(BytesIO(content), allow_pickle=False) as parts:
            vectors = Vectors(parts["crops"], parts["logits"])
    # A damaged archive raises whatever its decompressor or numpy's header parser does.
    except Exception as error:
        raise _damaged() from error
    count = len(vectors.crops)
    if vectors.crops.shape != (count, size, size, 3) or vectors.crops.dtype != np.uint8 or not count:
        raise _damaged()
    if vectors.logits.shape != (count, classes) or not np.isfinite(vectors.logits).all():
        raise _damaged()
    return vectors


def _damaged() -> BundleError:
    return BundleError("the bundle's vectors.npz is damaged", "Export it or fetch it again")
