"""A detector's recipe: checked before anything starts, and known by what decides the weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leukolens.errors import RecipeError
from leukolens.training import recipe as classifiers
from leukolens.training.finding import recipe as recipes
from leukolens.training.finding.recipe import IDLE, DetectorRecipe, is_detector, load
from leukolens.training.recipe import changed

TOML = """
kind = "detector"
name = "mine"

[[data]]
name = "bccd"
share = 1.0

[optimiser]
rate = 1e-3
"""


def test_the_package_ships_one_that_holds_a_fold_out_and_learns_from_sets_with_places() -> None:
    recipe = load()
    assert recipe.name == "detector"
    assert {source.name for source in recipe.data} == {"bccd", "raabin-500", "pbc-224", "tecom-300"}
    assert recipe.validation.fold == 0
    assert (recipe.views.scale, recipe.views.red_cell) == ((0.4, 2.5), 44.0)


def test_a_file_is_read_and_told_from_a_classifiers(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TOML)
    assert load(str(path)).name == "mine"
    assert is_detector(str(path))
    assert is_detector("detector")
    assert not any(is_detector(name) for name in classifiers.shipped())
    assert not is_detector(str(tmp_path / "absent.toml"))
    path.write_bytes(b"\xff\xfe")
    assert not is_detector(str(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TOML + "surprise = 1", "optimiser.surprise"),
        (TOML.replace("share = 1.0", "share = 0.0"), r"data.0.share"),
        (TOML.replace('"detector"', '"classifier"'), "kind"),
        (TOML.replace("rate = 1e-3", ""), "optimiser.rate"),
        (TOML + "[views]\nsize = 100", "views.size"),
        (TOML + "[views]\nscale = [2.0, 0.5]", "views.scale"),
        (TOML + "[views]\nusual_scale = [0.0, 0.5]", "views.usual_scale"),
        (TOML + "[network]\nwidths = [0, 4, 4]", "network.widths"),
        (TOML + "[network]\ndepths = [1, 1]", "network.depths"),
        (TOML + "[validation]\nfold = 5", "fold must be below folds"),
        (TOML + '[[data]]\nname = "bccd"\nshare = 2.0', "each set once"),
        (TOML + "[augment]\nrotation = 180", "augment: rotation does nothing"),
        ("data = 3 = 4", "cannot be read"),
    ],
)
def test_what_does_not_hold_together_is_named(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=words) as caught:
        load(str(path))
    assert str(path) in caught.value.problem


def test_an_absent_file_is_named() -> None:
    with pytest.raises(RecipeError, match=r"absent\.toml cannot be read"):
        load("absent.toml")


@pytest.mark.parametrize("name", IDLE)
def test_a_change_of_crops_that_views_have_no_use_for_is_refused(
    name: str, finding_recipe: Callable[..., DetectorRecipe]
) -> None:
    value: Any = {"scale": (0.9, 1.1), "flips": True, "margin": 1.5}.get(name, 0.5)
    with pytest.raises(ValueError, match=f"augment: {name} does nothing"):
        finding_recipe(augment={name: value})


def test_changes_are_checked_again(finding_recipe: Callable[..., DetectorRecipe]) -> None:
    recipe = finding_recipe()
    other = changed(recipe, schedule={"epochs": 9}, seed=4)
    assert (other.schedule.epochs, other.schedule.steps, other.seed) == (9, recipe.schedule.steps, 4)
    with pytest.raises(RecipeError, match=r"tiny: schedule\.epochs"):
        changed(recipe, schedule={"epochs": 0})


def test_the_digest_is_of_what_decides_the_weights_apart_from_seed_and_fold(
    finding_recipe: Callable[..., DetectorRecipe],
) -> None:
    digest = finding_recipe().digest()
    assert finding_recipe(seed=99).digest() == digest
    assert finding_recipe(validation={"fold": None}).digest() == digest
    others = [
        finding_recipe(validation={"folds": 5}), finding_recipe(views={"tilt": 0.1}),
        finding_recipe(network={"neck": 16}), finding_recipe(data=[{"name": "bccd", "share": 0.7}]),
        finding_recipe(optimiser={"rate": 1e-3}), finding_recipe(augment={"stain": 0.0}),
        finding_recipe(schedule={"steps": 3}), finding_recipe(precision="bfloat16"),
    ]  # fmt: skip
    assert len({digest, *(other.digest() for other in others)}) == 1 + len(others)


def test_a_recipe_survives_its_json() -> None:
    recipe = recipes.load()
    assert DetectorRecipe.model_validate_json(recipe.model_dump_json()) == recipe
