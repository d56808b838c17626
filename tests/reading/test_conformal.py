"""Conformal sets hold the true class of a new group's cell as often as they say, and claim nothing of rare classes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from leukolens.reading.conformal import class_set, set_thresholds


def simulated(
    groups: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64], list[str]]:
    """Cells of one class, 1 to 30 a group, alike within a group as copies of a photograph are."""
    rows, names = [], []
    for number in range(groups):
        easy = rng.normal(1.0, 1.5)
        for _ in range(int(rng.integers(1, 31))):
            value = 1 / (1 + np.exp(-(easy + rng.normal(0, 0.3))))
            rows.append((value, 1 - value))
            names.append(f"{number}")
    return np.array(rows), np.zeros(len(rows), np.int64), names


def test_groups_of_one_cell_give_the_textbook_order_statistic() -> None:
    scores = np.random.default_rng(3).permutation(np.linspace(0.01, 0.99, 59))
    rows = np.column_stack([scores, 1 - scores])
    found = set_thresholds(("basophil", "other"), rows, np.zeros(59, np.int64), [str(n) for n in range(59)])
    # Vovk's rank: the ceil((n + 1) * .9)-th largest score.
    assert found == {"basophil": np.sort(scores)[::-1][int(np.ceil(60 * 0.9)) - 1]}


@pytest.mark.parametrize("groups", [9, 40])
def test_a_new_groups_cell_is_covered_as_often_as_promised(groups: int) -> None:
    rng, covered = np.random.default_rng(groups), []
    for _ in range(600):
        rows, truth, names = simulated(groups, rng)
        least = set_thresholds(("neutrophil", "other"), rows, truth, names)["neutrophil"]
        fresh, _, _ = simulated(1, rng)
        covered.append(float((fresh[:, 0] >= least).mean()))
    error = np.std(covered) / np.sqrt(len(covered))
    assert np.mean(covered) > 0.9 - 2 * error
    # It is no promise kept by always answering everything: n + 1 groups allow so much over it.
    assert np.mean(covered) < 0.9 + 1 / (groups + 1) + 2 * error + 0.03


def test_copies_of_an_easy_photograph_do_not_pay_for_a_hard_one() -> None:
    hard, easy = np.full(9, 0.2), np.full(900, 0.99)
    scores = np.concatenate([hard, easy])
    names = [f"hard {n}" for n in range(9)] + ["easy"] * 900
    found = set_thresholds(
        ("monocyte", "other"), np.column_stack([scores, 1 - scores]), np.zeros(909, np.int64), names
    )
    assert found == {"monocyte": 0.2}


def test_eight_groups_claim_nothing() -> None:
    rows = np.tile([0.9, 0.1], (80, 1))
    eight, nine = [str(n % 8) for n in range(80)], [str(n % 9) for n in range(80)]
    assert set_thresholds(("basophil", "other"), rows, np.zeros(80, np.int64), eight) == {}
    assert set_thresholds(("basophil", "other"), rows, np.zeros(80, np.int64), nine) == {"basophil": 0.9}
    assert set_thresholds(("basophil", "other"), rows, np.zeros(80, np.int64), nine, coverage=0.95) == {}


def test_each_laboratory_of_nine_groups_is_covered_alone() -> None:
    easy, hard = np.linspace(0.8, 0.99, 400), np.linspace(0.3, 0.5, 39)
    scores = np.concatenate([easy, hard, [0.01]])
    names, labs = [str(n) for n in range(440)], ["easy"] * 400 + ["hard"] * 39 + ["too few"]
    found = set_thresholds(
        ("monocyte", "other"), np.column_stack([scores, 1 - scores]), np.zeros(440, np.int64), names, labs
    )
    assert found == {"monocyte": np.sort(hard)[::-1][int(np.ceil(40 * 0.9)) - 1]}
    pooled = set_thresholds(
        ("monocyte", "other"), np.column_stack([scores, 1 - scores]), np.zeros(440, np.int64), names
    )
    assert (hard >= pooled["monocyte"]).mean() < 0.5


def test_the_set_holds_what_reaches_its_threshold_in_order() -> None:
    given = {"neutrophil": 0.5, "eosinophil": 0.3, "basophil": 0.2}
    assert class_set(given, {"eosinophil": 0.3, "neutrophil": 0.1}) == ("neutrophil", "eosinophil")
    assert class_set(given, {"neutrophil": 0.6}) == ()
    assert class_set(given, {}) == ()
