"""`leukolens train` and `export` with a detector's recipe: the same commands, and one more part of a bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from leukolens.bundle import Bundle, load, pack
from leukolens.cli.main import app
from leukolens.training.finding.export import LabelledField
from leukolens.training.finding.recipe import DetectorRecipe
from leukolens.training.finding.scenes import Scene

TOML = """
kind = "detector"
name = "tiny"

[[data]]
name = "bccd"
share = 0.7

[[data]]
name = "pbc-224"
share = 0.3

[network]
widths = [4, 4, 4]
depths = [1, 1, 1]
neck = 8

[views]
size = 64
red_cell = 20.0

[optimiser]
rate = 1e-3

[schedule]
epochs = 2
steps = 1
batch = 1

[validation]
folds = 2
"""


def noise(name: str, number: int) -> Scene:
    pixels = np.random.default_rng(number).integers(120, 255, (90, 120, 3), np.uint8)
    boxes = np.array([[20, 20, 60, 60], [70, 30, 94, 54]], np.float32)
    return Scene(
        f"{name}/{number}.png",
        pixels,
        boxes,
        np.array([0, 1]),
        np.ones(2, np.bool_),
        (True,) * 3,
        f"f{number}",
    )


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small recipe's file; the sets that it names are four made-up fields and two single cells."""

    def scenes_of(name: str, root: Path) -> list[Scene]:
        return [noise(name, number) for number in range(4 if name == "bccd" else 2)]

    def labelled_fields(root: Path, folds: int, fold: int) -> list[LabelledField]:
        scene = noise("bccd", 0)
        return [LabelledField(scene.pixels, (scene.boxes[:1], scene.boxes[1:], scene.boxes[:0]))]

    for module in ("session", "export"):
        monkeypatch.setattr(f"leukolens.training.finding.{module}.scenes_of", scenes_of)
    monkeypatch.setattr("leukolens.training.finding.export.labelled_fields", labelled_fields)
    monkeypatch.setenv("LEUKOLENS_DATA", str(tmp_path))
    path = tmp_path / "tiny.toml"
    path.write_text(TOML)
    return path


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def train(recipe: Path, *more: object) -> Any:
    return run("train", recipe, "--out", recipe.parent / "run", "--device", "cpu", *more)


def written(recipe: Path) -> DetectorRecipe:
    return DetectorRecipe.model_validate_json((recipe.parent / "run/recipe.json").read_text())


def test_a_detectors_recipe_is_trained_and_its_next_step_told(recipe: Path) -> None:
    result = train(recipe)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("2 epochs, loss ")
    assert f"leukolens export {recipe.parent / 'run'} --into BUNDLE" in result.stdout.replace("\n", "")
    assert (recipe.parent / "run/checkpoints/epoch-002.json").is_file()


def test_options_change_the_recipe(recipe: Path) -> None:
    result = train(
        recipe, "--epochs", 1, "--seed", 5, "--fold", 1, "--sets", "bccd", "--threads", 1, "--json"
    )
    assert result.exit_code == 0, result.stderr
    own = written(recipe)
    assert (own.schedule.epochs, own.seed, own.validation.fold) == (1, 5, 1)
    assert [source.name for source in own.data] == ["bccd"]
    document = json.loads(result.stdout)
    assert document["schema"] == "leukolens.train/1"
    assert document["run"] == str(recipe.parent / "run")
    assert document["best"] == len(document["epochs"]) == 1
    assert document["epochs"][0]["loss"] > 0


def test_nothing_is_held_out_where_fold_is_none(recipe: Path) -> None:
    assert train(recipe, "--epochs", 1, "--fold", "none").exit_code == 0
    assert written(recipe).validation.fold is None


def test_a_run_goes_on_and_is_not_written_over(recipe: Path) -> None:
    assert train(recipe).exit_code == 0
    again = train(recipe)
    assert again.exit_code == 1
    assert "already holds a run" in again.stderr
    assert train(recipe, "--resume").exit_code == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--network", "resnet18"], "takes no --network"), (["--draws", 9], "takes no --draws"),
        (["--size", 80], "takes no --size"), (["--cross-fit"], "takes no --cross-fit"),
        (["--compile"], "takes no --compile"), (["--cache", "x"], "takes no --cache"),
        (["--sets", "bccd,tecom-300"], "does not learn from tecom-300"), (["--fold", "7"], "below folds"),
        (["--fold", "two"], "neither a number nor none"), (["--epochs", 0], "schedule.epochs"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_before_anything_is_written(
    more: list[object], words: str, recipe: Path
) -> None:
    result = train(recipe, *more)
    assert result.exit_code == 1
    assert words in result.stderr.replace("\n", " ")
    assert not (recipe.parent / "run").exists()


@pytest.fixture
def trained(recipe: Path) -> Path:
    assert train(recipe, "--epochs", 1).exit_code == 0
    return recipe.parent / "run"


@pytest.fixture
def given(make_bundle: Callable[..., Bundle], tmp_path: Path) -> Path:
    bundle = make_bundle()
    (tmp_path / "given.leukolens").write_bytes(pack(bundle.card, bundle.classifier))
    return tmp_path / "given.leukolens"


def test_a_detectors_run_is_put_into_a_copy_of_a_bundle(trained: Path, given: Path) -> None:
    before, out = given.read_bytes(), trained.parent / "both.leukolens"
    result = run("export", trained, "--into", given, "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    card = json.loads(result.stdout)
    assert card["finding"]["recipe"] == "tiny"
    assert given.read_bytes() == before
    made = load(out)
    assert made.detector is not None
    assert made.classifier == load(given).classifier
    assert (trained / "finding.json").is_file()


def test_a_detectors_run_is_no_bundle_by_itself(trained: Path) -> None:
    result = run("export", trained)
    assert result.exit_code == 1
    assert "is the run of a detector" in result.stderr.replace("\n", " ")
    assert "--into" in result.stderr


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--judgement", "x.json"], "--into takes no --judgement"), (["--epoch", 1], "takes no --epoch"),
        (["--figures", "x.json"], "takes no --figures"), (["--cache", "x"], "takes no --cache"),
    ],
)  # fmt: skip
def test_options_of_a_classifiers_export_are_not_swallowed(
    more: list[object], words: str, trained: Path, given: Path
) -> None:
    result = run("export", trained, "--into", given, *more)
    assert result.exit_code == 1
    assert words in result.stderr.replace("\n", " ")
    assert not (trained / "model.leukolens").exists()


def test_thresholds_without_a_bundle_to_go_into_are_not_swallowed(trained: Path) -> None:
    result = run("export", trained, "--finding", "finding.json")
    assert result.exit_code == 1
    assert "without --into takes no --finding" in result.stderr.replace("\n", " ")


def test_a_bundle_that_is_not_there_is_named(trained: Path) -> None:
    result = run("export", trained, "--into", "nothing.leukolens")
    assert result.exit_code == 1
    assert "nothing.leukolens cannot be read" in result.stderr.replace("\n", " ")
