import json

import numpy as np
import pytest

from leukolens.errors import DataError
from leukolens.evaluation.predictions import NO_CELL, Predictions

NOTHING = [float("nan")] * 4


def test_an_image_without_a_cell_is_predicted_as_nothing_and_wrong(given):
    predictions = given([[0.7, 0.1, 0.1, 0.1], NOTHING], [0, 0])
    assert predictions.predicted.tolist() == [0, NO_CELL]
    assert predictions.correct.tolist() == [True, False]
    assert predictions.found.tolist() == [True, False]
    assert predictions.confidence[0] == 0.7
    assert np.isnan(predictions.confidence[1])


def test_equal_probabilities_give_the_first_class(given):
    assert given([[0.1, 0.4, 0.4, 0.1]], [2]).predicted.tolist() == [1]


def test_json_brings_every_probability_back_to_the_bit(drawn):
    before = drawn(3)
    after = Predictions.from_json(before.to_json())
    assert (after.classes, after.images, after.groups) == (before.classes, before.images, before.groups)
    np.testing.assert_array_equal(after.truth, before.truth)
    np.testing.assert_array_equal(after.probabilities, before.probabilities)


def test_json_is_one_line_an_image_and_names_classes_in_words(given):
    text = given([[0.7, 0.1, 0.1, 0.1], NOTHING], [0, 3], ["a", "b"]).to_json()
    assert len(text.splitlines()) == 4
    rows = json.loads(text)["images"]
    assert rows[0] == {
        "image": "0.png",
        "group": "a",
        "truth": "neutrophil",
        "predicted": "neutrophil",
        "correct": True,
        "probabilities": {"neutrophil": 0.7, "eosinophil": 0.1, "lymphocyte": 0.1, "monocyte": 0.1},
    }
    assert (rows[1]["probabilities"], rows[1]["predicted"], rows[1]["correct"]) == (None, None, False)


def test_no_images_at_all_make_a_round_trip_too(given):
    empty = given([], [])
    assert len(Predictions.from_json(empty.to_json())) == 0
    assert empty.predicted.shape == empty.confidence.shape == empty.correct.shape == (0,)


def test_only_keeps_the_chosen_images_in_order(drawn):
    everything = drawn(1)
    mask = np.arange(len(everything)) % 3 == 0
    part = everything.only(mask)
    assert part.images == everything.images[::3]
    assert part.groups == everything.groups[::3]
    np.testing.assert_array_equal(part.probabilities, everything.probabilities[mask])
    np.testing.assert_array_equal(part.truth, everything.truth[mask])


def test_fewer_classes_share_the_whole_and_keep_their_ratios(given):
    asked = given([[0.5, 0.2, 0.2, 0.1], NOTHING], [1, 3]).restricted(("monocyte", "eosinophil"))
    assert asked.classes == ("monocyte", "eosinophil")
    np.testing.assert_allclose(asked.probabilities[0], [1 / 3, 2 / 3])
    assert asked.truth.tolist() == [1, 0]
    assert asked.predicted.tolist() == [1, NO_CELL]


def test_a_row_that_gives_the_asked_classes_nothing_answers_nothing(given):
    asked = given([[1.0, 0.0, 0.0, 0.0]], [1]).restricted(("eosinophil", "monocyte"))
    assert asked.predicted.tolist() == [NO_CELL]


def test_images_of_other_classes_are_refused_not_dropped(given):
    with pytest.raises(DataError, match="images of lymphocyte cannot be asked of neutrophil alone"):
        given([[0.7, 0.1, 0.1, 0.1]], [2]).restricted(("neutrophil",))
    with pytest.raises(DataError, match="no class basophil"):
        given([[0.7, 0.1, 0.1, 0.1]], [2]).restricted(("basophil",))


def test_the_arrays_are_a_copy_that_cannot_be_written_to(given):
    truth = np.array([0])
    predictions = Predictions(("a", "b"), ("x",), ("g",), truth, np.array([[0.5, 0.5]]))
    truth[0] = 1
    assert predictions.truth.tolist() == [0]
    with pytest.raises(ValueError, match="read-only"):
        predictions.probabilities[0, 0] = 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"groups": ("g",)}, "1 groups"),
        ({"images": ("x", "x")}, "twice"),
        ({"classes": ("a", "a")}, "a class stands twice"),
        ({"truth": np.array([0, 2])}, "not one of the 2"),
        ({"truth": np.array([0, -1])}, "not one of the 2"),
        ({"probabilities": np.array([[0.5, 0.5], [0.5, 0.6]])}, "no probability distribution"),
        ({"probabilities": np.array([[0.5, 0.5], [1.5, -0.5]])}, "no probability distribution"),
        ({"probabilities": np.array([[0.5, 0.5], [np.nan, 0.6]])}, "some classes only"),
        ({"probabilities": np.array([[1.0], [1.0]])}, "for 2 classes"),
    ],
)
def test_what_does_not_hold_together_is_refused(change, problem):
    good = {
        "classes": ("a", "b"),
        "images": ("x", "y"),
        "groups": ("g", "g"),
        "truth": np.array([0, 1]),
        "probabilities": np.array([[0.5, 0.5], [0.5, 0.5]]),
    }
    Predictions(**good)
    with pytest.raises(DataError, match=problem):
        Predictions(**(good | change))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "leukolens.predictions/2"}', "null"])
def test_other_text_is_no_predictions(text):
    with pytest.raises(DataError, match="do not hold together"):
        Predictions.from_json(text)
