from __future__ import annotations

import numpy as np
import pytest

from leukolens.errors import BundleError
from leukolens.reading.vectors import Vectors, from_bytes


def vectors() -> Vectors:
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (4, 32, 32, 3), np.uint8)
    return Vectors(crops, np.eye(4, 7, dtype=np.float32))


def test_they_come_back_as_they_were_packed() -> None:
    back = from_bytes(vectors().to_bytes(), 32, 7)
    assert np.array_equal(back.crops, vectors().crops)
    assert np.array_equal(back.logits, vectors().logits)


def test_only_another_class_counts_as_changed() -> None:
    logits = vectors().logits * 3 + 0.1
    assert vectors().changed(logits) == 0
    logits[2] = logits[3]
    assert vectors().changed(logits) == 1


@pytest.mark.parametrize(
    ("content", "size", "classes"),
    [
        (b"nothing", 32, 7),
        (vectors().to_bytes()[:-40], 32, 7),
        (vectors().to_bytes(), 64, 7),
        (vectors().to_bytes(), 32, 6),
        (Vectors(vectors().crops[:0], vectors().logits[:0]).to_bytes(), 32, 7),
        (Vectors(vectors().crops, vectors().logits * np.nan).to_bytes(), 32, 7),
    ],
)
def test_what_does_not_fit_is_refused(content: bytes, size: int, classes: int) -> None:
    with pytest.raises(BundleError, match=r"vectors\.npz is damaged"):
        from_bytes(content, size, classes)
