"""What the machine says of cells and of counts, in the language of a page.

`leukolens.reading.trust` says why a cell is unsure, and `leukolens.differential` what to look at, in English, which
programs, exports and reports get. Where a page shows such a line, it is matched as in `spoken`, against the templates
of ``text/spoken/machine.LANGUAGE.toml``. Whole lines stand in the tables ``reason``, ``flag`` and ``warning``; each
other table has what can stand for the placeholder of its name. Classes have the names that they have everywhere on the
pages. A line without a counterpart stays as it is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial
from typing import Literal

from leukolens.server.web.spoken import Lines
from leukolens.server.web.text import DEFAULT, FOLDER, placeholders, texts
from leukolens.taxonomy import ALL_CLASSES

Kind = Literal["reason", "flag", "warning"]
Tables = Mapping[str, Mapping[str, str]]
"""Placeholder to templates of what can stand for it, each with its counterpart; whole lines by their kind."""
REMEMBERED = 4096
"""Lines, so that a page is quick that was looked at before; a gallery has up to 2,000 cells."""
OF_CLASSES, LISTS, OPEN = ("cell", "next"), ("forms", "classes"), "band"
"""Placeholders for a class, for a list of them, and for what a laboratory may call as it likes."""


def said(language: str, kind: Kind, line: str) -> str:
    """A line in the page's language.

    Args:
        language: Code of the page's.
        kind: Why a cell is unsure (*reason*), what in a differential to look at (*flag*), or what to know before it
            is used (*warning*).
        line: In English.
    """
    return line if language == DEFAULT else _said(language, kind, line)


def lines(tables: Tables, names: Mapping[str, str]) -> dict[str, Lines]:
    """What is looked for in a line, and in each part of one.

    Args:
        tables: As they stand in the catalogue.
        names: A class's English name, in lower case, to its counterpart.
    """
    words = {
        name: table
        for name, table in tables.items()
        if name != OPEN and not any(placeholders(template) for template in table)
    } | dict.fromkeys(OF_CLASSES, names)
    bands = tables.get(OPEN, {})
    parts: dict[str, Callable[[str], str | None]] = {OPEN: lambda band: bands.get(band, band)}
    parts |= dict.fromkeys(LISTS, partial(_listed, names))
    found = {
        name: Lines({template: {"many": told} for template, told in table.items()}, words, parts)
        for name, table in tables.items()
        if name not in words and name != OPEN
    }
    parts |= {name: one.of for name, one in found.items()}
    return found


def names(language: str) -> dict[str, str]:
    """Every class's English name, as a line has it, and the page's, as a line can have it."""
    known = texts(language)
    return {
        one.name.lower(): _within_a_line(known.get(f"class.{one.key}", one.name.lower()))
        for one in ALL_CLASSES
    }


@cache
def tables(language: str) -> Tables:
    """The catalogue of a language; an empty one where there is none."""
    path = FOLDER / "spoken" / f"machine.{language}.toml"
    return tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}


@lru_cache(maxsize=REMEMBERED)
def _said(language: str, kind: Kind, line: str) -> str:
    known = _lines(language).get(kind)
    found = known.of(line) if known else None
    return line if found is None else found


@cache
def _lines(language: str) -> dict[str, Lines]:
    return lines(tables(language), names(language))


def _within_a_line(name: str) -> str:
    # German nouns have a capital anywhere; an adjective before one only where a name stands by itself.
    return name[0].lower() + name[1:] if " " in name else name


def _listed(names: Mapping[str, str], line: str) -> str | None:
    """Classes with commas between them, each perhaps with a number in brackets; None where one is no class."""
    found = []
    for item in line.split(", "):
        name, *number = item.partition(" (")
        if name not in names:
            return None
        found.append("".join((names[name], *number)))
    return ", ".join(found)
