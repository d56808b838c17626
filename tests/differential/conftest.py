"""Answers of a pretended classifier whose mistakes keep together in photographs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from leukolens.differential.confusion import Confusion
from leukolens.differential.counts import Tally
from leukolens.evaluation.predictions import Predictions

FOUR = ("neutrophil", "eosinophil", "lymphocyte", "monocyte")


def _predictions(
    seed: int = 7,
    *,
    photographs: tuple[int, ...] = (90, 45, 70, 16),
    classes: tuple[str, ...] = FOUR,
    skill: float = 5.0,
    shared: float = 1.6,
) -> Predictions:
    """Photographs with 5 to 40 copies each; the copies share most of their error."""
    rng = np.random.default_rng(seed)
    truth, groups, logits = [], [], []
    for label, count in enumerate(photographs):
        for photograph in range(count):
            error = rng.normal(0, shared, len(classes))
            for _ in range(int(rng.integers(5, 41))):
                row = error + rng.normal(0, 1, len(classes))
                row[label] += skill
                truth.append(label)
                groups.append(f"{classes[label]}-{photograph}")
                logits.append(row)
    exponent = np.exp(np.array(logits))
    return Predictions(
        classes,
        tuple(f"{number}.png" for number in range(len(truth))),
        tuple(groups),
        np.array(truth, dtype=np.int64),
        exponent / exponent.sum(axis=1, keepdims=True),
    )


def _sharp(
    rows: list[list[int]] | NDArray[np.int64], classes: tuple[str, ...] = FOUR, **changes: object
) -> Confusion:
    """A confusion of these counts, each cell a group of its own."""
    fields = {
        "classes": classes,
        "answers": tuple(tuple(row) for row in rows),
        "groups": tuple(sum(row) for row in rows),
    }
    return Confusion(**(fields | changes))


def _tally(counts: dict[str, int] | None = None, **outside: int) -> Tally:
    usual = {"neutrophil": 120, "eosinophil": 6, "lymphocyte": 60, "monocyte": 14}
    return Tally(usual if counts is None else counts, **outside)


@pytest.fixture
def predictions() -> Callable[..., Predictions]:
    return _predictions


@pytest.fixture
def sharp() -> Callable[..., Confusion]:
    return _sharp


@pytest.fixture
def tally() -> Callable[..., Tally]:
    return _tally
