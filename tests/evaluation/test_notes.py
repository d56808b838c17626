import pytest
from PIL import Image

from leukolens.datasets.folder import Folder
from leukolens.evaluation.evaluate import evaluate
from leukolens.evaluation.notes import notes
from leukolens.taxonomy import CLASS_KEYS


def _texts(evaluation):
    return {note.text.split(":")[0].split(".")[0]: note for note in notes(evaluation)}


@pytest.fixture
def measured(tmp_path):
    def run(reader, dataset, split):
        return evaluate(reader, dataset, split, command="x", ledger_path=tmp_path / "ledger.csv")

    return run


def test_the_official_test_says_restriction_rare_classes_and_looks(measured, pretender, blood_cells):
    measured(pretender(CLASS_KEYS), blood_cells, "test")
    found = [note.text for note in notes(measured(pretender(CLASS_KEYS), blood_cells, "test"))]
    assert found == [
        "The bundle knows 7 classes and was asked of 4: its probabilities were restricted to neutrophil, "
        "eosinophil, lymphocyte, monocyte, and scaled to add up to 1. The last row of the first table has all"
        " classes open.",
        "Too few photographs for an interval, or for any claim about coverage: lymphocyte (6), monocyte (4). "
        "What balanced accuracy owes to them is as uncertain as they are.",
        "Look 2 at held-out data by the ledger, look 2 at blood-cells. The more looks, the more the best of "
        "them owes to luck.",
    ]


def test_figures_on_what_was_learned_from_bear_a_warning(measured, pretender, blood_cells):
    first = notes(measured(pretender(CLASS_KEYS, taught=("blood-cells",)), blood_cells, "train"))[0]
    assert first.warning
    assert first.text.startswith("This bundle learned from blood-cells train.")


def test_unreadable_images_lost_cells_and_absent_classes_are_said(measured, pretender, tmp_path):
    for label, names in {
        "neutrophil": ["a", "empty", "broken"],
        "monocyte": ["b"],
        "basophil": ["c"],
    }.items():
        for name in names:
            path = tmp_path / "lab" / label / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (9, 9)).save(path)
    evaluation = measured(pretender(CLASS_KEYS), Folder(tmp_path / "lab"), "all")
    failed, lost, _, absent = notes(evaluation)
    assert failed.warning
    assert (
        failed.text == "1 image could not be read, the first: neutrophil/broken.png: is truncated or damaged"
    )
    assert lost.text == "No cell was found in 2 images of 5. They count as wrong in every figure."
    assert absent.text == "No images of eosinophil, lymphocyte, immature granulocyte, other."
