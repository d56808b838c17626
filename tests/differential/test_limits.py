import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from leukolens.differential.limits import beta_quantile, cells_to_halve, exact_limits, incomplete_beta

# Rümke CL, Triangle 1960; 4:154 (reprinted in CLSI H20 and in Henry's Clinical Diagnosis and Management by Laboratory
# Methods): 95 % limits in whole percent, rounded outward, for a percentage found among so many cells.
# Written from memory: no print was at hand, only one quoted row (9 % of 100 is 4 to 17). scipy is the stricter oracle.
RUMKE = {
    100: {
        0: (0, 4), 1: (0, 6), 2: (0, 8), 3: (0, 9), 4: (1, 10), 5: (1, 12), 6: (2, 13), 7: (2, 14), 8: (3, 16),
        9: (4, 17), 10: (4, 18), 15: (8, 24), 20: (12, 30), 25: (16, 35), 30: (21, 40), 35: (25, 46), 40: (30, 51),
        45: (35, 56), 50: (39, 61),
    },
    200: {
        0: (0, 2), 1: (0, 4), 2: (0, 6), 3: (1, 7), 4: (1, 8), 5: (2, 10), 6: (3, 11), 7: (3, 12), 8: (4, 13),
        9: (5, 14), 10: (6, 16), 15: (10, 21), 20: (14, 27), 25: (19, 32), 30: (23, 37), 35: (28, 43), 40: (33, 48),
        50: (42, 58),
    },
    500: {
        0: (0, 1), 1: (0, 3), 2: (0, 4), 3: (1, 5), 4: (2, 7), 5: (3, 8), 6: (4, 9), 7: (4, 10), 8: (5, 11),
        9: (6, 12), 10: (7, 13), 20: (16, 24), 25: (21, 30), 30: (26, 35), 40: (35, 45), 50: (45, 55),
    },
    1000: {
        0: (0, 1), 1: (0, 2), 2: (1, 4), 3: (2, 5), 4: (2, 6), 5: (3, 7), 6: (4, 8), 7: (5, 9), 8: (6, 10),
        9: (7, 11), 10: (8, 13), 20: (17, 23), 25: (22, 28), 30: (27, 33), 40: (36, 44), 50: (46, 54),
    },
}  # fmt: skip

counts = st.integers(1, 2000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


@given(counts)
def test_limits_are_those_of_scipy(pair):
    count, total = pair
    low, high = exact_limits(count, total)
    oracle = stats.binomtest(count, total).proportion_ci(0.95, "exact")
    assert low == pytest.approx(oracle.low, abs=1e-9)
    assert high == pytest.approx(oracle.high, abs=1e-9)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_other_levels_are_scipys_too(level):
    oracle = stats.binomtest(7, 200).proportion_ci(level, "exact")
    assert exact_limits(7, 200, level=level) == pytest.approx((oracle.low, oracle.high), abs=1e-9)


@pytest.mark.parametrize("cells", RUMKE)
def test_limits_are_rumkes_table(cells):
    found = {}
    for percent in RUMKE[cells]:
        low, high = exact_limits(percent * cells / 100, cells)
        found[percent] = (math.floor(100 * low), math.ceil(100 * high))
    assert found == RUMKE[cells]


@given(st.floats(0.5, 3000), st.floats(0.5, 3000), st.floats(1e-12, 1))
def test_the_incomplete_beta_function_is_scipys(a, b, x):
    assert incomplete_beta(x, a, b) == pytest.approx(special.betainc(a, b, x), abs=1e-10)


@given(st.floats(0.5, 5000), st.floats(0.5, 5000), st.floats(1e-4, 1 - 1e-4))
def test_the_quantile_undoes_it(a, b, probability):
    assert beta_quantile(probability, a, b) == pytest.approx(special.betaincinv(a, b, probability), abs=1e-9)


def test_limits_of_a_large_count_are_still_exact():
    oracle = stats.binomtest(123, 200_000).proportion_ci(0.95, "exact")
    assert exact_limits(123, 200_000) == pytest.approx((oracle.low, oracle.high), abs=1e-12)


@given(counts)
def test_the_rest_has_the_mirrored_limits(pair):
    count, total = pair
    low, high = exact_limits(count, total)
    assert exact_limits(total - count, total) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@given(counts.filter(lambda pair: pair[0] < pair[1]))
def test_one_cell_more_of_a_class_moves_both_limits_up(pair):
    count, total = pair
    fewer, more = exact_limits(count, total), exact_limits(count + 1, total)
    assert fewer[0] < more[0]
    assert fewer[1] < more[1]


@given(counts, st.integers(0, 300))
def test_unsure_cells_only_widen(pair, unsure):
    count, total = pair
    low, high = exact_limits(count, total, unsure=unsure)
    every = [exact_limits(count + some, total + unsure) for some in (0, unsure // 2, unsure)]
    assert low == min(limits[0] for limits in every)
    assert high == pytest.approx(max(limits[1] for limits in every), abs=1e-15)
    wider = exact_limits(count, total, unsure=unsure + 1)
    assert wider[0] <= low
    assert wider[1] >= high - 1e-15


def test_nothing_counted_leaves_everything_open():
    assert exact_limits(0, 0) == (0, 1)
    assert exact_limits(0, 0, unsure=5) == (0, 1)


@pytest.mark.parametrize(
    ("count", "total", "unsure"), [(-1, 5, 0), (6, 5, 0), (1, 5, -1), (math.nan, 5, 0), (1, math.inf, 0)]
)
def test_what_is_no_share_is_refused(count, total, unsure):
    with pytest.raises(ValueError, match="no share"):
        exact_limits(count, total, unsure=unsure)


def test_a_level_outside_0_to_1_is_refused():
    with pytest.raises(ValueError, match="level"):
        exact_limits(1, 5, level=95)


@given(
    st.integers(1, 300).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))),
    st.integers(0, 40),
)
def test_the_cells_to_halve_are_just_enough(pair, unsure):
    count, total = pair
    more = cells_to_halve(count, total, unsure=unsure)

    def width(further):
        low, high = exact_limits(
            min(count / total * (total + further), total + further), total + further, unsure=unsure
        )
        return high - low

    assert width(more) <= width(0) / 2 < width(more - 1)


def test_to_halve_the_limits_takes_about_three_times_the_cells():
    # By the root-n law, which the exact limits obey the better the more there are.
    assert cells_to_halve(100, 200) == pytest.approx(3 * 200, rel=0.05)
    assert cells_to_halve(10_000, 20_000) == pytest.approx(3 * 20_000, rel=0.005)
    assert cells_to_halve(0, 0) == 6  # 1 - 0.025 ** (1 / 6) is the first under one half


def test_limits_hold_the_truth_in_95_of_100_samples():
    rng = np.random.default_rng(0)
    for share in (0.01, 0.06, 0.5):
        found = [exact_limits(int(count), 200) for count in rng.binomial(200, share, 1000)]
        assert np.mean([low <= share <= high for low, high in found]) >= 0.95


def test_hundreds_of_limits_take_no_time():
    beta_quantile.cache_clear()
    began = time.process_time()
    for count in range(400):
        exact_limits(count, 401)
    assert time.process_time() - began < 2
