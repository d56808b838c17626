import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from leukolens.differential.confusion import Confusion, confusion_of
from leukolens.differential.correction import (
    SAMPLE_AND_MEASURED,
    corrected_shares,
    drawn_weights,
    most_likely,
    row_weights,
)

FOUR = ("neutrophil", "eosinophil", "lymphocyte", "monocyte")
ROWS = np.array(
    [[0.90, 0.02, 0.03, 0.01, 0.04], [0.10, 0.80, 0.02, 0.02, 0.06],
     [0.02, 0.01, 0.88, 0.04, 0.05], [0.06, 0.01, 0.13, 0.70, 0.10]]
)  # fmt: skip
MANY = np.rint(ROWS * 1_000_000).astype(int).tolist()


def test_the_likeliest_shares_undo_the_confusion():
    shares = np.array([0.62, 0.03, 0.28, 0.07])
    answers = np.rint(1_000_000 * shares @ ROWS).astype(np.int64)
    np.testing.assert_allclose(most_likely(answers, ROWS), shares, atol=1e-4)


def test_the_likeliest_shares_are_a_general_optimisers():
    answers = np.array([131, 9, 45, 2, 13])

    def surprise(free):
        weights = np.exp(np.append(free, 0))
        return -answers @ np.log(weights / weights.sum() @ ROWS)

    found = optimize.minimize(
        surprise, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}
    )
    best = most_likely(answers, ROWS)
    assert -answers @ np.log(best @ ROWS) <= found.fun + 1e-6


def test_a_matrix_inverse_would_leave_the_simplex_where_the_likeliest_stays_in():
    answers = np.array([80, 2, 20, 0, 5])
    inverse = np.linalg.lstsq(ROWS.T, answers / answers.sum(), rcond=None)[0]
    assert inverse.min() < 0
    best = most_likely(answers, ROWS)
    assert best.min() >= 0
    assert best.sum() == pytest.approx(1)


def test_correction_moves_a_count_back_to_the_truth(sharp):
    true = np.array([60.0, 3, 30, 7])
    answers = np.rint(20 * true @ ROWS).astype(np.int64)
    shares = corrected_shares(sharp(MANY), answers)
    np.testing.assert_allclose([share.percent for share in shares.values()], true, atol=0.3)
    assert 100 * answers[0] / answers[:4].sum() < 60 - 1.5


def test_without_confusion_the_limits_are_jeffreys(sharp):
    # With perfect rows known for certain, a class's posterior is a beta distribution in closed form.
    rows = (np.eye(4, 5) * 10_000_000).astype(int).tolist()
    shares = corrected_shares(sharp(rows), np.array([120, 6, 60, 14, 0]))
    for share, count in zip(shares.values(), (120, 6, 60, 14), strict=True):
        low, high = stats.beta.ppf([0.025, 0.975], count + 0.5, 200 - count + 1.5)
        assert share.percent == pytest.approx(count / 2, abs=1e-3)
        assert share.low == pytest.approx(100 * low, abs=0.6)
        assert share.high == pytest.approx(100 * high, abs=0.6)


def test_limits_are_those_of_the_exact_posterior(sharp):
    # Two classes and known rows: the posterior of one share can be integrated on a grid.
    rows = np.array([[0.85, 0.05, 0.10], [0.10, 0.80, 0.10]])
    answers = np.array([70, 22, 8])
    grid = np.linspace(0.00005, 0.99995, 10_000)
    mixed = grid[:, None] * rows[0] + (1 - grid)[:, None] * rows[1]
    log_density = np.log(mixed) @ answers - 0.5 * np.log(grid) - 0.5 * np.log(1 - grid)
    density = np.exp(log_density - log_density.max())
    low, high = np.interp([0.025, 0.975], np.cumsum(density) / density.sum(), 100 * grid)
    confusion = sharp(np.rint(rows * 10_000_000).astype(int).tolist(), ("neutrophil", "lymphocyte"))
    share = corrected_shares(confusion, answers)["neutrophil"]
    assert (share.low, share.high) == pytest.approx((low, high), abs=0.8)


def test_both_errors_widen_the_limits(sharp):
    answers = np.array([240, 12, 120, 28, 0])
    wide = {}
    for name, rows, cells in (
        ("sharp", 1_000_000, 1),
        ("few cells", 1_000_000, 0.25),
        ("few photographs", 100, 1),
    ):
        confusion = sharp(np.rint(ROWS * rows).astype(int).tolist())
        share = corrected_shares(confusion, (answers * cells).astype(np.int64))["neutrophil"]
        wide[name] = share.high - share.low
    assert wide["few cells"] == pytest.approx(2 * wide["sharp"], rel=0.15)
    assert wide["few photographs"] > 1.2 * wide["sharp"]


def test_copies_of_few_photographs_count_for_no_more_than_the_photographs():
    rng = np.random.default_rng(3)
    truth = np.repeat(np.arange(4), 50)
    answered = np.concatenate([rng.choice(5, 50, p=row) for row in ROWS])
    answers, names = np.array([240, 12, 120, 28, 0]), np.arange(200)
    once = confusion_of(FOUR, truth, answered, names)
    ninety = confusion_of(FOUR, np.repeat(truth, 90), np.repeat(answered, 90), np.repeat(names, 90))
    each_its_own = confusion_of(FOUR, np.repeat(truth, 90), np.repeat(answered, 90), np.arange(200 * 90))
    one, same, other = (
        corrected_shares(confusion, answers)["neutrophil"] for confusion in (once, ninety, each_its_own)
    )
    assert same == one
    assert one.high - one.low > 1.3 * (other.high - other.low)


def test_unsure_cells_are_given_back_to_the_classes_that_are_often_unsure(sharp):
    rows = [[900, 0, 0, 0, 100], [0, 990, 0, 0, 10], [0, 0, 990, 0, 10], [0, 0, 0, 500, 500]]
    shares = corrected_shares(sharp(rows), np.array([90, 5, 50, 10, 20]))
    np.testing.assert_allclose(
        [share.percent for share in shares.values()],
        [100 / 1.755, 5.05 / 1.755, 50.5 / 1.755, 20 / 1.755],
        rtol=0.03,
    )


def test_what_is_no_leukocyte_takes_part_and_is_left_out(sharp):
    # One artefact in five is taken for a lymphocyte, one lymphocyte in ten for an artefact.
    classes = ("neutrophil", "lymphocyte", "other")
    rows = [[100_000, 0, 0, 0], [0, 90_000, 10_000, 0], [0, 20_000, 80_000, 0]]
    answers = np.array([500, 300 * 9 // 10 + 100 // 5, 300 // 10 + 100 * 4 // 5, 0])
    shares = corrected_shares(sharp(rows, classes), answers)
    assert list(shares) == ["neutrophil", "lymphocyte"]
    assert shares["neutrophil"].percent == pytest.approx(62.5, abs=0.1)
    assert shares["lymphocyte"].percent == pytest.approx(37.5, abs=0.1)


def test_a_sample_without_cells_leaves_everything_open(sharp):
    shares = corrected_shares(sharp(MANY), np.zeros(5, np.int64))
    assert {(share.percent, share.low, share.high) for share in shares.values()} == {(0, 0, 100)}


def test_a_class_that_nothing_was_answered_as_reaches_down_to_0(sharp):
    share = corrected_shares(sharp(MANY), np.array([150, 0, 45, 5, 0]))["eosinophil"]
    assert share.low == 0
    assert 0.5 < share.high < 5


def test_a_class_that_was_never_measured_has_wide_limits(sharp):
    rows = [*MANY[:3], [0, 0, 0, 0, 0]]
    answers = np.array([120, 6, 60, 14, 2])
    known, guessed = (corrected_shares(sharp(table), answers)["monocyte"] for table in (MANY, rows))
    assert guessed.high - guessed.low > 1.3 * (known.high - known.low)


def test_rows_of_few_groups_borrow_what_rows_are_like(sharp):
    rows = [[90, 5, 0, 0, 5], [0, 90, 5, 0, 5], [0, 0, 95, 0, 5], [0, 0, 0, 2, 0]]
    weights = row_weights(sharp(rows))
    means = weights / weights.sum(axis=1, keepdims=True)
    assert 0.9 < means[3, 3] < 1
    assert 0 < means[3, 4] < 0.1
    np.testing.assert_allclose(weights.sum(axis=1), np.array([100, 100, 100, 2]) / SAMPLE_AND_MEASURED + 1)


def test_equal_samples_get_equal_limits(sharp):
    answers = np.array([120, 6, 60, 14, 3])
    assert corrected_shares(sharp(MANY), answers) == corrected_shares(sharp(MANY), answers)


@given(st.lists(st.integers(0, 300), min_size=5, max_size=5))
@settings(max_examples=25, deadline=None)
def test_shares_add_up_and_lie_within_their_limits(answers):
    rows = np.rint(ROWS * 200).astype(int)
    confusion = Confusion(
        classes=FOUR, answers=tuple(map(tuple, rows.tolist())), groups=tuple(rows.sum(axis=1).tolist())
    )
    shares = corrected_shares(confusion, np.array(answers)).values()
    if any(answers):
        assert sum(share.percent for share in shares) == pytest.approx(100)
    for share in shares:
        assert 0 <= share.low <= share.percent <= share.high <= 100


def test_a_wrong_number_of_answers_is_refused(sharp):
    with pytest.raises(ValueError, match="4 classes and unsure"):
        corrected_shares(sharp(MANY), np.zeros(4, np.int64))


def test_chains_do_not_show_where_they_began(sharp, monkeypatch):
    # A large sample and few photographs is where they forget slowest; many more rounds are the oracle.
    rows = row_weights(sharp(np.rint(ROWS * 150).astype(int).tolist()))
    answers = np.array([590, 45, 260, 45, 60])
    usual = np.percentile(drawn_weights(answers, rows, np.random.default_rng(0)), [2.5, 97.5], axis=0)
    monkeypatch.setattr("leukolens.differential.correction.SETTLE", 150)
    longer = np.percentile(drawn_weights(answers, rows, np.random.default_rng(1)), [2.5, 97.5], axis=0)
    np.testing.assert_allclose(usual, longer, atol=0.015)


def test_a_sample_takes_under_a_tenth_of_a_second(sharp):
    confusion, answers = sharp(MANY), np.array([240, 12, 120, 28, 10])
    corrected_shares(confusion, answers)
    took = []
    for _ in range(5):
        began = time.process_time()
        corrected_shares(confusion, answers)
        took.append(time.process_time() - began)
    assert min(took) < 0.1
