import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from leukolens.differential.confusion import Confusion, by_group, confusion_of, confusion_of_groups

TWO = ("neutrophil", "lymphocyte")


def of(truth, answered, groups, classes=TWO, **words):
    return confusion_of(classes, np.array(truth, np.int64), np.array(answered, np.int64), groups, **words)


def test_groups_are_counted_by_true_class():
    confusion = of([0, 0, 0, 1, 1], [0, 2, 1, 1, 1], ["a", "a", "b", "c", "c"])
    assert confusion.answers == ((0.5, 1, 0.5), (0, 1, 0))
    assert confusion.groups == (2, 1)


def test_a_group_with_two_classes_counts_for_each():
    assert of([0, 1, 1], [0, 1, 1], ["a", "a", "b"]).groups == (1, 2)


@pytest.mark.parametrize("copies", [1, 3, 90])
def test_a_photograph_with_many_copies_weighs_as_one_with_a_single_cell(copies):
    confusion = of([0] * copies + [0], [1] * copies + [0], ["a"] * copies + ["b"])
    assert confusion.answers[0] == (1, 1, 0)


def test_counts_are_rounded_so_that_cards_stay_small():
    assert of([0, 0, 0], [0, 1, 2], list("aaa")).answers[0] == (0.3333, 0.3333, 0.3333)


def test_groups_that_are_counted_already_give_the_same():
    truth, answered = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 2, 1, 0, 1])
    groups = ["a", "a", "b", "c", "d", "d"]
    of_class, names, shares = by_group(2, truth, answered, groups)
    assert of_class.tolist() == [0, 0, 1, 1]
    assert names.tolist() == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(shares, [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0.5, 0.5, 0]])
    assert confusion_of_groups(TWO, of_class, shares) == of(truth, answered, groups)


def test_its_rows_are_those_of_drawing_a_group_and_then_one_of_its_cells():
    # The oracle is the drawing itself.
    rng = np.random.default_rng(4)
    sizes = rng.integers(1, 41, 30)  # the more cells, the more of them are wrong
    groups = np.repeat(np.arange(30), sizes)
    answered = (rng.random(len(groups)) < sizes[groups] / 41).astype(np.int64)
    row = np.array(of(np.zeros(len(groups)), answered, groups).answers[0]) / 30
    drawn = [answered[rng.choice(np.flatnonzero(groups == rng.integers(30)))] for _ in range(8000)]
    np.testing.assert_allclose(row[:2], np.bincount(drawn, minlength=2) / 8000, atol=0.02)
    assert abs(row[1] - answered.mean()) > 0.03


def test_it_goes_into_a_card_and_comes_back():
    confusion = of([0, 1], [0, 2], ["a", "b"], labs=("Tehran", "Barcelona"), measured_on="held-out slides")
    assert Confusion.model_validate(json.loads(json.dumps(confusion.model_dump()))) == confusion
    assert confusion.source == "Tehran, Barcelona: held-out slides"


def test_a_class_that_was_never_seen_has_an_empty_row():
    confusion = of([0, 0], [0, 0], ["a", "b"])
    assert confusion.answers[1] == (0, 0, 0)
    assert confusion.groups[1] == 0


def test_nothing_at_all_is_a_confusion_too():
    assert of([], [], []).answers == ((0, 0, 0), (0, 0, 0))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=60))
def test_a_row_adds_up_to_its_groups(cells):
    truth, answered, groups = map(list, zip(*cells, strict=True))
    confusion = of(truth, answered, [str(group) for group in groups])
    for label in (0, 1):
        known = {group for true, _, group in cells if true == label}
        assert confusion.groups[label] == len(known)
        assert sum(confusion.answers[label]) == pytest.approx(len(known), abs=1e-3)


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
        ("answers", ((float("nan"), 1, 0), (0, 1, 0)), "neutrophil"),
        ("groups", (1,), "2 numbers"),
        ("groups", (1, 2), "lymphocyte: .* of 2 groups"),
        ("effective", (1.0, 1.0), "Extra inputs"),
    ],
)
def test_a_confusion_that_does_not_hold_together_is_refused(field, value, said):
    fields = {
        "classes": TWO,
        "answers": ((1, 0, 0), (0, 1, 0)),
        "groups": (1, 1),
        field: value,
    }
    with pytest.raises(ValidationError, match=said):
        Confusion(**fields)
