from pathlib import Path

import numpy as np
import pytest

from leukolens.datasets.base import Sample
from leukolens.evaluation.answers import MISTAKES_SHOWN, ask, worst_mistakes
from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, ImageReading
from leukolens.taxonomy import CLASS_KEYS


def _samples(blood_cells, *splits):
    return blood_cells.samples(*(splits or ("test",)))


def test_answers_stand_beside_their_samples_in_order(pretender, blood_cells):
    samples = _samples(blood_cells)
    reader = pretender(CLASS_KEYS)
    answers = ask(reader, samples, blood_cells.root)
    predictions = answers.predictions
    assert predictions.classes == CLASS_KEYS
    assert predictions.images[0] == samples[0].path.relative_to(blood_cells.root).as_posix()
    assert predictions.images[0].startswith("images/TEST/EOSINOPHIL/_")
    assert predictions.groups == tuple(sample.group for sample in samples)
    assert [predictions.classes[label] for label in predictions.truth] == [sample.label for sample in samples]
    for index, reading in enumerate(reader.identify(sample.path for sample in samples)):
        (cell,) = reading.cells
        assert dict(zip(CLASS_KEYS, predictions.probabilities[index], strict=True)) == cell.probabilities
        assert answers.decisions[index] == cell.decision
        assert answers.boxes[index] == cell.box
    assert answers.failed == ()


def test_a_class_the_bundle_does_not_know_has_no_probability(pretender, blood_cells):
    predictions = ask(
        pretender(("neutrophil", "basophil")), _samples(blood_cells), blood_cells.root
    ).predictions
    assert predictions.classes == ("neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte")
    assert not predictions.probabilities[:, [1, 3, 4]].any()
    assert not predictions.correct[predictions.truth == 1].any()


def test_images_without_a_cell_or_that_cannot_be_read_are_rows_of_nothing(pretender):
    root = Path("/lab")
    samples = [
        Sample(root / "MONOCYTE" / name, "monocyte", "lab", "all", name)
        for name in ("a.png", "empty.png", "broken.png")
    ]
    answers = ask(pretender(CLASS_KEYS), samples, root)
    assert answers.predictions.found.tolist() == [True, False, False]
    assert answers.decisions[1:] == ("no cell", "no cell")
    assert answers.boxes[1:] == (None, None)
    assert answers.failed == ("MONOCYTE/broken.png: is truncated or damaged",)


def test_the_first_of_several_cells_answers():
    cells = tuple(
        Cell(Box(0, 0, side, side), {"neutrophil": share, "monocyte": 1 - share}, "accept", "")
        for side, share in ((9, 0.2), (5, 0.9))
    )

    class Two:
        def __init__(self, bundle):
            self.bundle = bundle

        def identify(self, sources):
            return (ImageReading(path, "ok", None, cells) for path in sources)

    class Knows:
        card = type("Card", (), {"classes": ["neutrophil", "monocyte"]})

    answers = ask(Two(Knows), [Sample(Path("a.png"), "monocyte", "lab", "all", "a")], Path())
    assert answers.predictions.probabilities.tolist() == [[0.2, 0.8]]
    assert answers.boxes == (Box(0, 0, 9, 9),)


def test_readings_are_passed_through_whoever_watches(pretender, blood_cells):
    seen = []

    def watch(readings, total):
        for reading in readings:
            seen.append((reading.path, total))
            yield reading

    samples = _samples(blood_cells)
    ask(pretender(CLASS_KEYS), samples, blood_cells.root, watch)
    assert seen == [(sample.path, len(samples)) for sample in samples]


@pytest.fixture
def mistakes(pretender, blood_cells):
    answers = ask(pretender(CLASS_KEYS, skill=0.5), _samples(blood_cells), blood_cells.root)
    return answers, worst_mistakes(answers.predictions, answers)


def test_the_worst_mistakes_are_the_surest_one_a_photograph(mistakes):
    answers, found = mistakes
    predictions = answers.predictions
    assert len({mistake.group for mistake in found}) == len(found) <= MISTAKES_SHOWN
    confidences = [mistake.confidence for mistake in found]
    assert confidences == sorted(confidences, reverse=True)
    assert confidences[0] == predictions.confidence[~predictions.correct].max()
    for mistake in found:
        row = predictions.images.index(mistake.image)
        assert not predictions.correct[row]
        assert mistake.group == predictions.groups[row]
        assert mistake.truth == predictions.classes[predictions.truth[row]]
        assert mistake.predicted == predictions.classes[predictions.predicted[row]]
        copies = np.array([group == mistake.group for group in predictions.groups])
        assert (mistake.copies, mistake.wrong) == (4, (copies & ~predictions.correct).sum())


def test_images_without_a_cell_come_last_among_mistakes(pretender):
    root = Path("/lab")
    names = ("empty.png", "a.png", "b.png", "c.png", "d.png", "e.png")
    samples = [Sample(root / "MONOCYTE" / name, "monocyte", "lab", "all", name) for name in names]
    answers = ask(pretender(CLASS_KEYS, skill=0), samples, root)
    last = worst_mistakes(answers.predictions, answers)[-1]
    assert (last.image, last.predicted, last.confidence, last.box) == ("MONOCYTE/empty.png", None, 0.0, None)


def test_all_right_makes_no_mistakes(given, pretender):
    predictions = given([[1, 0, 0, 0]], [0])
    answers = ask(pretender(CLASS_KEYS), [Sample(Path("a"), "neutrophil", "l", "all", "g")], Path())
    assert worst_mistakes(predictions, answers) == ()
