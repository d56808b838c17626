import random
import time
from statistics import NormalDist, quantiles

import numpy as np
import pytest
from scipy import stats

from leukolens.evaluation.intervals import (
    RESAMPLES,
    Interval,
    groups_of,
    percentile_interval,
    resample,
    resampled_weights,
)
from leukolens.evaluation.measures import headline_draws


def _accuracy(groups, predictions):
    sums = groups.sums(np.column_stack([predictions.correct, np.ones(len(predictions))]))
    return lambda weights: (weights @ sums)[:, 0] / (weights @ sums)[:, 1]


def test_groups_know_their_images_and_class(given):
    groups = groups_of(given([[1, 0, 0, 0]] * 4, [0, 1, 1, 1], ["b", "a", "b", "b"]))
    assert groups.keys == ("a", "b")
    assert groups.member.tolist() == [1, 0, 1, 1]
    assert groups.stratum.tolist() == [1, 1]
    assert (groups.of_class(0), groups.of_class(1)) == (0, 2)
    assert groups.sums(np.array([1.0, 2.0, 4.0, 8.0])).tolist() == [2.0, 13.0]


def test_every_resample_draws_as_many_groups_of_each_class_as_there_are(drawn):
    groups = groups_of(drawn())
    weights = np.concatenate(list(resampled_weights(groups)))
    assert weights.shape == (RESAMPLES, 51)
    for label, count in enumerate((24, 13, 10, 4)):
        assert (weights[:, groups.stratum == label].sum(axis=1) == count).all()
    unstratified = np.concatenate(list(resampled_weights(groups, stratified=False)))
    assert (unstratified.sum(axis=1) == 51).all()
    assert np.ptp(unstratified[:, groups.stratum == 3].sum(axis=1)) > 4


def test_every_group_is_drawn_equally_often(drawn):
    groups = groups_of(drawn())
    weights = np.concatenate(list(resampled_weights(groups, resamples=20_000)))
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.04)
    # Drawing with replacement, group by group: a group's count is binomial.
    of_ten = weights[:, np.flatnonzero(groups.stratum == 2)[0]]
    observed = np.bincount(of_ten.astype(int), minlength=11)[:11]
    expected = stats.binom.pmf(range(11), 10, 0.1) * 20_000
    np.testing.assert_allclose(observed[:5], expected[:5], rtol=0.15)


def test_the_same_seed_draws_the_same(drawn):
    groups = groups_of(drawn())
    one, two, other = (np.concatenate(list(resampled_weights(groups, seed=seed))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


@pytest.mark.parametrize("stratified", [True, False])
def test_a_resampled_figure_is_that_of_the_images_written_out(drawn, stratified):
    predictions = drawn(4)
    groups = groups_of(predictions)
    fast = resample(groups, _accuracy(groups, predictions), resamples=30, stratified=stratified)
    slow = []
    for row in np.concatenate(list(resampled_weights(groups, resamples=30, stratified=stratified))):
        times = dict(zip(groups.keys, row.astype(int), strict=True))
        answers = [
            right
            for group, right in zip(predictions.groups, predictions.correct.tolist(), strict=True)
            for _ in range(times[group])
        ]
        slow.append(sum(answers) / len(answers))
    np.testing.assert_allclose(fast, slow)


def test_the_interval_is_that_of_a_plain_python_bootstrap(drawn):
    predictions = drawn(6)
    chance = random.Random(0)
    by_class = {}
    for group, truth, right in zip(
        predictions.groups, predictions.truth.tolist(), predictions.correct.tolist(), strict=True
    ):
        by_class.setdefault(truth, {}).setdefault(group, []).append(right)
    figures = []
    for _ in range(6000):
        answers = []
        for photographs in by_class.values():
            for group in chance.choices(list(photographs), k=len(photographs)):
                answers.extend(photographs[group])
        figures.append(sum(answers) / len(answers))
    slow = quantiles(figures, n=40, method="inclusive")
    groups = groups_of(predictions)
    fast = percentile_interval(resample(groups, _accuracy(groups, predictions)))
    assert fast.low == pytest.approx(slow[0], abs=0.01)
    assert fast.high == pytest.approx(slow[-1], abs=0.01)


def test_single_images_of_one_class_agree_with_scipys_bootstrap(given):
    rng = np.random.default_rng(0)
    right = rng.random(400) < 0.85
    predictions = given([[1, 0, 0, 0] if good else [0, 1, 0, 0] for good in right], [0] * 400)
    groups = groups_of(predictions)
    ours = percentile_interval(resample(groups, _accuracy(groups, predictions)))
    theirs = stats.bootstrap(
        (right.astype(float),), np.mean, n_resamples=5000, method="percentile", rng=rng
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.006)
    assert ours.high == pytest.approx(theirs.high, abs=0.006)
    width = 2 * NormalDist().inv_cdf(0.975) * (right.mean() * (1 - right.mean()) / 400) ** 0.5
    assert ours.high - ours.low == pytest.approx(width, rel=0.1)


def test_copies_widen_the_interval_as_photographs_do_not(given):
    rng = np.random.default_rng(1)
    right = np.repeat(rng.random(40) < 0.8, 25)
    rows = [[1, 0, 0, 0] if good else [0, 1, 0, 0] for good in right]
    copies = given(rows, [0] * 1000, [f"photograph {index // 25}" for index in range(1000)])
    alone = given(rows, [0] * 1000)

    def width(predictions):
        groups = groups_of(predictions)
        found = percentile_interval(resample(groups, _accuracy(groups, predictions)))
        return found.high - found.low

    assert width(copies) == pytest.approx(5 * width(alone), rel=0.2)


def test_percentiles_are_of_the_middle_95():
    assert percentile_interval(np.arange(1001.0)) == Interval(25.0, 975.0)


def test_figures_without_a_denominator_give_no_interval_when_they_are_many():
    draws = np.arange(100.0)
    draws[:5] = np.nan
    assert percentile_interval(draws) is not None
    draws[:6] = np.nan
    assert percentile_interval(draws) is None
    assert percentile_interval(np.zeros(0)) is None


def test_two_thousand_resamples_of_the_official_test_take_well_under_a_second(drawn):
    predictions = drawn(0, photographs=(48, 13, 6, 4), copies=70)
    assert 2000 < len(predictions) < 3000
    start = time.process_time()
    draws = headline_draws(predictions)
    assert time.process_time() - start < 1.0
    assert draws.shape == (RESAMPLES, 3)


def test_many_lone_images_are_drawn_in_batches_that_fit(given):
    predictions = given([[1, 0, 0, 0]] * 3000, [0] * 3000)
    batches = list(resampled_weights(groups_of(predictions), resamples=1000))
    assert [len(batch) for batch in batches] == [333, 333, 333, 1]
