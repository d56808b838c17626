"""When an answer is safe to give: chosen on held-out images, kept as a small file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from leukolens.card import Judgement
from leukolens.datasets.base import Sample
from leukolens.differential.confusion import confusion_of
from leukolens.errors import TrainingError
from leukolens.evaluation.predictions import Predictions
from leukolens.imaging.framing import Box
from leukolens.training.augment import centre, to_input
from leukolens.training.crops import Crops
from leukolens.training.judgement import (
    HeldOut,
    as_read,
    confusion,
    held_out_words,
    judge,
    read_judgement,
    write_judgement,
)

CLASSES = ["neutrophil", "lymphocyte"]


def made_up(count: int, size: int = 48) -> Crops:
    """Crops of noise, mostly brighter at the top for one of two classes; three to a photograph."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, count)
    pixels = rng.normal(110, 20, (count, size, size, 3))
    pixels[:, : size // 2] += rng.normal(50 * truth, 30)[:, None, None, None]
    samples = tuple(
        Sample(Path(f"{n}/cell.png"), CLASSES[label], "a", "all", f"{label}/{n // 3}")
        for n, label in enumerate(truth)
    )
    return Crops(pixels.clip(0, 255).astype(np.uint8), truth, samples)


def upright(inputs: torch.Tensor) -> torch.Tensor:
    """Logits of a network that knows up from down: how much brighter the top is than the bottom."""
    middle = inputs.shape[2] // 2
    brighter = inputs[:, :, :middle].mean((1, 2, 3)) - inputs[:, :, middle:].mean((1, 2, 3))
    return torch.stack([torch.zeros(len(inputs)), 8 * brighter - 1.5], dim=1)


def held_out(crops: Crops) -> HeldOut:
    return HeldOut(crops, upright(centre(torch.from_numpy(crops.pixels), 32, 1.5)).numpy(), upright)


def names_of(crops: Crops) -> list[str]:
    return [sample.path.as_posix() for sample in crops.samples]


def test_the_temperature_is_the_one_with_the_lowest_loss_and_chosen_on_single_looks(tiny_recipe: Any) -> None:
    part = held_out(made_up(200))
    judgement = judge(tiny_recipe(), [part], names_of(part.crops), "made up").judgement

    def loss(temperature: float) -> float:
        rows = log_softmax(part.logits.astype(np.float64) / temperature, axis=1)
        return float(-rows[np.arange(200), part.crops.truth].mean())

    best = minimize_scalar(loss, bounds=(0.05, 20), method="bounded").fun
    assert loss(judgement.temperature) == pytest.approx(best, abs=1e-4)
    assert (judgement.chosen_on, judgement.sides) == ("made up", 4)
    once = softmax(part.logits.astype(np.float64) / judgement.temperature, axis=1).max(axis=1)
    assert np.abs(once - judgement.accept_above).min() < 1e-9  # the threshold is one of these


def test_what_is_unsure_is_looked_at_from_four_sides(tiny_recipe: Any) -> None:
    part = held_out(made_up(60))
    judgement = Judgement(temperature=1.3, accept_above=0.75, sides=4)
    answers = as_read(part, tiny_recipe(), judgement)
    once = softmax(part.logits.astype(np.float64) / 1.3, axis=1)
    unsure = once.max(axis=1) < 0.75
    assert 5 < unsure.sum() < 55
    np.testing.assert_allclose(answers[~unsure], once[~unsure])
    middle = part.crops.pixels[unsure, 8:40, 8:40]
    looks = [
        upright(to_input(torch.from_numpy(np.rot90(middle, n, (1, 2)).copy()))).numpy() for n in range(4)
    ]
    mean = np.mean([softmax(look.astype(np.float64) / 1.3, axis=1) for look in looks], axis=0)
    np.testing.assert_allclose(answers[unsure], mean, atol=1e-6)
    assert np.abs(answers[unsure] - once[unsure]).max() > 0.05


def test_it_is_counted_as_the_answers_are_read(tiny_recipe: Any) -> None:
    part = held_out(made_up(200))
    judged = judge(tiny_recipe(), [part], names_of(part.crops), "made up")
    judgement, found = judged.judgement, judged.predictions
    np.testing.assert_array_equal(found.probabilities, as_read(part, tiny_recipe(), judgement))
    sure = found.confidence >= judgement.accept_above
    assert 0 < sure.sum() < 200
    assert judgement.accepted_share == pytest.approx(sure.mean())
    assert judgement.accepted_accuracy == pytest.approx(found.correct[sure].mean())
    assert (judged.confusion.measured_on, judged.confusion.labs) == ("made up", ("a",))
    assert judged.confusion == confusion(found, judgement, "made up", ("a",))
    groups = np.array(found.groups)
    for label, row in enumerate(judged.confusion.answers):
        unsure = [1 - sure[groups == name].mean() for name in np.unique(groups[found.truth == label])]
        assert row[-1] == pytest.approx(sum(unsure), abs=1e-4)


def test_what_is_named_no_leukocyte_is_not_among_the_accepted(tiny_recipe: Any) -> None:
    part = held_out(made_up(200))
    judged = judge(tiny_recipe(classes=["neutrophil", "other"]), [part], names_of(part.crops), "made up")
    judgement, found = judged.judgement, judged.predictions
    named = found.probabilities.argmax(axis=1) == 0
    sure = named & (found.confidence >= judgement.accept_above)
    assert 0 < sure.sum() < named.sum() < 200
    assert judgement.accepted_share == pytest.approx(sure.sum() / named.sum())
    assert judgement.accepted_accuracy == pytest.approx(found.correct[sure].mean())


def test_each_part_is_looked_at_by_its_own_network(tiny_recipe: Any) -> None:
    crops = made_up(120)
    first, second = crops.take(np.arange(60)), crops.take(np.arange(60, 120))
    parts = [held_out(first), HeldOut(second, held_out(second).logits, lambda inputs: upright(inputs) * 0)]
    judged = judge(tiny_recipe(), parts, names_of(crops), "made up")
    assert judged.predictions.truth.tolist() == crops.truth.tolist()
    for part, rows in zip(parts, np.split(judged.predictions.probabilities, 2), strict=True):
        np.testing.assert_array_equal(rows, as_read(part, tiny_recipe(), judged.judgement))


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


def test_several_cells_of_an_image_are_told_from_images_in_words() -> None:
    whole = Sample(Path("a.png"), "neutrophil", "here", "train", "a", "a")
    other = replace(whole, path=Path("b.png"), group="b")
    cut = replace(whole, label="other", box=Box(0, 0, 9, 9))
    assert held_out_words([whole, other]) == "2 images of 2 groups"
    assert held_out_words([whole, other, cut]) == "3 cells in 2 images of 2 groups"
