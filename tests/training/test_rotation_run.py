"""Whole rotations on drawn cells that bear the published sets' names: trained, exported, asked, entered."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leukolens.bundle import load, save
from leukolens.datasets.labels import class_called
from leukolens.datasets.manifest import manifest
from leukolens.datasets.synthetic import draw_field
from leukolens.errors import TrainingError
from leukolens.evaluation import ledger
from leukolens.evaluation.unseen_labs import lab_figures
from leukolens.training import rotation_run
from leukolens.training.recipe import Recipe, changed
from leukolens.training.rotation_run import Watches, run_rotation
from leukolens.training.rotations import rotations
from leukolens.training.run import Run
from leukolens.training.session import Place

SHAPES = {"immature_granulocyte": "monocyte", "other": "lymphocyte"}
TECOM = ("Neutrophil", "Eosinophil", "Lymphocyte", "Monocyte")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few drawn cells a class under real names: blood-cells, raabin-500, tecom-300 and pbc-224."""
    root, rng = tmp_path_factory.mktemp("labs"), np.random.default_rng(3)
    shapes = ("neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte")
    drawn = {
        key: [draw_field(rng, 160, 120, (key,), pixels_per_micrometre=3.5).rgb for _ in range(3)]
        for key in shapes
    }

    def show(path: Path, label: str, number: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        own = drawn[SHAPES.get(label, label)]
        Image.fromarray(own[number % len(own)]).save(path)

    for name in ("blood-cells", "raabin-500", "pbc-224"):
        taken: Counter[str] = Counter()
        groups: set[str] = set()
        for entry in sorted(manifest(name).values(), key=lambda entry: entry.name):
            if "TEST_SIMPLE" in entry.name:
                continue  # TEST's photographs again
            folder, label = Path(entry.name).parent, class_called(Path(entry.name).parent.name)
            if not entry.group or label is None or entry.group in groups or taken[str(folder)] == 4:
                continue
            groups.add(entry.group)
            show(root / name / entry.name, label, taken[str(folder)])
            taken[str(folder)] += 1
    (root / "raabin-500" / "boxes.csv").touch()
    (root / "blood-cells" / "images" / "TEST_SIMPLE").mkdir()
    rows = [("image", "label")]
    for number, entry in enumerate(sorted(manifest("tecom-300").values(), key=lambda entry: entry.name)):
        if entry.name.startswith("images/") and len(rows) < 18:
            label = "Basophil" if len(rows) == 17 else TECOM[number % 4]
            show(root / "tecom-300" / entry.name, label.lower(), number)
            rows.append((Path(entry.name).name, label))
    with (root / "tecom-300" / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return root


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Any) -> Recipe:
    made: Recipe = tiny_recipe(
        classes=["neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte", "immature_granulocyte", "other"],
        data=[
            {"name": "blood-cells", "splits": ["train"]},
            {"name": "raabin-500"},
            {"name": "tecom-300"},
            {"name": "pbc-224"},
        ],
        schedule={"epochs": 2, "batch": 24},
        validation={"folds": 2, "fold": None},
    )  # fmt: skip
    return made


class Counted:
    """Counts the trainings and the askings."""

    def __init__(self) -> None:
        self.trained: list[str] = []
        self.asked = 0

    def watches(self) -> Watches:
        def training(name: str, recipe: Recipe) -> Any:
            self.trained.append(name)
            return rotation_run.Watch()

        def asking(readings: Any, total: int) -> Any:
            self.asked += 1
            return readings

        return Watches(training, None, asking)


@pytest.fixture(scope="module")
def place(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(root, tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("crops"), accelerator="cpu")


def _run(
    recipe: Recipe, lab: str, place: Place, outer: str | None = None, **more: Any
) -> tuple[Any, Counted]:
    counted = Counted()
    rotation = next(one for one in rotations(recipe, outer) if one.lab.key == lab)
    asked = run_rotation(
        recipe, rotation, recipe.seed, place, ledger_path=place.out / "ledger.csv", watches=counted.watches(), **more
    )  # fmt: skip
    return asked, counted


@pytest.fixture(scope="module")
def pbc(recipe: Recipe, place: Place) -> tuple[Any, Counted]:
    return _run(recipe, "pbc", place)


def test_a_lab_left_out_takes_its_own_classes_along(pbc: tuple[Any, Counted]) -> None:
    asked, counted = pbc
    assert counted.trained == ["tiny without pbc, seed 7"]
    assert asked.card.classes == ["neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte"]
    assert {part.lab for part in asked.card.learned_from} == {"blood-cells", "raabin", "tecom"}
    figures = lab_figures([asked])
    assert {line.key for line in figures.unscored} == {"immature_granulocyte", "other"}
    assert figures.images == 4 * sum(line.images > 0 for line in figures.recalls) > 0
    called = [sum(count for _, count in line.called) for line in figures.unscored]
    assert called == [line.images for line in figures.unscored]


def test_it_is_the_last_epochs_bundle_judged_on_the_labs_that_are_left(pbc: Any, place: Place) -> None:
    run = Run(place.out / "tiny" / "pbc" / "seed-7")
    assert len(run.epochs()) == 2
    assert run.recipe().validation.fold == 0
    card = load(run.folder / "model.leukolens").card
    assert "held out of training (fold 0 of 2)" in card.judgement.chosen_on
    assert card.confusion is not None
    assert "pbc" not in card.confusion.labs
    assert len(card.confusion.labs) == 3


def test_the_epoch_is_the_last_though_another_is_better(
    recipe: Recipe, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = []

    def export_run(folder: Path, out: Path, *, root: Path, cache: Any, epoch: int) -> Any:
        epochs.append(epoch)
        raise TrainingError("far enough", "")

    monkeypatch.setattr(rotation_run, "export_run", export_run)
    monkeypatch.setattr(rotation_run, "train", lambda *_, **__: None)
    with pytest.raises(TrainingError, match="far enough"):
        _run(recipe, "tecom", replace(place, out=tmp_path))
    assert epochs == [recipe.schedule.epochs]


def test_the_look_is_entered_once_and_what_is_finished_is_taken_from_the_folder(
    pbc: Any, recipe: Recipe, place: Place
) -> None:
    first, _ = pbc
    before = ledger.read(place.out / "ledger.csv")
    assert {(row.dataset, row.split, row.recipe_sha256) for row in before if row.dataset == "pbc-224"} == {
        ("pbc-224", "all", first.card.recipe_sha256)
    }
    figures = lab_figures([first])
    accuracy = next(row for row in before if row.figure == "accuracy (all)" and row.dataset == "pbc-224")
    assert float(accuracy.value) == pytest.approx(figures.accuracy.mean.value, abs=1e-6)
    again, counted = _run(recipe, "pbc", place)
    assert (counted.trained, counted.asked) == ([], 0)
    np.testing.assert_array_equal(
        again.answers.predictions.probabilities, first.answers.predictions.probabilities
    )
    assert ledger.read(place.out / "ledger.csv") == before


def test_answers_that_are_lost_are_asked_for_again_without_training(
    recipe: Recipe, place: Place, pbc: Any
) -> None:
    looks = ledger.looks(place.out / "ledger.csv")
    (place.out / "tiny" / "pbc" / "seed-7" / "answers-pbc.json").unlink()
    _, counted = _run(recipe, "pbc", place)
    assert (counted.trained, counted.asked) == ([], 1)
    assert ledger.looks(place.out / "ledger.csv") == looks + 1


def test_an_inner_rotation_touches_neither_the_outer_lab_nor_test_nor_the_ledger(
    recipe: Recipe, place: Place, tmp_path: Path
) -> None:
    own = replace(place, out=tmp_path)
    asked, counted = _run(recipe, "blood-cells", own, "tecom")
    assert asked.left_out == ("blood-cells", "tecom")
    assert {part.lab for part in asked.card.learned_from} == {"raabin", "pbc"}
    assert asked.split == "train"
    assert all("/TRAIN/" in image for image in asked.answers.predictions.images)
    assert not (tmp_path / "ledger.csv").exists()
    # The other way round the same two labs are left out: the same network is asked about the other one.
    other, more = _run(recipe, "tecom", own, "blood-cells")
    assert (counted.trained, more.trained) == (["tiny without blood-cells+tecom, seed 7"], [])
    assert other.bundle_sha256 == asked.bundle_sha256
    assert lab_figures([other]).unscored[0].key == "basophil"


def test_another_recipe_of_the_same_name_is_refused(pbc: Any, recipe: Recipe, place: Place) -> None:
    with pytest.raises(TrainingError, match="another recipe that is called tiny"):
        _run(changed(recipe, optimiser={"rate": 0.5}), "pbc", place)


def test_a_run_that_was_stopped_goes_on_and_looks_at_test_as_any_evaluation_does(
    recipe: Recipe, place: Place, tmp_path: Path
) -> None:
    own = replace(place, out=tmp_path)
    stopping = Watches(lambda name, recipe: rotation_run.Watch(stop=lambda: True))
    with pytest.raises(KeyboardInterrupt):
        run_rotation(
            recipe, rotations(recipe)[0], 7, own, ledger_path=tmp_path / "ledger.csv", watches=stopping
        )
    assert not (tmp_path / "ledger.csv").exists()
    asked, counted = _run(recipe, "blood-cells", own)
    assert counted.trained == ["tiny without blood-cells, seed 7"]
    assert "blood-cells" not in {part.lab for part in asked.card.learned_from}
    assert all("/TEST/" in image for image in asked.answers.predictions.images)
    rows = ledger.read(tmp_path / "ledger.csv")
    assert {(row.dataset, row.split) for row in rows} == {("blood-cells", "test")}
    assert {"accuracy (all)", "accuracy (without monocyte _0_)"} < {row.figure for row in rows}
    assert len(rows) == 10


def test_a_detector_frames_where_one_is_given(
    pbc: Any, recipe: Recipe, place: Place, shipped_bundle: Any, tmp_path: Path
) -> None:
    card = shipped_bundle.card
    kept = [part for part in card.finding.learned_from if part.lab != "pbc"]
    finding = card.finding.model_copy(update={"learned_from": kept, "chosen_on": "9 fields of bccd"})
    finder = card.model_copy(update={"finding": finding})
    save(finder, shipped_bundle.classifier, tmp_path / "pbc.leukolens", shipped_bundle.detector)
    asked, counted = _run(recipe, "pbc", place, detectors=tmp_path)
    assert (counted.trained, counted.asked) == ([], 1)
    assert asked.card.finding == finding
    assert asked.bundle_sha256 != pbc[0].bundle_sha256
    # Either framing keeps its own answers.
    assert _run(recipe, "pbc", place, detectors=tmp_path)[1].asked == 0
    again, more = _run(recipe, "pbc", place)
    assert (again.bundle_sha256, more.asked) == (pbc[0].bundle_sha256, 0)
