"""What batch normalisation made of each convolution's output, which a bundle's graph no longer says.

In an exported graph batch normalisation is folded into the convolution before it. Scale and shift are kept beside it:
a folded convolution's output y has (y - shift) / scale of mean 0 and variance 1, channel by channel, on the cells that
taught it. So a laboratory's own mean and variance can be told from those, and put in their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from leukolens.errors import BundleError

LARGEST = 4 * 2**20
"""Bytes of all arrays; the largest of the kin, ResNet-50, needs 0.2 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class Norm:
    """Of one convolution's channels, after normalisation.

    Attributes:
        scale: float32 (channels,), the deviation that each was given (gamma).
        shift: float32 (channels,), the mean that each was given (beta).
    """

    scale: NDArray[np.float32]
    shift: NDArray[np.float32]


def pack(norms: Mapping[str, Norm]) -> bytes:
    """The bytes of a bundle's ``normalisation.npz``; equal ones give equal bytes.

    Args:
        norms: By the name that a convolution's weights have in the graph, in any order.
    """
    buffer = BytesIO()
    arrays = {name: np.stack([norm.scale, norm.shift]).astype(np.float32) for name, norm in norms.items()}
    np.savez(buffer, **{name: arrays[name] for name in sorted(arrays)})  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack(content: bytes) -> dict[str, Norm]:
    """What `pack` made.

    Raises:
        BundleError: Where it is damaged.
    """
    try:
        with np.load(BytesIO(content), allow_pickle=False) as stored:
            if sum(member.file_size for member in stored.zip.infolist()) > LARGEST:
                raise ValueError("too large")
            arrays = {name: stored[name] for name in stored.files}
    except Exception as error:  # a damaged archive answers with anything from zlib.error to KeyError
        raise _damaged(f"it cannot be read ({type(error).__name__})") from error
    if not arrays:
        raise _damaged("it is empty")
    for name, pair in arrays.items():
        if pair.dtype != np.float32 or pair.ndim != 2 or len(pair) != 2 or not pair.shape[1]:
            raise _damaged(f"{name!r} is {pair.dtype} {pair.shape}, not a scale and a shift of each channel")
        if not np.isfinite(pair).all():
            raise _damaged(f"{name!r} holds what is no number")
    return {name: Norm(pair[0], pair[1]) for name, pair in arrays.items()}


def _damaged(problem: str) -> BundleError:
    return BundleError(
        f"the bundle's normalisation.npz is damaged: {problem}", "Export the bundle or fetch it again"
    )
