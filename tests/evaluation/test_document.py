import json

import numpy as np
import pytest
from sklearn import metrics as oracle

from leukolens.evaluation.document import document, to_json
from leukolens.evaluation.evaluate import evaluate
from leukolens.evaluation.measures import headline
from leukolens.evaluation.predictions import Predictions
from leukolens.taxonomy import CLASS_KEYS


@pytest.fixture(scope="module")
def evaluation(pretender, blood_cells, tmp_path_factory):
    return evaluate(
        pretender(CLASS_KEYS, skill=0.7),
        blood_cells,
        "test",
        command='leukolens evaluate "predictions": null',
        ledger_path=tmp_path_factory.mktemp("ledger") / "ledger.csv",
    )


def test_the_text_is_the_document_one_line_an_image(evaluation):
    text = to_json(evaluation)
    assert json.loads(text) == json.loads(json.dumps(document(evaluation)))
    assert sum('{"image": ' in line for line in text.splitlines()) == len(evaluation.predictions)
    assert json.loads(text)["command"] == evaluation.command


def test_any_figure_can_be_computed_again_from_the_probabilities(evaluation):
    whole = json.loads(to_json(evaluation))
    assert whole["schema"] == "leukolens.evaluate/1"
    rows = whole["predictions"]["images"]
    truth, answered = [row["truth"] for row in rows], [row["predicted"] for row in rows]
    assert whole["headline"]["accuracy"]["value"] == pytest.approx(oracle.accuracy_score(truth, answered))
    classes = whole["asked"]
    precision, recall, f1, _ = oracle.precision_recall_fscore_support(truth, answered, labels=classes)
    for index, line in enumerate(whole["classes"]):
        assert line["class"] == classes[index]
        assert line["precision"]["value"] == pytest.approx(precision[index])
        assert line["recall"]["value"] == pytest.approx(recall[index])
        assert line["f1"]["value"] == pytest.approx(f1[index])
        scores = [row["probabilities"][classes[index]] for row in rows]
        area = oracle.roc_auc_score([label == classes[index] for label in truth], scores)
        assert line["auc"]["value"] == pytest.approx(area)
    counted = oracle.confusion_matrix(truth, answered, labels=classes)
    np.testing.assert_array_equal(np.array(whole["confusion"]["images"])[:, :-1], counted)
    assert headline(Predictions.from_document(whole["predictions"])) == evaluation.headline


def test_what_has_no_value_is_null(evaluation):
    whole = document(evaluation)
    rare = whole["classes"][-1]
    assert rare["class"] == "monocyte"
    assert rare["recall"]["value"] is not None
    assert rare["recall"]["low"] is rare["recall"]["high"] is None


def test_nothing_found_at_all_still_makes_a_document(pretender, blood_cells, tmp_path):
    reader = pretender(CLASS_KEYS)
    whole = type(reader).identify
    reader.identify = lambda sources: whole(reader, (path.with_name("empty") for path in sources))
    evaluation = evaluate(reader, blood_cells, "test", command="", ledger_path=tmp_path / "ledger.csv")
    written = json.loads(to_json(evaluation))
    assert written["headline"]["accuracy"]["value"] == 0
    assert written["calibration"]["ece"]["value"] is None
    assert written["coverage"]["coverage"] == []
    assert {line["decision"] for line in written["decisions"]} == {"no cell"}


def test_restriction_looks_and_method_are_said(evaluation):
    whole = document(evaluation)
    assert whole["restricted"] is True
    assert whole["unrestricted"]["accuracy"]["value"] == evaluation.unrestricted.accuracy.value
    assert whole["looks"] == {"all": 1, "here": 1}
    assert (whole["interval"]["resamples"], whole["interval"]["fewest_groups"]) == (2000, 9)
    assert [variant["name"] for variant in whole["variants"]] == [
        "all",
        "field not in TRAIN",
        "without monocyte _0_",
    ]
    assert whole["bundle"]["sha256"] == "b" * 64
