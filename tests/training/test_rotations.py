"""Which laboratories are left out, and what of a recipe and of a detector is left without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from leukolens.bundle import Bundle, save
from leukolens.card import Finding, LearnedFrom
from leukolens.datasets.catalogue import dataset_class
from leukolens.errors import BundleError, DataError, RecipeError
from leukolens.evaluation.unseen_answers import lab_called
from leukolens.training.recipe import changed, load
from leukolens.training.rotations import Rotation, check, detector_for, rotated, rotations
from leukolens.training.session import restricted

ALL = ["blood-cells", "raabin", "tecom", "pbc"]
FIVE = ["neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte"]


def test_every_lab_of_the_recipe_is_left_out_in_turn() -> None:
    assert [rotation.lab.key for rotation in rotations(load("default"))] == ALL
    fewer = restricted(load("default"), ["bccd", "pbc-224"])
    assert [rotation.left_out for rotation in rotations(fewer)] == [("blood-cells",), ("pbc",)]


@pytest.mark.parametrize("outer", ALL)
def test_inner_rotations_never_learn_from_the_outer_lab_nor_ask_it(outer: str) -> None:
    recipe = load("default")
    inner = rotations(recipe, outer)
    assert [rotation.lab.key for rotation in inner] == [key for key in ALL if key != outer]
    for rotation in inner:
        labs = {dataset_class(data.name).lab for data in rotated(recipe, rotation, 0).data}
        assert labs == {*ALL} - {outer, rotation.lab.key}
        assert rotation.split == rotation.lab.inner_split


def test_two_labs_are_named_in_one_order() -> None:
    one, other = Rotation(lab_called("tecom"), "pbc"), Rotation(lab_called("pbc"), "tecom")
    assert one.name == other.name == "pbc+tecom"
    assert Rotation(lab_called("tecom")).name == "tecom"


@pytest.mark.parametrize(
    ("lab", "sets", "classes"),
    [
        ("blood-cells", {"raabin-500", "tecom-300", "pbc-224"}, [*FIVE, "immature_granulocyte", "other"]),
        ("pbc", {"blood-cells", "bccd", "raabin-500", "tecom-300"}, FIVE),
    ],
)
def test_blood_cells_and_bccd_leave_together_and_classes_go_with_their_only_set(
    lab: str, sets: set[str], classes: list[str]
) -> None:
    own = rotated(load("default"), Rotation(lab_called(lab)), 4)
    assert {data.name for data in own.data} == sets
    assert own.classes == classes
    assert own.seed == 4


@pytest.mark.parametrize(("given", "used"), [(None, 0), (3, 3)])
def test_a_fold_of_the_labs_that_are_left_is_held_out(given: int | None, used: int) -> None:
    recipe = changed(load("default"), validation={"fold": given})
    own = rotated(recipe, Rotation(lab_called("tecom")), 0)
    assert own.validation.fold == used
    assert own.validation.every == recipe.schedule.epochs  # the last epoch is the one that is asked


def test_a_recipe_of_one_lab_has_nothing_left_to_learn_from() -> None:
    alone = restricted(load("default"), ["blood-cells", "bccd"])
    with pytest.raises(RecipeError, match="nothing would be left"):
        rotations(alone)
    two = restricted(load("default"), ["blood-cells", "pbc-224"])
    with pytest.raises(RecipeError, match="nothing would be left"):
        rotations(two, "pbc")


def test_an_outer_lab_that_the_recipe_does_not_know_is_named() -> None:
    with pytest.raises(RecipeError, match="default does not learn from moon"):
        rotations(load("default"), "moon")


def test_what_is_missing_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    recipe = load("default")
    with pytest.raises(DataError, match="blood-cells is not at"):
        check([(recipe, rotation) for rotation in rotations(recipe)], tmp_path, None)


@pytest.fixture
def finder(make_bundle: Any, tmp_path: Path) -> Any:
    """Writes pbc.leukolens, whose detector learned from these sets; only the card is ever looked at."""

    def write(sets: list[str], chosen_on: str) -> Path:
        bundle: Bundle = make_bundle()
        learned = [
            LearnedFrom(
                name=name, lab=dataset_class(name).lab, licence="MIT", permissive=True, splits=["all"], images=1,
                groups=1, groups_sha256="0" * 64,
            )
            for name in sets
        ]  # fmt: skip
        kinds = ["white_cell", "red_cell", "platelet"]
        finding = Finding(
            kinds=kinds, red_cell=20, accept=dict.fromkeys(kinds, 0.3), suppression=0.5, chosen_on=chosen_on,
            learned_from=learned,
        )  # fmt: skip
        card = bundle.card.model_copy(update={"finding": finding})
        save(card, bundle.classifier, tmp_path / "pbc.leukolens", b"graph")
        return tmp_path

    return write


def test_a_detector_that_never_saw_the_lab_is_taken(finder: Any) -> None:
    folder = finder(["bccd", "raabin-500"], "70 fields of bccd held out of training")
    found = detector_for(folder, Rotation(lab_called("pbc")))
    assert found.detector == b"graph"


@pytest.mark.parametrize(
    ("sets", "chosen_on", "words"),
    [
        (["bccd", "pbc-224"], "9 fields of bccd", "has seen pbc-224"),
        (["bccd"], "9 fields of pbc-224, drawn", "has seen pbc-224"),
        ([], "9 fields of bccd", "does not say what it learned from"),
    ],
    ids=["it learned", "its thresholds were chosen", "nobody knows"],
)
def test_a_detector_that_saw_the_lab_is_refused(
    sets: list[str], chosen_on: str, words: str, finder: Any
) -> None:
    folder = finder(sets, chosen_on)
    with pytest.raises(BundleError, match=words):
        detector_for(folder, Rotation(lab_called("pbc")))


def test_an_inner_rotations_detector_saw_neither_lab(finder: Any) -> None:
    folder = finder(["bccd", "raabin-500"], "9 fields of bccd")
    (folder / "pbc.leukolens").rename(folder / "pbc+raabin.leukolens")
    with pytest.raises(BundleError, match="has seen raabin-500"):
        detector_for(folder, Rotation(lab_called("pbc"), "raabin"))


def test_a_bundle_without_a_detector_and_no_bundle_are_refused(make_bundle: Any, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"pbc\.leukolens cannot be read"):
        detector_for(tmp_path, Rotation(lab_called("pbc")))
    bundle = make_bundle()
    save(bundle.card, bundle.classifier, tmp_path / "pbc.leukolens")
    with pytest.raises(BundleError, match="has no detector"):
        detector_for(tmp_path, Rotation(lab_called("pbc")))
