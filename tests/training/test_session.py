"""From a recipe to a finished run, in a folder of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leukolens.errors import RecipeError, TrainingError
from leukolens.training import recipe as recipes
from leukolens.training import session
from leukolens.training.crops import framed, samples_of
from leukolens.training.loop import Watch
from leukolens.training.run import Epoch, Run


@pytest.fixture(scope="module")
def told() -> dict[str, list[Any]]:
    return {"steps": [], "epochs": []}


@pytest.fixture(scope="module")
def done(
    tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Any, crop_cache: Path, drawn_set: Path,
    told: dict[str, list[Any]],
) -> Path:  # fmt: skip
    out = tmp_path_factory.mktemp("runs") / "done"
    watch = Watch(step=lambda *at: told["steps"].append(at), epoch=told["epochs"].append)
    recipe = tiny_recipe(schedule={"epochs": 2})
    session.train(recipe, session.Place(drawn_set, out, crop_cache, accelerator="cpu"), watch=watch)
    return out


def test_a_finished_run_holds_what_the_others_read(done: Path) -> None:
    found = {path.relative_to(done).as_posix() for path in done.rglob("*") if path.is_file()}
    assert found >= {
        "recipe.json",
        "samples.json",
        "metrics.jsonl",
        "best.json",
        "curves.png",
        "report.html",
        "checkpoints/epoch-002.safetensors",
        "checkpoints/epoch-002.json",
        "held_out/epoch-001.safetensors",
        "held_out/epoch-002.safetensors",
    }
    assert (done / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_run_keeps_its_recipe(done: Path, tiny_recipe: Any) -> None:
    assert Run(done).recipe() == tiny_recipe(schedule={"epochs": 2})


def test_a_watch_hears_of_every_step_and_epoch(done: Path, told: dict[str, list[Any]]) -> None:
    assert told["steps"] == [(epoch, step, 3) for epoch in (1, 2) for step in (1, 2, 3)]
    assert told["epochs"] == Run(done).epochs()
    assert all(isinstance(epoch, Epoch) and 0 <= epoch.train_accuracy <= 1 for epoch in told["epochs"])


def test_the_best_note_is_the_best_line(done: Path) -> None:
    epochs = Run(done).epochs()
    best = json.loads((done / "best.json").read_text())
    assert best["validation_loss"] == min(epoch.validation_loss for epoch in epochs)  # type: ignore[type-var]
    assert best in [json.loads(line) for line in (done / "metrics.jsonl").read_text().splitlines()]


def test_what_taught_and_what_was_held_out_share_no_photograph(done: Path) -> None:
    listing = json.loads((done / "samples.json").read_text())
    teach, held_out = ({row[4] for row in listing[part]} for part in ("teach", "held_out"))
    assert len(listing["teach"]) + len(listing["held_out"]) + len(listing["no_cell"]) == 24
    assert teach
    assert held_out
    assert not teach & held_out
    assert {row[1] for row in listing["held_out"]} == {"neutrophil", "lymphocyte"}


def test_the_listing_names_images_below_the_data_and_nothing_of_this_machine(done: Path) -> None:
    text = (done / "samples.json").read_text()
    assert json.loads(text)["teach"][0][0].startswith(("neutrophil/", "lymphocyte/"))
    assert str(done.parent) not in text


def test_a_folder_with_a_run_is_not_written_over(done: Path, tiny_recipe: Any) -> None:
    before = (done / "metrics.jsonl").read_bytes()
    with pytest.raises(TrainingError, match="already holds a run") as caught:
        session.train(tiny_recipe(), session.Place(done, done, accelerator="cpu"))
    assert "--resume" in caught.value.remedy
    assert (done / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "change", [{"seed": 8}, {"validation": {"fold": 2}}, {"optimiser": {"rate": 2e-3}}], ids=str
)
def test_a_run_goes_on_only_by_its_own_recipe_seed_and_fold(
    change: dict[str, Any], done: Path, tiny_recipe: Any, crop_cache: Path
) -> None:
    other = tiny_recipe(**{"schedule": {"epochs": 2}, **change})
    with pytest.raises(TrainingError, match="another recipe"):
        session.train(other, session.Place(done, done, crop_cache, accelerator="cpu"), resume=True)
    assert Run(done).recipe() == tiny_recipe(schedule={"epochs": 2})


def test_a_finished_run_has_nothing_to_go_on_with(
    done: Path, tiny_recipe: Any, crop_cache: Path, drawn_set: Path
) -> None:
    before = (done / "metrics.jsonl").read_bytes()
    steps: list[Any] = []
    place = session.Place(drawn_set, done, crop_cache, accelerator="cpu")
    watch = Watch(step=lambda *at: steps.append(at))
    epochs = session.train(tiny_recipe(schedule={"epochs": 2}), place, resume=True, watch=watch)
    assert len(epochs) == 2
    assert not steps
    assert (done / "metrics.jsonl").read_bytes() == before


def test_a_second_writer_is_refused(tiny_recipe: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    with Run(out).alone(), pytest.raises(TrainingError, match="another process"):
        session.train(tiny_recipe(), session.Place(tmp_path, out, accelerator="cpu"))


def test_nothing_held_out_judges_nothing_and_takes_the_last_epoch(
    tiny_recipe: Any, crop_cache: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(
        validation={"fold": None}, schedule={"epochs": 2, "batch": 24}, optimiser={"average": 0.0}
    )
    epochs = session.train(recipe, session.Place(tmp_path, tmp_path / "run", crop_cache, accelerator="cpu"))
    assert [epoch.validation_loss for epoch in epochs] == [None, None]
    assert Run(tmp_path / "run").best() == 2


def test_too_few_photographs_to_hold_a_fold_out_says_so(
    tiny_recipe: Any, crop_cache: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(validation={"folds": 20, "fold": 19})
    crops = framed(samples_of(recipe, tmp_path), recipe.classes, recipe.framing, margin=1.5, cache=crop_cache)
    with pytest.raises(TrainingError, match="too few photographs"):
        session.split(crops, recipe)


def test_every_crop_is_held_out_in_one_fold_and_teaches_in_the_others(
    tiny_recipe: Any, crop_cache: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe()
    crops = framed(samples_of(recipe, tmp_path), recipe.classes, recipe.framing, margin=1.5, cache=crop_cache)
    held: list[Path] = []
    for fold in range(4):
        teach, held_out = session.split(crops, tiny_recipe(validation={"fold": fold}))
        assert len(teach) + len(held_out) == len(crops)
        held += [sample.path for sample in held_out.samples]
    assert sorted(held) == sorted(sample.path for sample in crops.samples)


def test_a_recipe_on_some_of_its_sets_has_the_classes_that_these_hold() -> None:
    recipe = session.restricted(recipes.load("default"), ["blood-cells"])
    assert [data.name for data in recipe.data] == ["blood-cells"]
    assert recipe.data[0].splits == ["train"]
    assert recipe.classes == ["neutrophil", "eosinophil", "lymphocyte", "monocyte"]
    with pytest.raises(RecipeError, match="acevedo"):
        session.restricted(recipes.load("default"), ["acevedo"])


def test_a_set_whose_red_cells_are_learned_holds_other() -> None:
    recipe = session.restricted(recipes.load("robust"), ["bccd", "tecom-300"])
    assert recipe.classes == ["neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte", "other"]
    without = recipes.changed(recipe, data=[{"name": "bccd"}, {"name": "tecom-300"}])
    assert "other" not in session.restricted(without, ["bccd", "tecom-300"]).classes
