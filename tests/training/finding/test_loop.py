"""The detector's loop: a run that was killed or stopped ends with the weights of one that never was."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from leukolens.errors import TrainingError
from leukolens.training import checkpoint
from leukolens.training.finding.loop import FindingTrainer, Round, build, weights_of
from leukolens.training.finding.recipe import DetectorRecipe
from leukolens.training.finding.scenes import Scene
from leukolens.training.loop import Watch
from leukolens.training.run import Epoch, Run

RecipeMaker = Callable[..., DetectorRecipe]
Train = Callable[..., Path]


@pytest.fixture(scope="module")
def train(finding_recipe: RecipeMaker, scenes: list[Scene]) -> Train:
    """Trains into a folder, going on where it stopped."""

    def run(folder: Path, recipe: DetectorRecipe | None = None, watch: Watch | None = None) -> Path:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        trainer = FindingTrainer(recipe or finding_recipe(), Run(folder), scenes, accelerator="cpu")
        trainer.resume()
        trainer.fit(watch or Watch())
        return folder

    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, train: Train) -> Path:
    """A run that was never stopped."""
    return train(tmp_path_factory.mktemp("runs") / "whole")


def measured(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def assert_same_run(folder: Path, whole: Path) -> None:
    last = "checkpoints/epoch-003.safetensors"
    assert (folder / last).read_bytes() == (whole / last).read_bytes()
    assert measured(folder) == measured(whole)
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {
        path.name for path in (whole / "checkpoints").iterdir()
    }


def test_the_same_recipe_gives_the_same_weights_twice(whole: Path, train: Train, tmp_path: Path) -> None:
    assert_same_run(train(tmp_path / "again"), whole)


def test_another_seed_gives_other_weights(
    whole: Path, train: Train, finding_recipe: RecipeMaker, tmp_path: Path
) -> None:
    other = train(tmp_path / "other", finding_recipe(seed=4))
    last = "checkpoints/epoch-003.safetensors"
    own, seen = load_file(other / last)["network.heat.weight"], load_file(whole / last)["network.heat.weight"]
    assert not torch.equal(own, seen)


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_a_run_that_was_stopped_goes_on_from_its_last_whole_epoch(
    steps: int, whole: Path, train: Train, tmp_path: Path
) -> None:
    left = [steps]

    def stop() -> bool:
        left[0] -= 1
        return left[0] == 0

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", watch=Watch(stop=stop))
    seen: list[tuple[int, int]] = []
    train(tmp_path / "run", watch=Watch(step=lambda epoch, step, _: seen.append((epoch, step))))
    assert seen[0] == ((steps - 1) // 2 + 1, 1)
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize("dies_at", ["epoch-002.safetensors", "epoch-002.json", "metrics.jsonl"])
def test_a_kill_while_an_epoch_is_written_is_made_good(
    dies_at: str, whole: Path, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = checkpoint.write_atomically

    def dies(path: Path, content: bytes) -> None:
        if path.name == dies_at and (tmp_path / "run/checkpoints/epoch-001.json").exists():
            raise SystemExit
        real(path, content)

    monkeypatch.setattr(checkpoint, "write_atomically", dies)
    with pytest.raises(SystemExit):
        train(tmp_path / "run")
    monkeypatch.undo()
    assert_same_run(train(tmp_path / "run"), whole)


def test_a_kill_after_the_last_checkpoint_leaves_its_line_to_the_next_start(
    whole: Path, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = checkpoint.write_atomically

    def dies(path: Path, content: bytes) -> None:
        if path.name == "metrics.jsonl" and content.count(b"\n") == 3:
            raise SystemExit
        real(path, content)

    monkeypatch.setattr(checkpoint, "write_atomically", dies)
    with pytest.raises(SystemExit):
        train(tmp_path / "run")
    monkeypatch.undo()
    assert len(measured(tmp_path / "run")) == 2
    # What was to be deleted after it stays until there is a next epoch; nothing reads it.
    train(tmp_path / "run")
    assert measured(tmp_path / "run") == measured(whole)


def test_the_last_two_checkpoints_stay(whole: Path) -> None:
    assert [path.name for path in checkpoint.complete(whole / "checkpoints")] == ["epoch-002", "epoch-003"]


def test_a_watch_hears_of_every_step_and_epoch(train: Train, tmp_path: Path) -> None:
    steps: list[Any] = []
    epochs: list[Epoch] = []
    train(tmp_path / "run", watch=Watch(step=lambda *at: steps.append(at), epoch=epochs.append))
    assert steps == [(epoch, step, 2) for epoch in (1, 2, 3) for step in (1, 2)]
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    assert [epoch.train_loss for epoch in epochs] == [line["loss"] for line in measured(tmp_path / "run")]
    assert all(epoch.validation_loss is None for epoch in epochs)


def test_the_rate_rises_and_falls_over_the_whole_run(whole: Path) -> None:
    """Warm-up over the first of 6 steps (a tenth, at least one), then half a cosine of the other 5."""
    expected = [3e-3 * 0.5 * (1 + math.cos(math.pi * (step - 1) / 5)) for step in (1, 3, 5)]
    np.testing.assert_allclose([line["rate"] for line in measured(whole)], expected)


def test_it_learns(train: Train, finding_recipe: RecipeMaker, tmp_path: Path) -> None:
    recipe = finding_recipe(
        schedule={"epochs": 2, "steps": 25, "batch": 4}, optimiser={"rate": 1e-2, "warmup": 0.0},
        augment={"colour": 0.0, "stain": 0.0, "blur": 0.0, "grey": 0.0},
    )  # fmt: skip
    first, last = measured(train(tmp_path / "run", recipe))
    assert last["loss"] < 0.85 * first["loss"]


def test_a_run_of_another_recipe_is_not_taken_up(
    whole: Path, finding_recipe: RecipeMaker, scenes: list[Scene]
) -> None:
    for recipe in (finding_recipe(seed=8), finding_recipe(views={"tilt": 0.9})):
        with pytest.raises(TrainingError, match="another recipe or seed"):
            FindingTrainer(recipe, Run(whole), scenes, accelerator="cpu").resume()


def test_a_loss_that_is_no_number_says_so(train: Train, finding_recipe: RecipeMaker, tmp_path: Path) -> None:
    recipe = finding_recipe(optimiser={"rate": 1e30, "warmup": 0.0, "average": 0.0})
    with pytest.raises(TrainingError, match=r"loss of epoch \d is no number") as caught:
        train(tmp_path / "run", recipe)
    assert "rate" in caught.value.remedy


def test_what_is_finished_has_the_averaged_weights(
    whole: Path, finding_recipe: RecipeMaker, scenes: list[Scene]
) -> None:
    trainer = FindingTrainer(finding_recipe(), Run(whole), scenes, accelerator="cpu")
    trainer.resume()
    assert trainer.rounds == [
        Round(**json.loads(line)) for line in (whole / "metrics.jsonl").read_text().splitlines()
    ]
    stored = load_file(whole / "checkpoints/epoch-003.safetensors")
    network = trainer.finished()
    assert not network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, stored[f"average.{name}"])
    assert not torch.equal(network.heat.weight, stored["network.heat.weight"])


def test_the_first_weights_are_drawn_from_the_seed(finding_recipe: RecipeMaker) -> None:
    first, same, other = (build(finding_recipe(seed=seed)).conv.weight for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_sets_are_shown_by_their_shares_and_their_scenes_alike(
    finding_recipe: RecipeMaker, scenes: list[Scene]
) -> None:
    weights = weights_of(finding_recipe(), scenes)
    np.testing.assert_allclose(weights, [0.7 / 9] * 9 + [0.3 / 3] * 3)
    # A set that holds nothing leaves its share to the others.
    np.testing.assert_allclose(weights_of(finding_recipe(), scenes[:9]), [1 / 9] * 9)
