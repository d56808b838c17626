"""Coverage is counted class by class, over images whose cell was found, and resampled by photograph."""

from __future__ import annotations

import numpy as np
import pytest

from leukolens.evaluation.predictions import Predictions
from leukolens.evaluation.set_coverage import set_measures

CLASSES = ("monocyte", "neutrophil", "other")


def made(rows: list[list[float]], truth: list[int], groups: list[str]) -> Predictions:
    return Predictions(
        CLASSES, tuple(str(n) for n in range(len(rows))), tuple(groups), np.array(truth), np.array(rows)
    )


def test_it_is_counted_by_hand() -> None:
    nothing = [float("nan")] * 3
    rows = [[0.6, 0.4, 0.0], [0.2, 0.7, 0.1], [0.3, 0.3, 0.4], [0.1, 0.9, 0.0], nothing]
    found = set_measures(made(rows, [0, 0, 0, 1, 1], list("abcde")), {"monocyte": 0.3, "neutrophil": 0.4})
    neutrophil, monocyte = found
    assert (neutrophil.label, neutrophil.images, neutrophil.coverage.value) == ("neutrophil", 1, 1.0)
    assert (monocyte.label, monocyte.images) == ("monocyte", 3)
    assert monocyte.coverage.value == pytest.approx(2 / 3)
    assert monocyte.coverage.interval is None  # three photographs
    assert monocyte.size == pytest.approx((2 + 1 + 1) / 3)
    assert monocyte.empty == 0.0
    (narrow,) = set_measures(made(rows, [0, 0, 0, 1, 1], list("abcde")), {"monocyte": 0.5})
    assert (narrow.size, narrow.empty) == (pytest.approx(1 / 3), pytest.approx(2 / 3))


def test_the_interval_holds_the_share_and_narrows_with_photographs() -> None:
    rng = np.random.default_rng(0)

    def width(groups: int) -> float:
        value = np.repeat(rng.uniform(0, 1, groups), 5)
        rows = np.column_stack([value, 1 - value, np.zeros(len(value))])
        names = np.repeat([str(n) for n in range(groups)], 5).tolist()
        (found,) = set_measures(made(rows.tolist(), [0] * len(rows), names), {"monocyte": 0.2})
        assert found.coverage.value == pytest.approx((value >= 0.2).mean())
        assert found.coverage.interval is not None
        assert found.coverage.interval.low <= found.coverage.value <= found.coverage.interval.high
        return found.coverage.interval.high - found.coverage.interval.low

    assert width(400) < width(20)


def test_a_bundle_without_thresholds_has_no_sets() -> None:
    assert set_measures(made([[0.6, 0.4, 0.0]], [0], ["a"]), {}) == ()
