"""Evidence is the logarithm of the leukocytes' summed exponentials; what is missing of it is a distance, too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp

from leukolens.reading.evidence import WEIGHT, Evidence, evidence_of
from leukolens.reading.familiarity import Familiarity, from_bytes, learned

CLASSES = ["neutrophil", "monocyte", "other"]
WEIGHTS = np.array([[2, 0, 0, 1, 0], [0, 2, 0, 0, 1], [9, 9, 9, 9, 9]], np.float32)
BIAS = np.array([0.5, -0.5, 20], np.float32)


def cells(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(60, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    found = evidence_of(WEIGHTS, BIAS, CLASSES, cells(0), ["neutrophil"] * 50 + ["other"] * 10)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def familiar(evidence: Evidence) -> Familiarity:
    found = learned(cells(0), ["neutrophil"] * 60, ["here"] * 60)
    return replace(found, evidence=evidence)


def test_it_is_scipys_and_other_has_no_say(evidence: Evidence) -> None:
    logits = cells(1).astype(np.float64) @ WEIGHTS[:2].T.astype(np.float64) + BIAS[:2]
    np.testing.assert_allclose(evidence.of(cells(1)), logsumexp(logits, axis=1), rtol=1e-12)
    assert np.isfinite(evidence.of(1e4 * cells(1))).all()


def test_its_level_is_that_of_learned_leukocytes(evidence: Evidence) -> None:
    white = evidence.of(cells(0)[:50])
    np.testing.assert_allclose(evidence.level, [white.mean(), white.std()], rtol=1e-6)


def test_only_what_is_missing_counts(evidence: Evidence) -> None:
    mean, deviation = evidence.level.astype(np.float64)
    missing, said = evidence.missing(cells(1)), evidence.of(cells(1))
    assert (missing[said >= mean] == 0).all()
    below = said < mean
    assert 0 < below.sum() < len(below)
    np.testing.assert_allclose(missing[below], WEIGHT * (mean - said[below]) / deviation, rtol=1e-9)


def test_the_distance_is_the_larger_of_both(familiar: Familiarity, evidence: Evidence) -> None:
    nearest, missing = familiar.distances(cells(1)).min(axis=1), evidence.missing(cells(1))
    assert (nearest > missing).any()
    assert (nearest < missing).any()
    expected = [max(pair) for pair in zip(nearest, missing, strict=True)]
    np.testing.assert_array_equal(familiar.distance(cells(1)), expected)
    assert familiar.distance(cells(1)[:0]).shape == (0,)


def test_neighbours_change_no_bit(familiar: Familiarity) -> None:
    alone = np.concatenate([familiar.distance(row[None]) for row in cells(3)])
    assert np.array_equal(familiar.distance(cells(3)), alone)


def test_it_survives_being_packed_and_extended(familiar: Familiarity) -> None:
    again = from_bytes(familiar.to_bytes())
    assert np.array_equal(again.distance(cells(1)), familiar.distance(cells(1)))
    assert again.extended(cells(4), ["monocyte"] * 60, "mine").evidence is again.evidence
    assert from_bytes(replace(familiar, evidence=None).to_bytes()).evidence is None


@pytest.mark.parametrize(
    ("labels", "classes"),
    [(["other"] * 60, CLASSES), (["neutrophil"] + ["other"] * 59, CLASSES), (["other"] * 60, ["other"] * 3)],
)
def test_without_leukocytes_there_is_none(labels: list[str], classes: list[str]) -> None:
    assert evidence_of(WEIGHTS, BIAS, classes, cells(0), labels) is None


def test_cells_of_one_voice_are_no_division_by_zero(evidence: Evidence) -> None:
    same = evidence.levelled(np.repeat(cells(0)[:1], 20, axis=0))
    assert np.isfinite(same.missing(cells(1))).all()
