"""A recipe holds together, or its error names the field that doesn't."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leukolens.errors import RecipeError
from leukolens.training.recipe import Recipe, load, parse, shipped

SMALLEST = """
name = "tiny"
classes = ["neutrophil", "monocyte"]
[[data]]
name = "blood-cells"
[optimiser]
rate = 1e-3
[schedule]
epochs = 2
batch = 8
"""


def refusal(text: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        parse(text, "mine.toml")
    assert "mine.toml" in caught.value.problem
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("name", ["default", "original", "permissive", "robust"])
def test_every_shipped_recipe_holds_together(name: str) -> None:
    assert name in shipped()
    assert load(name).name == name


def test_original_is_the_first_version() -> None:
    recipe = load("original")
    assert (recipe.framing.size, recipe.framing.whole_image, recipe.framing.white_balance) == (
        224,
        True,
        False,
    )
    network, augment = recipe.network, recipe.augment
    assert (network.name, network.head, network.bias, network.stride_first) == (
        "resnet24",
        "flatten",
        True,
        True,
    )
    assert (network.epsilon, network.momentum) == (1e-3, 0.01)
    assert (augment.rotation, augment.shift, augment.shear, augment.scale) == (20, 0.1, 0.1, (0.8, 1.2))
    assert augment.flips
    assert (recipe.optimiser.name, recipe.optimiser.rate, recipe.optimiser.decay) == ("adam", 1e-4, 0)
    assert (recipe.schedule.epochs, recipe.schedule.batch) == (20, 128)


@pytest.mark.parametrize("name", ["default", "original", "permissive", "robust"])
def test_no_shipped_recipe_learns_from_test_photographs(name: str) -> None:
    sets = {data.name: data.splits for data in load(name).data}
    assert sets["blood-cells"] == ["train"]
    assert sets.get("bccd", ["train"]) == ["train"]


def test_the_permissive_recipe_is_default_without_the_sets_that_ask_for_more() -> None:
    free, all_sets = load("permissive"), load("default")
    assert {data.name for data in free.data} == {"blood-cells", "bccd", "pbc-224"}
    assert {data.name for data in all_sets.data} - {data.name for data in free.data} == {
        "raabin-500",
        "tecom-300",
    }
    assert free.model_copy(update={"name": "default", "data": all_sets.data}) == all_sets


def test_what_a_recipe_leaves_out_has_its_default() -> None:
    recipe = parse(SMALLEST, "mine.toml")
    assert (recipe.network.name, recipe.network.head, recipe.network.norm) == ("resnet24", "pool", "batch")
    assert (recipe.seed, recipe.validation.folds, recipe.validation.fold) == (0, 5, 0)
    assert recipe.framing.size == 112


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("learning_rate = 1", "learning_rate"),
        ("[network]\nlayers = 3", "network.layers"),
        ("[network]\nname = 'resnet99'", "network.name"),
        ("[framing]\nsize = 8", "framing.size"),
        ("[augment]\nrotation = 181", "augment.rotation"),
        ("[augment]\nscale = [1.2, 0.8]", "augment.scale"),
        ("[augment]\nscale = [0.0, 1.0]", "augment.scale"),
        ("[sampling]\nbalance = 1.5", "sampling.balance"),
        ("[validation]\nfolds = 1", "validation.folds"),
        ("[validation]\nfolds = 3\nfold = 3", "fold"),
        ("[checkpoints]\nkeep = 'some'", "checkpoints.keep"),
        ("[[data]]\nsplits = []", "data.1.name"),
    ],
)
def test_a_field_that_is_unknown_or_out_of_range_is_named(change: str, field: str) -> None:
    top = "" if change.startswith("[") else change
    problem = refusal(f"{top}\n{SMALLEST}\n{'' if top else change}\n").problem
    assert field in problem


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("rate = 1e-3", "rate = -1.0", "optimiser.rate"),
        ("rate = 1e-3", "", "optimiser.rate"),
        ("epochs = 2", "epochs = 0", "schedule.epochs"),
        ("epochs = 2", "epochs = 2\nsmall_epochs = 3", "small_epochs"),
        ("batch = 8", "batch = 'many'", "schedule.batch"),
        ('name = "tiny"', 'name = "Tiny recipe"', "name"),
        ('"monocyte"', '"blast"', "blast"),
        ('"monocyte"', '"neutrophil"', "classes"),
        (', "monocyte"', "", "classes"),
        ("[optimiser]", "[network]\nhead = 'flatten'\n[optimiser]", None),
    ],
)
def test_a_value_that_does_not_hold_together_is_named(old: str, new: str, field: str | None) -> None:
    assert old in SMALLEST
    text = SMALLEST.replace(old, new)
    if field is None:
        assert parse(text, "mine.toml").network.head == "flatten"
        text, field = text.replace("epochs = 2", "epochs = 2\nsmall_epochs = 1"), "flatten"
    assert field in refusal(text).problem


def test_what_is_no_toml_is_refused_with_the_place() -> None:
    assert "line 2" in refusal("name = 'x'\nclasses = [}").problem


def altered(recipe: Recipe, **changes: Any) -> Recipe:
    document = recipe.model_dump()
    for name, value in changes.items():
        document[name] = {**document[name], **value} if isinstance(value, dict) else value
    return Recipe.model_validate(document)


def test_the_digest_leaves_out_seed_and_held_out_fold_alone() -> None:
    recipe = load("default")
    assert re.fullmatch("[0-9a-f]{64}", recipe.digest())
    assert altered(recipe, seed=5).digest() == recipe.digest()
    for fold in (None, 0, 4):
        assert altered(recipe, validation={"fold": fold}).digest() == recipe.digest()
    assert altered(recipe, validation={"every": 3}).digest() == recipe.digest()
    changes: list[dict[str, Any]] = [
        {"classes": recipe.classes[:-1]},
        {"framing": {"context": 2.2}},
        {"network": {"norm": "group"}},
        {"augment": {"blur": 0.0}},
        {"optimiser": {"rate": 1e-3}},
        {"schedule": {"epochs": 13}},
        {"sampling": {"balance": 0.4}},
        {"validation": {"folds": 6}},
        {"precision": "float32"},
        {"data": [data.model_dump() for data in recipe.data[:-1]]},
    ]
    digests = {altered(recipe, **change).digest() for change in changes}
    assert len(digests) == len(changes)
    assert recipe.digest() not in digests


def test_a_recipe_survives_being_written_down() -> None:
    recipe = load("original")
    again = Recipe.model_validate_json(recipe.model_dump_json())
    assert again == recipe
    assert again.digest() == recipe.digest()


def test_a_recipe_is_loaded_by_name_or_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SMALLEST, encoding="utf-8")
    assert load(str(path)) == parse(SMALLEST, "mine.toml")
    assert load("default").name == "default"


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: None, "cannot be read"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "cannot be read"),
        (lambda path: path.mkdir(), "cannot be read"),
    ],
    ids=["absent", "no utf-8", "a folder"],
)
def test_a_path_that_cannot_be_read_is_named(
    prepare: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    prepare(path)
    with pytest.raises(RecipeError, match=message) as caught:
        load(str(path))
    assert str(path) in caught.value.problem


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="'defualt'") as caught:
        load("defualt")
    assert all(name in caught.value.remedy for name in shipped())
