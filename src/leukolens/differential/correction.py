"""Percentages corrected for a classifier's known confusion, with limits that hold both errors.

A sample's answers are a mixture: each true class spreads over the answers, unsure among them, as its row of the
confusion says. The corrected percentages are the mixture's maximum-likelihood weights, by expectation-maximisation
(Dempster, Laird & Rubin 1977; for known rows the iteration of Saerens, Latinne & Decaestecker, Neural
Computation 2002; 14:21). The limits are the middle 95 % of draws by data augmentation, its random twin
(Tanner & Wong, JASA 1987; 82:528): true classes of the answers, percentages and the rows themselves are drawn in
turn, so that neither the sample's size nor the confusion's is taken to be endless.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from leukolens.differential.confusion import Confusion
from leukolens.differential.counts import Share
from leukolens.taxonomy import cell_class

SEED = 20260101
CHAINS = 1000
START = 60  # iterations that find where a chain begins
SETTLE = 8  # rounds until a chain no longer shows where it began
KEPT = 3  # rounds kept of each: 3,000 draws
_ITERATIONS = 500
_NOTHING = 1e-7
_TINY = 1e-300

# A sample's own confusion differs from the measured one by the error of both. A sample is taken to be as varied
# as the groups that were measured, which doubles the variance. On held-out groups no more was needed: 2,000
# samples each of 100, 200 and 400 cells had every class covered at .935 to .969 (docs/differential.md).
SAMPLE_AND_MEASURED = 2.0
# A row's prior is worth one group, so that a class with a handful of groups borrows from the others.
BORROWED = 1.0
# Jeffreys' prior for the percentages, the one whose limits hold the truth at the nominal rate on average.
JEFFREYS = 0.5


def corrected_shares(confusion: Confusion, answers: NDArray[np.int64]) -> dict[str, Share]:
    """Leukocyte class key to corrected percentage of the leukocytes, with 95 % limits.

    A class that is no leukocyte takes part in the mixture and is then left out of the percentages: cells
    wrongly answered as one are given back, and what was wrongly taken for a leukocyte goes.

    Args:
        confusion: What the classifier answers for each true class.
        answers: (classes + 1,), the sample's answers; the last is unsure.

    Raises:
        ValueError: Where there are not as many answers as the confusion has columns.
    """
    if answers.shape != (len(confusion.classes) + 1,):
        raise ValueError(f"{len(confusion.classes)} classes and unsure, but answers {answers.shape}")
    leukocytes = [cell_class(key).leukocyte for key in confusion.classes]
    keys = [key for key in confusion.classes if cell_class(key).leukocyte]
    if not answers.sum():
        return dict.fromkeys(keys, Share(0.0, 0.0, 100.0))
    rows = row_weights(confusion)
    best = most_likely(answers, rows / rows.sum(axis=1, keepdims=True))
    points = _percent(best[None, leukocytes])[0]
    drawn = _percent(drawn_weights(answers, rows, np.random.default_rng(SEED))[:, leukocytes])
    lows, highs = np.percentile(drawn, [2.5, 97.5], axis=0)
    # A class without an answer has its most likely share at 0 exactly, which no draw reaches.
    return {
        key: Share(float(point), float(min(low, point)), float(max(high, point)))
        for key, point, low, high in zip(keys, points, lows, highs, strict=True)
    }


def row_weights(confusion: Confusion) -> NDArray[np.float64]:
    """What is known of a new sample's confusion: each row's Dirichlet parameters, (classes, classes + 1)."""
    counted = np.array(confusion.answers, dtype=np.float64)
    return np.asarray(counted / SAMPLE_AND_MEASURED + BORROWED * _usual_row(counted))


def most_likely(answers: NDArray[np.int64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mixture's weights under which these answers are likeliest, (classes,), adding up to 1.

    Args:
        answers: (answers,), counts, at least one of them above 0.
        rows: (classes, answers), each row adding up to 1.
    """
    observed = answers / answers.sum()
    weights = np.full(len(rows), 1 / len(rows))
    for _ in range(_ITERATIONS):
        following = weights * (rows @ (observed / np.maximum(weights @ rows, _TINY)))
        if np.abs(following - weights).max() < 1e-9:
            break
        weights = following
    # What is going to 0 never arrives there; nothing so small was ever counted.
    weights = np.where(weights < _NOTHING, 0.0, weights)
    return np.asarray(weights / weights.sum())


def drawn_weights(
    answers: NDArray[np.int64], rows: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Mixture weights as probable as the answers make them, (draws, classes), each row adding up to 1.

    Args:
        answers: (answers,), counts.
        rows: (classes, answers), Dirichlet parameters of the confusion's rows, above 0.
        rng: Of the draws.
    """
    confused = _dirichlet(np.broadcast_to(rows, (CHAINS, *rows.shape)), rng)
    weights = _started(answers, confused, rng)
    observed = np.broadcast_to(answers, (CHAINS, len(answers)))
    kept = []
    for number in range(SETTLE + KEPT):
        joint = np.swapaxes(weights[:, :, None] * confused, 1, 2) + _TINY
        true = rng.multinomial(observed, joint / joint.sum(axis=2, keepdims=True))
        weights = _dirichlet(JEFFREYS + true.sum(axis=1), rng)
        confused = _dirichlet(rows + np.swapaxes(true, 1, 2), rng)
        if number >= SETTLE:
            kept.append(weights)
    return np.concatenate(kept)


def _started(
    answers: NDArray[np.int64], confused: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Where each chain begins: the likeliest weights under its rows for answers that might have come as well.

    That is nearly where it belongs. From anywhere else, a large sample's chains would take hundreds of rounds.
    """
    observed = _dirichlet(np.broadcast_to(answers + JEFFREYS, (CHAINS, len(answers))), rng)
    weights = np.full(confused.shape[:2], 1 / confused.shape[1])
    for _ in range(START):
        expected = np.matmul(weights[:, None, :], confused)[:, 0]
        weights = weights * np.matmul(confused, (observed / (expected + _TINY))[:, :, None])[:, :, 0]
    return weights


def _usual_row(counted: NDArray[np.float64]) -> NDArray[np.float64]:
    """A row as rows usually are: right, unsure, or wrong in any way alike; (classes, classes + 1)."""
    width = len(counted)
    total = counted.sum() + 3
    right, unsure = (np.trace(counted) + 1) / total, (counted[:, -1].sum() + 1) / total
    wrong = (1 - right - unsure) / max(width - 1, 1)
    usual = np.full((width, width + 1), wrong)
    np.fill_diagonal(usual, right)
    usual[:, -1] = unsure
    return np.asarray(usual / usual.sum(axis=1, keepdims=True))


def _dirichlet(parameters: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    drawn = rng.standard_gamma(parameters) + _TINY
    return np.asarray(drawn / drawn.sum(axis=-1, keepdims=True))


def _percent(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    total = weights.sum(axis=1, keepdims=True)
    # Where everything found is no leukocyte, their shares are undefined; 0 is what a table then shows.
    return np.asarray(100 * np.divide(weights, total, out=np.zeros_like(weights), where=total > 0))
