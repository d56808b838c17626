"""Where cells moved linearly, others are found again; where they stayed, nothing changes."""

from __future__ import annotations

import numpy as np
import pytest

from leukolens.adaptation.motion import moved, returned
from leukolens.adaptation.replay import Replay
from leukolens.reading.familiarity import Familiarity, learned

WIDTH = 12


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def known(rng: np.random.Generator) -> Familiarity:
    rows = rng.normal(3, 1, (120, WIDTH))
    rows[60:, 0] += 6
    return learned(rows, ["neutrophil"] * 60 + ["lymphocyte"] * 60, ["theirs"] * 120, dimensions=6)


def cells(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.normal(4, 1, (count, WIDTH)).astype(np.float32)


def carried(rows: np.ndarray) -> np.ndarray:
    """A linear motion: a fifth stronger along one direction, sheared into another, and shifted."""
    slope = np.eye(WIDTH)
    slope[0, 0], slope[1, 2] = 1.2, 0.3
    return (rows @ slope + 0.5).astype(np.float32)


def test_cells_of_others_are_moved_as_the_own_ones_were(rng: np.random.Generator) -> None:
    own, others = cells(rng, 800), cells(rng, 50)
    found = moved(Replay(others, np.arange(50) % 2), own, carried(own))
    np.testing.assert_allclose(found.features, carried(others), atol=0.1)
    np.testing.assert_array_equal(found.truth, np.arange(50) % 2)
    assert np.abs(others - carried(others)).max() > 1


def test_few_cells_move_others_most_of_the_way(rng: np.random.Generator) -> None:
    own, others = cells(rng, 60), cells(rng, 200)
    found = moved(Replay(others, np.zeros(200, np.int64)), own, carried(own)).features
    left, whole = ((carried(others) - rows) ** 2 for rows in (found, others))
    assert left.sum() < 0.1 * whole.sum()


def test_features_stay_what_a_rectifier_lets_through(rng: np.random.Generator) -> None:
    own = cells(rng, 50)
    found = moved(Replay(np.zeros((3, WIDTH), np.float32), np.zeros(3, np.int64)), own, own - 1)
    assert found.features.min() == 0


def test_distances_are_those_before_the_motion(rng: np.random.Generator, known: Familiarity) -> None:
    own, others = cells(rng, 800), cells(rng, 50)
    again = returned(known, own, carried(own))
    before, unled = known.distance(others), known.distance(carried(others))
    np.testing.assert_allclose(again.distance(carried(others)), before, rtol=0.05)
    assert np.abs(unled - before).max() > 0.5
    assert again.kinds == known.kinds


def test_where_nothing_moved_nothing_changes(rng: np.random.Generator, known: Familiarity) -> None:
    own, others = cells(rng, 30), cells(rng, 10)
    assert returned(known, own, own).to_bytes() == known.to_bytes()
    replay = Replay(others, np.zeros(10, np.int64))
    np.testing.assert_array_equal(moved(replay, own, own).features, others)
