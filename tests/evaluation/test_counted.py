"""What a differential would count labelled images as."""

from __future__ import annotations

import numpy as np
import pytest

from leukolens.card import Judgement
from leukolens.evaluation.counted import counted
from leukolens.evaluation.predictions import Predictions
from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell
from leukolens.reading.trust import decide
from leukolens.report.sample import counted_as

UNORDERED = ("other", "monocyte", "neutrophil")


def made(rows: list[list[float]], truth: list[int]) -> Predictions:
    names = tuple(f"{number}" for number in range(len(rows)))
    return Predictions(UNORDERED, names, names, np.array(truth), np.array(rows))


@pytest.mark.parametrize("threshold", [0.0, 0.6, 0.95])
def test_images_are_counted_as_cells_of_a_sample_are(threshold: float) -> None:
    rng = np.random.default_rng(1)
    rows = rng.dirichlet([0.5, 0.5, 0.5], 300)
    judgement = Judgement(accept_above=threshold)
    found = counted(made(rows.tolist(), [0] * 300), judgement)
    seen = set()
    for row, answer in zip(rows, found.answered, strict=True):
        probabilities = dict(zip(UNORDERED, row.tolist(), strict=True))
        cell = Cell(Box(0, 0, 9, 9), probabilities, *decide(probabilities, judgement))
        place = counted_as(cell)
        expected = {"not_leukocyte": "other", "unsure": "unsure"}.get(place, place)
        assert (*found.classes, "unsure")[answer] == expected
        seen.add(expected)
    assert seen == {"other", "neutrophil", "monocyte", "unsure"}  # at 0, where nothing stands out


def test_classes_come_in_taxonomy_order_and_images_without_a_cell_are_left_out() -> None:
    nothing = [float("nan")] * 3
    found = counted(made([[0.0, 0.9, 0.1], nothing, [0.1, 0.0, 0.9]], [1, 1, 2]), Judgement())
    assert found.classes == ("neutrophil", "monocyte", "other")
    assert found.truth.tolist() == [1, 0]
    assert found.answered.tolist() == [1, 0]
    assert found.groups == ("0", "2")
