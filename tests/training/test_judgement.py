"""When an answer is safe to give: chosen on held-out images, kept as a small file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from leukolens.bundle import Judgement
from leukolens.datasets.base import Sample
from leukolens.differential.confusion import confusion_of
from leukolens.errors import TrainingError
from leukolens.evaluation.predictions import Predictions
from leukolens.training.crops import Crops
from leukolens.training.judgement import confusion, judge, read_judgement, write_judgement

CLASSES = ["neutrophil", "lymphocyte"]


def test_the_temperature_is_the_one_with_the_lowest_loss_though_names_repeat() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 200)
    logits = (rng.normal(size=(200, 2)) + 2 * np.eye(2)[truth]).astype(np.float32) * 3
    samples = tuple(
        Sample(
            Path(f"{CLASSES[label]}/{number // 2}/cell.png"), CLASSES[label], "a", "all", f"{label}/{number}"
        )
        for number, label in enumerate(truth)
    )
    # The same file name in many folders must not matter, so no two paths are equal here.
    samples = tuple(
        Sample(Path(f"{n}") / sample.path, sample.label, "a", "all", sample.group)
        for n, sample in enumerate(samples)
    )
    judgement, confusion = judge(
        logits, Crops(np.zeros((200, 1, 1, 3), np.uint8), truth, samples), CLASSES, "made up"
    )

    def loss(temperature: float) -> float:
        return float(-log_softmax(logits / temperature, axis=1)[np.arange(200), truth].mean())

    best = minimize_scalar(loss, bounds=(0.05, 20), method="bounded").fun
    assert loss(judgement.temperature) == pytest.approx(best, abs=1e-4)
    assert judgement.chosen_on == "made up"
    assert 0 <= judgement.accept_above <= 1
    assert (confusion.measured_on, confusion.labs) == ("made up", ("a",))
    top = softmax(logits.astype(np.float64) / judgement.temperature, axis=1).max(axis=1)
    sure = top >= judgement.accept_above - 1e-9  # the threshold is one of these probabilities
    for label, row in enumerate(confusion.answers):
        said = logits[truth == label].argmax(axis=1)
        accepted = sure[truth == label]
        counts = [int((accepted & (said == answer)).sum()) for answer in (0, 1)]
        assert row == (*counts, int((~accepted).sum()))


def test_what_is_likeliest_no_leukocyte_is_counted_as_such_however_unsure() -> None:
    probabilities = np.array([[0.9, 0.1], [0.55, 0.45], [0.45, 0.55], [0.1, 0.9]])
    predictions = Predictions(
        ("neutrophil", "other"),
        ("a", "b", "c", "d"),
        ("1", "2", "3", "4"),
        np.array([0, 0, 1, 1]),
        probabilities,
    )
    found = confusion(predictions, Judgement(accept_above=0.8), "made up", ("a",))
    assert found.answers == ((1, 0, 1), (0, 2, 0))


def test_a_judgement_survives_being_written_down(tmp_path: Path) -> None:
    path = tmp_path / "judgement.json"
    given = Judgement(temperature=1.25, accept_above=0.9, accepted_accuracy=0.95, chosen_on="cross-fitting")
    known = confusion_of(
        ("neutrophil", "lymphocyte"), np.array([0, 1, 1]), np.array([0, 1, 2]), ["a", "b", "c"]
    )
    write_judgement(given, known, 7, path)
    assert read_judgement(path) == (given, known, 7)


def test_a_judgement_of_an_earlier_version_knows_no_confusion(tmp_path: Path) -> None:
    path = tmp_path / "judgement.json"
    path.write_text('{"epoch": 3, "judgement": {"temperature": 1.5}}')
    assert read_judgement(path) == (Judgement(temperature=1.5), None, 3)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"epoch": 1, "judgement": {"temperature": -1}}'])
def test_what_is_no_judgement_is_refused(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "judgement.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TrainingError, match="is no judgement"):
        read_judgement(path)
