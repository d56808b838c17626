"""What the pages say, in the languages that there are: every word of theirs stands in `text/*.toml`."""

from __future__ import annotations

import string
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from leukolens.errors import ServerError

FOLDER = Path(__file__).with_name("text")
LANGUAGES: Mapping[str, str] = {"en": "English", "de": "Deutsch"}
"""Code to the language's own name; the first is what stands in where nothing better is known."""
DEFAULT = "en"


def translate(language: str, key: str, /, **values: object) -> str:
    """A text of the pages.

    Args:
        language: Code; an unknown one gives English.
        key: Table and name, e.g. ``gallery.undo``. Where the text has the two forms ``one`` and ``many``, the
            value ``count`` decides.
        **values: What stands for its placeholders.

    Raises:
        ServerError: Where there is no such text, or a placeholder's value is not given.
    """
    known = texts(language if language in LANGUAGES else DEFAULT)
    forms = (f"{key}.one" if values.get("count") == 1 else f"{key}.many", key)
    found = next((known[form] for form in forms if form in known), None)
    if found is None:
        raise ServerError(f"there is no text {key!r}", f"Add it to {FOLDER.name}/*.{language}.toml")
    try:
        return found.format_map(values)
    except KeyError as error:
        raise ServerError(f"the text {key!r} needs a value for {error}", "Give it") from error


@cache
def texts(language: str) -> Mapping[str, str]:
    """All texts of a language by key: every file ``*.LANGUAGE.toml`` and ``LANGUAGE.toml`` of the folder.

    Raises:
        ServerError: Where two files say different things by one key.
    """
    found: dict[str, str] = {}
    for path in sorted({*FOLDER.glob(f"*.{language}.toml"), *FOLDER.glob(f"{language}.toml")}):
        for key, value in _flat(tomllib.loads(path.read_text("utf-8"))):
            if key in found:
                raise ServerError(f"{path.name} says {key!r} a second time", "Take one of them out")
            found[key] = value
    return found


def placeholders(text: str) -> frozenset[str]:
    """The names of a text's placeholders."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)
