"""Whatever the services can say has a counterpart in every language of the pages, and no counterpart is of nothing."""

from __future__ import annotations

import runpy
from functools import cache
from itertools import product
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from leukolens.server.web.spoken import SHAPES, catalogue
from leukolens.server.web.text import DEFAULT, LANGUAGES, placeholders

SOURCE = runpy.run_path(str(Path(__file__).with_name("source_lines.py")))
OTHERS = [language for language in LANGUAGES if language != DEFAULT]
KINDS = ("problems", "remedies")
# What the source does not tell: an error's own line, which is raised elsewhere, and what is in the page's language.
ELSEWHERE = {
    "error.problem", "error.reason", "error.remedy", "refusal.reason", "entry.problem", "file.problem", "str(error)",
    "words(str(said['problem']))", "ended.complained.replace(str(parent), 'the bundle')", "type(error).__name__",
    "'; '.join(wrong)",  # pydantic's, of a form that no page of ours sends
}  # fmt: skip


@cache
def told() -> Any:
    """What the source says."""
    return SOURCE["Told"]()


def used(language: str, template: str) -> list[tuple[str, dict[str, str]]]:
    """A template as the source may have it: ``{}`` for a value, and each of the words where these alone can stand."""
    words = catalogue(language).words
    parts = [(literal, name or "") for literal, name, *_ in Formatter().parse(template)]
    names = [name for _, name in parts if name in words]
    made = []
    for chosen in product(*(words[name] for name in names)):
        values = dict(zip(names, chosen, strict=True))
        text = "".join(literal + (values.get(name, "{}") if name else "") for literal, name in parts)
        made.append((text, values))
    return made


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_line_of_the_source_has_a_counterpart(language: str, kind: str) -> None:
    forms = getattr(catalogue(language), kind).forms
    known = {text for template in forms for text, _ in used(language, template)}
    lines = getattr(told(), kind)
    missing = {line: place for line, place in lines.items() if line not in known}
    assert missing == {}, f"say it in text/spoken/*.{language}.toml"


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_counterpart_is_of_a_line_of_the_source(language: str, kind: str) -> None:
    lines = getattr(told(), kind)
    forms = getattr(catalogue(language), kind).forms
    dead = [one for one in forms if not any(text in lines for text, _ in used(language, one))]
    assert dead == [], "nothing says that any more"


@pytest.mark.parametrize("language", OTHERS)
def test_every_word_stands_in_a_line_of_the_source(language: str) -> None:
    known = catalogue(language)
    found = {
        (name, word)
        for kind in KINDS
        for template in getattr(known, kind).forms
        for text, values in used(language, template)
        if text in getattr(told(), kind)
        for name, word in values.items()
    }
    assert {(name, word) for name, words in known.words.items() for word in words} - found == set()


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("kind", KINDS)
def test_counterparts_have_the_same_placeholders_and_no_full_stop(language: str, kind: str) -> None:
    for template, forms in getattr(catalogue(language), kind).forms.items():
        names = [name for _, name, *_ in Formatter().parse(template) if name is not None]
        assert len(names) == len(set(names)), template
        assert {shape or "" for _, name, shape, _ in Formatter().parse(template) if name} <= set(SHAPES)
        assert set(forms) in ({"many"}, {"one", "many"}), template
        assert "count" in names or "one" not in forms, template
        for said in forms.values():
            assert placeholders(said) == frozenset(names), template
            assert said != template
            assert said.strip(" .") == said, template


def test_what_the_source_does_not_tell_is_said_elsewhere() -> None:
    assert {line for line in told().untold if not line.startswith("translate(")} == ELSEWHERE


def test_the_source_is_read_as_it_is_written() -> None:
    problems, remedies = told().problems, told().remedies
    assert {
        "there is no such sample",  # a text
        "sample {} is signed",  # with a value
        "two readers differ on 1 cell", "two readers differ on {} cells",  # by what was given a name before
        "cell {} has been changed by another person since",  # by a module's name
        "the identifier is empty", "the reason is empty",  # by what a function is called with
        "{} is a reader, and may not draw cells",  # from another file
        "there are no bundles of that name",  # by a type
        "is a zip inside a zip", "is encrypted",  # by what a function gives back
        "has L*a*b* pixels, which have no agreed look",  # from a table
        "too many attempts to sign in have failed",  # in a class of its own
        "it was stopped by a person", "there is not enough memory to read it", "the sample was deleted",  # in a row
        "there is nothing at this address", "something went wrong here",  # for what nobody raised
    } <= set(problems)  # fmt: skip
    assert {
        "Ask somebody whose role is reviewer",
        "Try again; if it stays, tell who runs this server the number {}",
    } <= set(remedies)
    assert len(problems) > 250
    assert len(remedies) > 150
