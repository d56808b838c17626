import json

import numpy as np
import pytest

from leukolens.datasets.catalogue import dataset_class
from leukolens.errors import DataError
from leukolens.evaluation.unseen_answers import LABS, Asked, lab_called


def test_every_set_belongs_to_its_lab_and_scores_classes_of_its_own():
    for lab in LABS:
        kind = dataset_class(lab.dataset)
        assert kind.lab == lab.key
        assert {lab.split, lab.inner_split} <= {*kind.splits}
        assert {*lab.scored} <= {*kind.classes}


def test_an_inner_rotation_never_asks_for_test():
    assert not any(lab.inner_split.startswith("test") for lab in LABS)
    assert lab_called("blood-cells").split == "test"


def test_answers_come_back_from_their_file_to_the_bit(asked):
    one = asked("tecom", 3, outer="pbc")
    back = Asked.from_json(one.to_json())
    np.testing.assert_array_equal(
        back.answers.predictions.probabilities, one.answers.predictions.probabilities
    )
    assert back.answers.predictions.images == one.answers.predictions.images
    assert (back.answers.decisions, back.answers.boxes) == (one.answers.decisions, one.answers.boxes)
    assert None in back.answers.boxes
    for name in ("lab", "left_out", "split", "date", "commit", "card", "bundle_sha256"):
        assert getattr(back, name) == getattr(one, name)
    assert back.left_out == ("pbc", "tecom")


@pytest.mark.parametrize("change", [{"schema": "x/1"}, {"lab": "moon"}, {"boxes": [[1]]}, {"card": {}}])
def test_a_file_that_holds_something_else_is_refused(asked, change):
    document = json.loads(asked().to_json()) | change
    with pytest.raises(DataError):
        Asked.from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null"])
def test_no_document_is_refused(text):
    with pytest.raises(DataError, match="cannot be read"):
        Asked.from_json(text)


def test_an_unknown_lab_is_named():
    with pytest.raises(DataError, match="no lab 'moon'"):
        lab_called("moon")
