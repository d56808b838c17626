import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from leukolens.differential.confusion import Confusion, answers_alike, confusion_of, confusion_of_counts

TWO = ("neutrophil", "lymphocyte")


def of(truth, answered, groups, classes=TWO, **words):
    return confusion_of(classes, np.array(truth, np.int64), np.array(answered, np.int64), groups, **words)


def beta_binomial(rng, alike, groups, cells, right=0.8):
    """Groups whose share of right answers varies so that the intraclass correlation is ``alike``."""
    spread = (1 - alike) / alike
    good = rng.binomial(cells, rng.beta(right * spread, (1 - right) * spread, groups))
    return np.column_stack([good, cells - good, np.zeros(groups, np.int64)])


def test_answers_are_counted_by_true_class():
    confusion = of([0, 0, 0, 1, 1], [0, 2, 1, 1, 1], ["a", "a", "b", "c", "c"])
    assert confusion.answers == ((1, 1, 1), (0, 2, 0))
    assert confusion.groups == (2, 1)


def test_a_group_with_two_classes_counts_for_each():
    assert of([0, 1, 1], [0, 1, 1], ["a", "a", "b"]).groups == (1, 2)


def test_counts_by_group_give_the_same():
    truth, answered = [0, 0, 0, 1, 1, 1], [0, 0, 2, 1, 0, 1]
    groups = ["a", "a", "b", "c", "d", "d"]
    by_group = np.array([[2, 0, 0], [0, 0, 1], [0, 1, 0], [1, 1, 0]])
    assert confusion_of_counts(TWO, np.array([0, 0, 1, 1]), by_group) == of(truth, answered, groups)


def test_it_goes_into_a_card_and_comes_back():
    confusion = of([0, 1], [0, 2], ["a", "b"], labs=("Tehran", "Barcelona"), measured_on="held-out slides")
    assert Confusion.model_validate(json.loads(json.dumps(confusion.model_dump()))) == confusion
    assert confusion.source == "Tehran, Barcelona: held-out slides"


def test_a_class_that_was_never_seen_has_an_empty_row():
    confusion = of([0, 0], [0, 0], ["a", "b"])
    assert confusion.answers[1] == (0, 0, 0)
    assert (confusion.groups[1], confusion.effective[1]) == (0, 0)


def test_nothing_at_all_is_a_confusion_too():
    assert of([], [], []).answers == ((0, 0, 0), (0, 0, 0))


def test_cells_that_are_all_their_own_group_are_worth_themselves():
    assert of([0] * 6, [0, 0, 1, 2, 0, 0], list("abcdef")).effective[0] == pytest.approx(6)


def test_copies_that_are_answered_alike_are_worth_one_cell():
    answered = [0] * 10 + [1] * 10 + [0] * 10
    assert of([0] * 30, answered, ["a"] * 10 + ["b"] * 10 + ["c"] * 10).effective[0] == pytest.approx(3)


def test_without_a_mistake_nothing_says_that_copies_differ():
    assert of([0] * 30, [0] * 30, ["a"] * 20 + ["b"] * 10).effective[0] == pytest.approx(900 / 500)


@pytest.mark.parametrize("alike", [0.05, 0.3, 0.7])
def test_how_alike_is_the_beta_binomials_correlation(alike):
    rng = np.random.default_rng(1)
    counts = beta_binomial(rng, alike, 6000, rng.integers(2, 30, 6000))
    assert answers_alike(np.zeros(6000, np.int64), counts) == pytest.approx(alike, abs=0.02)


def test_the_effective_number_tells_how_far_rows_of_other_groups_lie():
    # The oracle is the spread itself: the share of right answers over many draws of 40 groups.
    rng = np.random.default_rng(2)
    shares, worth = [], []
    for _ in range(400):
        counts = beta_binomial(rng, 0.4, 40, np.full(40, 15))
        shares.append(counts[:, 0].sum() / counts.sum())
        worth.append(confusion_of_counts(TWO, np.zeros(40, np.int64), counts).effective[0])
    assert 0.8 * 0.2 / np.var(shares) == pytest.approx(np.mean(worth), rel=0.15)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=60))
def test_a_row_is_worth_between_nothing_and_its_cells(cells):
    truth, answered, groups = map(list, zip(*cells, strict=True))
    confusion = of(truth, answered, [str(group) for group in groups])
    assert sum(map(sum, confusion.answers)) == len(cells)
    for row, count, effective in zip(confusion.answers, confusion.groups, confusion.effective, strict=True):
        assert (sum(row) == 0) == (count == 0) == (effective == 0)
        assert effective <= sum(row) + 1e-9
        if sum(row):
            assert effective >= 1 - 1e-9


@pytest.mark.parametrize(
    ("truth", "answered", "groups"),
    [([0], [0, 1], ["a", "b"]), ([0, 2], [0, 0], ["a", "b"]), ([0], [3], ["a"])],
)
def test_arrays_that_disagree_are_refused(truth, answered, groups):
    with pytest.raises(ValueError, match=r"disagree|outside"):
        of(truth, answered, groups)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("classes", ("lymphocyte", "neutrophil"), "taxonomy order"),
        ("classes", ("neutrophil", "neutrophil"), "taxonomy order"),
        ("answers", ((1, 0), (0, 1)), "2 rows of 3"),
        ("answers", ((1, 0, 0),), "2 rows of 3"),
        ("answers", ((2, -1, 0), (0, 1, 0)), "neutrophil"),
        ("groups", (1,), "two|2|numbers"),
        ("groups", (1, 9), "lymphocyte: 9 groups"),
        ("effective", (1.0, 2.5), "lymphocyte"),
        ("effective", (1.0, 0.0), "without weight"),
        ("surprise", 1, "Extra inputs"),
    ],
)
def test_a_confusion_that_does_not_hold_together_is_refused(field, value, said):
    fields = {
        "classes": TWO,
        "answers": ((1, 0, 0), (0, 1, 0)),
        "groups": (1, 1),
        "effective": (1.0, 1.0),
        field: value,
    }
    with pytest.raises(ValidationError, match=said):
        Confusion(**fields)
