"""From a recipe to a run in a folder of its own, and what it may not learn from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leukolens.errors import TrainingError
from leukolens.training.finding import session
from leukolens.training.finding.loop import Round
from leukolens.training.finding.recipe import DetectorRecipe, load
from leukolens.training.finding.scenes import Scene, scenes_of
from leukolens.training.finding.session import fold_of, teaching, train_detector
from leukolens.training.loop import Watch
from leukolens.training.recipe import changed
from leukolens.training.run import Run

RecipeMaker = Callable[..., DetectorRecipe]
ONE_STEP = {"epochs": 1, "steps": 1, "batch": 1}


def test_fields_are_dealt_evenly_and_always_alike() -> None:
    fields = [f"field-{number}" for number in range(23)]
    folds = fold_of(fields, 5)
    assert set(folds) == set(fields)
    assert sorted(Counter(folds.values()).values()) == [4, 4, 5, 5, 5]
    assert fold_of(fields[::-1] * 2, 5) == folds
    assert fold_of(fields, 4) != folds


def test_photographs_of_one_field_stay_together_and_other_sets_teach_whole(
    finding_recipe: RecipeMaker, scenes: list[Scene]
) -> None:
    held_out: list[str] = []
    for fold in range(3):
        kept = teaching(finding_recipe(validation={"fold": fold}), scenes)
        left = [scene for scene in scenes if scene not in kept]
        assert left
        assert all(scene.name.startswith("bccd/") for scene in left)
        assert not {scene.field for scene in left} & {scene.field for scene in kept}
        held_out += [scene.name for scene in left]
    assert sorted(held_out) == sorted(s.name for s in scenes if s.name.startswith("bccd/"))
    assert teaching(finding_recipe(validation={"fold": None}), scenes) == scenes


def test_a_field_of_another_set_that_bears_the_same_name_teaches(
    finding_recipe: RecipeMaker, make_scene: Any
) -> None:
    own = [make_scene(seed, field=f"field-{seed}") for seed in range(3)]
    other = [make_scene(seed, name="raabin-500", field=f"slide-{seed}") for seed in range(2)]
    kept = teaching(finding_recipe(), own + other)
    assert len(kept) == 4


def test_without_a_field_to_hold_out_the_run_is_refused(
    finding_recipe: RecipeMaker, scenes: list[Scene]
) -> None:
    with pytest.raises(TrainingError, match="no field of bccd to hold out") as caught:
        teaching(finding_recipe(), [scene for scene in scenes if not scene.name.startswith("bccd/")])
    assert "--fold none" in caught.value.remedy


@pytest.fixture
def run(made_up_data: None, finding_recipe: RecipeMaker, tmp_path: Path) -> Path:
    train_detector(finding_recipe(schedule=ONE_STEP), tmp_path, tmp_path / "run", accelerator="cpu")
    return tmp_path / "run"


def test_a_run_keeps_its_recipe_its_metrics_and_its_weights(run: Path, finding_recipe: RecipeMaker) -> None:
    document = (run / "recipe.json").read_text()
    assert DetectorRecipe.model_validate_json(document) == finding_recipe(schedule=ONE_STEP)
    (line,) = (run / "metrics.jsonl").read_text().splitlines()
    assert Round(**json.loads(line)).epoch == 1
    assert (run / "checkpoints/epoch-001.safetensors").is_file()


def test_what_is_held_out_is_never_shown(
    made_up_data: None, finding_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    scenes: list[Scene],
) -> None:  # fmt: skip
    given: list[Scene] = []
    real = session.FindingTrainer

    def watching(recipe: Any, run: Any, own: list[Scene], **more: Any) -> Any:
        given.extend(own)
        return real(recipe, run, own, **more)

    monkeypatch.setattr(session, "FindingTrainer", watching)
    told: list[tuple[int, int]] = []
    recipe = finding_recipe(schedule=ONE_STEP)
    train_detector(
        recipe, tmp_path, tmp_path / "run", accelerator="cpu", progress=lambda *at: told.append(at)
    )
    assert [scene.name for scene in given] == [scene.name for scene in teaching(recipe, scenes)]
    assert len(given) < len(scenes)
    assert told == [(1, 2), (2, 2)]


def test_a_folder_with_a_run_is_not_written_over(run: Path, finding_recipe: RecipeMaker) -> None:
    before = (run / "metrics.jsonl").read_bytes()
    with pytest.raises(TrainingError, match="already holds a run") as caught:
        train_detector(finding_recipe(schedule=ONE_STEP), run, run, accelerator="cpu")
    assert "--resume" in caught.value.remedy
    assert (run / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("changes", [{"seed": 9}, {"validation": {"fold": 2}}, {"views": {"tilt": 0.0}}])
def test_a_run_goes_on_with_its_own_recipe_alone(
    changes: dict[str, Any], run: Path, finding_recipe: RecipeMaker
) -> None:
    with pytest.raises(TrainingError, match="another recipe, seed or fold"):
        train_detector(finding_recipe(schedule=ONE_STEP, **changes), run, run, accelerator="cpu", resume=True)


def test_a_finished_run_that_is_resumed_does_nothing_more(run: Path, finding_recipe: RecipeMaker) -> None:
    before = (run / "checkpoints/epoch-001.safetensors").read_bytes()
    steps: list[Any] = []
    rounds = train_detector(
        finding_recipe(schedule=ONE_STEP), run, run, accelerator="cpu", resume=True,
        watch=Watch(step=lambda *at: steps.append(at)),
    )  # fmt: skip
    assert len(rounds) == 1
    assert steps == []
    assert (run / "checkpoints/epoch-001.safetensors").read_bytes() == before


def test_resuming_where_there_is_nothing_begins(
    made_up_data: None, finding_recipe: RecipeMaker, tmp_path: Path
) -> None:
    recipe = finding_recipe(schedule=ONE_STEP)
    rounds = train_detector(recipe, tmp_path, tmp_path / "new", accelerator="cpu", resume=True)
    assert [entry.epoch for entry in rounds] == [1]


def test_a_second_process_in_the_same_folder_is_refused(
    made_up_data: None, finding_recipe: RecipeMaker, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    with Run(out).alone(), pytest.raises(TrainingError, match="another process is training"):
        train_detector(finding_recipe(schedule=ONE_STEP), tmp_path, out, accelerator="cpu")


@pytest.mark.data
@pytest.mark.slow
def test_tests_photographs_teach_no_real_run(data_root: Path) -> None:
    """Of what the shipped recipe learns from, in a run that holds nothing out."""
    recipe = changed(load(), validation={"fold": None})
    scenes = [s for source in recipe.data for s in scenes_of(source.name, data_root)]
    shown = teaching(recipe, scenes)
    assert len(shown) == len(scenes) > 1500
    assert not [scene.name for scene in shown if scene.field.startswith("blood-cells/TEST/")]
