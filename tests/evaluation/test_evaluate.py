import numpy as np
import pytest
from PIL import Image

from leukolens.datasets.folder import Folder
from leukolens.datasets.tecom import Tecom
from leukolens.errors import DataError, ReportError
from leukolens.evaluation.answers import ask
from leukolens.evaluation.evaluate import evaluate, is_held_out
from leukolens.evaluation.ledger import looks, read
from leukolens.evaluation.measures import class_measures, headline
from leukolens.evaluation.trust import decision_measures
from leukolens.taxonomy import CLASS_KEYS

FOUR = ("neutrophil", "eosinophil", "lymphocyte", "monocyte")


def _evaluate(reader, dataset, split, tmp_path):
    return evaluate(
        reader, dataset, split, command="leukolens evaluate x", ledger_path=tmp_path / "ledger.csv"
    )


@pytest.fixture
def folder(tmp_path):
    for label in ("neutrophil", "monocyte"):
        for index in range(12):
            path = tmp_path / "lab" / label / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30), "pink").save(path)
    return Folder(tmp_path / "lab")


def test_a_bundle_that_knows_more_is_asked_of_the_sets_classes_alone(pretender, blood_cells, tmp_path):
    reader = pretender(CLASS_KEYS)
    evaluation = _evaluate(reader, blood_cells, "test", tmp_path)
    everything = ask(reader, blood_cells.samples("test"), blood_cells.root).predictions
    asked = everything.restricted(FOUR)
    assert evaluation.asked == FOUR
    np.testing.assert_array_equal(evaluation.predictions.probabilities, asked.probabilities)
    assert evaluation.headline == headline(asked)
    assert evaluation.unrestricted == headline(everything)
    assert evaluation.unrestricted.accuracy.value < evaluation.headline.accuracy.value
    assert evaluation.classes == class_measures(asked)


def test_decisions_are_those_of_the_product_over_all_of_its_classes(pretender, blood_cells, tmp_path):
    reader = pretender(CLASS_KEYS)
    answers = ask(reader, blood_cells.samples("test"), blood_cells.root)
    evaluation = _evaluate(reader, blood_cells, "test", tmp_path)
    assert evaluation.decisions == decision_measures(answers.predictions, answers.decisions)


def test_a_bundle_of_the_same_classes_is_not_restricted(pretender, blood_cells, tmp_path):
    assert _evaluate(pretender(FOUR), blood_cells, "test", tmp_path).unrestricted is None


def test_in_a_folder_every_class_stays_open(pretender, folder, tmp_path):
    evaluation = _evaluate(pretender(CLASS_KEYS), folder, "all", tmp_path)
    assert evaluation.asked == CLASS_KEYS
    assert evaluation.unrestricted is None
    assert evaluation.variants == ()
    assert evaluation.title == str(folder.root)


def test_test_has_three_variants_and_train_has_none(pretender, blood_cells, tmp_path):
    reader = pretender(FOUR)
    everything, _, settled = _evaluate(reader, blood_cells, "test", tmp_path).variants
    assert everything.headline.groups == 32
    assert settled.headline.groups == 31
    assert len(_evaluate(reader, blood_cells, "test_simple", tmp_path).variants) == 3
    assert _evaluate(reader, blood_cells, "train", tmp_path).variants == ()


def test_a_look_at_test_is_entered_with_what_was_seen(pretender, blood_cells, tmp_path):
    reader = pretender(CLASS_KEYS, taught=("blood-cells",))
    first = _evaluate(reader, blood_cells, "test", tmp_path)
    second = _evaluate(reader, blood_cells, "test_simple", tmp_path)
    assert (first.looks.all, second.looks.all, second.looks.here) == (1, 2, 2)
    rows = [row for row in read(tmp_path / "ledger.csv") if row.looks == "1"]
    assert {
        (row.dataset, row.split, row.seed, row.recipe_sha256, row.bundle_sha256, row.commit) for row in rows
    } == {("blood-cells", "test", "3", "c" * 64, "b" * 64, first.commit)}
    seen = {row.figure: row for row in rows}
    assert len(seen) == 10
    for variant in first.variants:
        row = seen[f"accuracy ({variant.name})"]
        accuracy = variant.headline.accuracy
        assert float(row.value) == pytest.approx(accuracy.value, abs=1e-6)
        assert float(row.low) == pytest.approx(accuracy.interval.low, abs=1e-6)
        assert float(row.high) == pytest.approx(accuracy.interval.high, abs=1e-6)
    assert "expected calibration error (all)" in seen


def test_training_images_and_folders_of_ones_own_are_no_look(pretender, blood_cells, folder, tmp_path):
    reader = pretender(FOUR, taught=("blood-cells",))
    assert _evaluate(reader, blood_cells, "train", tmp_path).looks is None
    assert _evaluate(reader, folder, "all", tmp_path).looks is None
    assert looks(tmp_path / "ledger.csv") == 0
    assert not (tmp_path / "ledger.csv").exists()


def test_a_lab_that_the_bundle_never_saw_is_held_out(pretender, data_root):
    tecom = Tecom(data_root / "tecom-300")
    samples = tecom.samples()
    assert is_held_out(tecom, samples, pretender(FOUR, taught=("blood-cells",)).bundle.card)
    assert not is_held_out(tecom, samples, pretender(FOUR, taught=("tecom",)).bundle.card)


def test_what_the_bundle_learned_from_is_said_to_be(pretender, blood_cells, tmp_path):
    reader = pretender(FOUR, taught=("blood-cells",))
    assert _evaluate(reader, blood_cells, "train", tmp_path).learned_from
    assert not _evaluate(reader, blood_cells, "test", tmp_path).learned_from


def test_nothing_is_reported_where_the_look_cannot_be_entered(pretender, blood_cells, tmp_path):
    (tmp_path / "ledger.csv").write_text("something else\n")
    with pytest.raises(ReportError, match="is no ledger"):
        _evaluate(pretender(FOUR), blood_cells, "test", tmp_path)


def test_a_split_that_is_not_there_is_refused(pretender, blood_cells, tmp_path):
    with pytest.raises(DataError, match="has no split 'validation'"):
        _evaluate(pretender(FOUR), blood_cells, "validation", tmp_path)
