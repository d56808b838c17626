"""The manual keeps up with the code: every command, option, recipe field and card key stands in it."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import leukolens.cli.main as command_line
from leukolens.card import Card, Framing
from leukolens.training.finding.recipe import DetectorRecipe
from leukolens.training.recipe import Augment, Optimiser, Recipe, shipped

DOCS = Path(__file__).resolve().parents[1] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def sections(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """The model's own tables, ("", the model itself) first, as a recipe file names them."""
    yield "", model
    for name, field in model.model_fields.items():
        for inner in models_in(field.annotation):
            yield ("[[{}]]" if typing.get_origin(field.annotation) is list else "[{}]").format(name), inner


def models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for part in typing.get_args(annotation) for model in models_in(part)]


def as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    return repr(value)


def documented(markdown: str, heading: str) -> dict[str, str]:
    """Field to default, from the table below this heading."""
    start = re.search(rf"^###? `?{re.escape(heading)}`?( |$)", markdown, re.MULTILINE)
    assert start, f"no heading for {heading}"
    table = re.split(r"^##", markdown[start.end() :], maxsplit=1, flags=re.MULTILINE)[0]
    return dict(re.findall(r"^\| `(\w+)` \| `?([^|`]+)`? \| \S", table, re.MULTILINE))


def commands(command: Any, name: str = "leukolens") -> Iterator[tuple[str, Any]]:
    """Every command that can be run, by its whole name; groups of commands count where they take options."""
    inner = getattr(command, "commands", {})
    if not inner or any(parameter.opts != ["--help"] for parameter in command.params):
        yield name, command
    for word, part in inner.items():
        yield from commands(part, f"{name} {word}")


COMMANDS = dict(commands(typer.main.get_command(command_line.app)))


def command_section(name: str) -> str:
    found = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", page("commands.md"), re.MULTILINE | re.DOTALL)
    assert found, f"docs/commands.md has no section '## {name}'"
    return found.group(1)


class TestCommands:
    def test_commands_md_has_those_that_exist_and_no_others(self) -> None:
        headings = set(re.findall(r"^## (leukolens.*)$", page("commands.md"), re.MULTILINE))
        assert headings == set(COMMANDS)

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_option_is_in_its_section_and_no_other(self, name: str) -> None:
        declared = {
            option
            for parameter in COMMANDS[name].params
            for option in [*parameter.opts, *parameter.secondary_opts]
            if option.startswith("--") and option != "--help"
        }
        rows = re.findall(r"^\| (`-.*?) \|", command_section(name), re.MULTILINE)
        assert set(re.findall(r"--[a-z][a-z-]*", " ".join(rows))) == declared

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_argument_is_in_its_section(self, name: str) -> None:
        arguments = [p for p in COMMANDS[name].params if p.param_type_name == "argument"]
        rows = re.findall(r"^\| `([A-Z_]+)", command_section(name), re.MULTILINE)
        assert rows == [(p.metavar or p.name.upper()).rstrip(".") for p in arguments]


def defaults(model: type[BaseModel]) -> dict[str, str]:
    """Each field of a section that is no section itself, to its default as the manual writes it."""

    def default(field: FieldInfo) -> str:
        return "required" if field.is_required() else as_toml(field.default)

    fields = model.model_fields.items()
    return {name: default(field) for name, field in fields if not models_in(field.annotation)}


class TestRecipesAndCards:
    @pytest.mark.parametrize(("section", "model"), list(sections(Recipe)), ids=str)
    def test_every_recipe_field_stands_with_its_default(self, section: str, model: type[BaseModel]) -> None:
        assert documented(page("recipes.md"), section or "At the top") == defaults(model)

    @pytest.mark.parametrize(("section", "model"), list(sections(DetectorRecipe)), ids=str)
    def test_every_field_of_a_detectors_recipe_stands_with_its_default(
        self, section: str, model: type[BaseModel]
    ) -> None:
        table = documented(page("detector.md"), section or "At the top")
        # Sections that both kinds of recipe have are in recipes.md, which the test above sees to.
        shared = model in (Augment, Optimiser)
        assert table == ({} if shared else defaults(model))
        link = f"(recipes.md#{section.strip('[]')})"
        assert (link in page("detector.md")) == shared

    def test_the_detectors_recipe_is_named_where_recipes_are(self) -> None:
        assert "[`detector`](detector.md)" in command_section("leukolens train")

    @pytest.mark.parametrize("name", shipped())
    def test_every_recipe_of_the_package_is_in_recipes_md(self, name: str) -> None:
        assert f"| `{name}` |" in page("recipes.md")

    def test_every_schema_is_in_documents_md(self) -> None:
        source = "".join(file.read_text(encoding="utf-8") for file in (DOCS.parent / "src").rglob("*.py"))
        schemas = set(re.findall(r'"(leukolens\.[a-z.]+/\d+)"', source))
        assert {"leukolens.identify/1", "leukolens.bundle/1"} <= schemas
        assert {schema for schema in schemas if schema not in page("documents.md")} == set()

    def test_every_key_of_a_card_is_in_documents_md(self) -> None:
        documents = page("documents.md")
        keys = [field.alias or name for name, field in Card.model_fields.items()]
        parts = [part for field in Card.model_fields.values() for part in models_in(field.annotation)]
        # Framing is the recipe's own section, and documented there.
        keys += [key for part in parts if part is not Framing for key in part.model_fields]
        assert [key for key in keys if not re.search(rf"[`.]{key}`", documents)] == []
