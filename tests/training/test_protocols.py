"""Cross-fitting: every photograph is answered, and looked at again, by the network that never saw it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax

from leukolens.errors import TrainingError
from leukolens.evaluation.predictions import Predictions
from leukolens.training import checkpoint, protocols
from leukolens.training.augment import centre
from leukolens.training.crops import framed, samples_of
from leukolens.training.export import trained
from leukolens.training.judgement import read_judgement
from leukolens.training.run import Epoch, Run
from leukolens.training.session import Place, split

FOLDS = 2


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Any) -> Any:
    return tiny_recipe(schedule={"epochs": 2, "batch": 6}, validation={"folds": FOLDS, "fold": None})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, crop_cache: Path) -> Place:
    out = tmp_path_factory.mktemp("runs") / "crossed"
    return Place(out.parent, out, crop_cache, accelerator="cpu")


@pytest.fixture(scope="module")
def crossed(recipe: Any, place: Place) -> protocols.CrossFit:
    return protocols.cross_fit(recipe, place)


def test_what_it_chose_is_written_down(crossed: protocols.CrossFit, place: Place) -> None:
    judged = crossed.judged
    assert read_judgement(place.out / "judgement.json") == (judged.judgement, judged.confusion, crossed.epoch)
    written = Predictions.from_json((place.out / "held_out.json").read_text())
    np.testing.assert_array_equal(written.probabilities, judged.predictions.probabilities)
    assert len(written) == 24
    assert f"{FOLDS}-fold cross-fitting, epoch {crossed.epoch}" in judged.judgement.chosen_on


def test_the_answers_are_those_of_the_folds_own_network_from_all_sides(
    crossed: protocols.CrossFit, recipe: Any, place: Place
) -> None:
    judgement = crossed.judged.judgement
    crops = framed(
        samples_of(recipe, place.root), recipe.classes, recipe.framing, margin=1.5, cache=place.cache
    )
    expected = []
    for fold in range(FOLDS):
        part = split(crops, protocols.fold_recipe(recipe, fold))[1]
        network = trained(Run(place.out / f"fold-{fold}"), crossed.epoch)
        inputs = centre(torch.from_numpy(part.pixels), 32, 1.5)
        with torch.inference_mode():
            looks = [network(torch.rot90(inputs, side, (2, 3))).double().numpy() for side in range(4)]
        rows = np.array([softmax(look / judgement.temperature, axis=1) for look in looks])
        unsure = rows[0].max(axis=1) < judgement.accept_above
        expected.append(np.where(unsure[:, None], rows.mean(axis=0), rows[0]))
    np.testing.assert_allclose(crossed.judged.predictions.probabilities, np.concatenate(expected), atol=1e-4)


def test_a_fold_that_did_not_keep_the_chosen_epoch_is_named(
    crossed: protocols.CrossFit, recipe: Any, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_epoch = Run.of_epoch
    monkeypatch.setattr(
        Run, "of_epoch", lambda run, epoch: of_epoch(run, 9 if run.folder.name == "fold-1" else epoch)
    )
    with pytest.raises(TrainingError, match=f"fold-1 kept no checkpoint of epoch {crossed.epoch}"):
        protocols.pool(recipe, place)


def test_a_fold_that_is_not_finished_is_named(recipe: Any, place: Place, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="fold-0 is not finished"):
        protocols.pool(recipe, Place(place.root, tmp_path, place.cache))


def test_folds_keep_every_epoch_until_one_is_chosen(crossed: protocols.CrossFit, place: Place) -> None:
    for fold in range(FOLDS):
        assert len(checkpoint.complete(Run(place.out / f"fold-{fold}").checkpoints)) == 2


def test_the_best_epoch_weighs_folds_by_their_images() -> None:
    def epochs(*losses: float) -> list[Epoch]:
        return [Epoch(n, 0, 0, loss, 0, 0, 0, 0) for n, loss in enumerate(losses, 1)]

    folds = [epochs(1.0, 2.0), epochs(2.0, 1.5)]
    assert protocols.best_epoch(folds, [10, 10]) == 1
    assert protocols.best_epoch(folds, [10, 30]) == 2


def test_an_epoch_that_was_not_judged_is_not_the_best() -> None:
    folds = [[Epoch(n, 0, 0, loss, 0, 0, 0, 0) for n, loss in enumerate((None, 0.5, 0.6), 1)]]
    assert protocols.best_epoch(folds, [10]) == 2
