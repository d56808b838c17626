"""From how many sides a laboratory's cells are seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leukolens.adaptation.local import looks_of
from leukolens.bundle import Bundle
from leukolens.reading.inputs import side_of
from leukolens.reading.reader import Reader


@pytest.mark.parametrize(("asked_by_reading", "seen"), [(1, 4), (4, 4), (8, 8)])
def test_as_many_as_reading_looks_from_and_four_at_least(
    colour_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, asked_by_reading: int, seen: int
) -> None:
    judgement = colour_bundle.card.judgement.model_copy(update={"sides": asked_by_reading})
    card = colour_bundle.card.model_copy(update={"judgement": judgement})
    reader = Reader(replace(colour_bundle, card=card), threads=2)

    def corner(crops: np.ndarray) -> np.ndarray:
        return crops[:, 0, 0].astype(np.float32)

    monkeypatch.setattr(reader.classifier, "features", corner)
    crops = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    looks = looks_of(reader, crops)
    assert looks.shape == (5, seen, 3)
    for number in range(seen):
        np.testing.assert_array_equal(looks[:, number], corner(side_of(crops, number)))
