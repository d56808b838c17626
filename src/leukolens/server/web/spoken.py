"""What the services say when something does not go well, in the language of a page.

They say it in English, which programs, the logs and the tables get too, and know of no other language. A catalogue,
``text/spoken/*.LANGUAGE.toml``, has each of their lines as a template with its counterpart. Where a page shows a line,
it is matched against the templates, and the values in it are carried over. A line without a counterpart stays as it is.

A template's placeholder may say what stands for it: ``{count:d}`` a whole number, ``{name:w}`` something without
spaces, ``{asked:q}`` something in quotes, ``{choices:l}`` a list with commas, ``{scarce:a}`` a list of how many of
each, ``{chance:n}`` a number with decimals or a bound (``< 0.1``), ``{value:m}`` one with its unit. One that stands in
a table of words is one of these, and they have counterparts themselves.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from string import Formatter

from leukolens.errors import LeukolensError, ServerError
from leukolens.server.web.text import DEFAULT, FOLDER

LONGEST = 2000
"""Characters of a line that is looked for: what the services say is shorter."""
NUMBER = r"(?:[<>] )?\d+(?:\.\d+)?(?:e[+-]\d+)?"
SHAPES: Mapping[str, str] = {
    "": r".+?",
    "d": r"-?\d+",
    "w": r"\S+",
    "q": r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"",
    "l": r"[^\s,]+(?:, [^\s,]+)*",
    "a": r"\d+ of \S+(?:, \d+ of \S+)*",
    "n": NUMBER,
    "m": rf"{NUMBER} (?:%|× 10\^9/L)",
}
END = ". "
Forms = Mapping[str, str]
"""A line's counterpart: ``many``, and ``one`` where a count of 1 has a form of its own."""
Words = Mapping[str, Mapping[str, str]]
Parts = Mapping[str, Callable[[str], str | None]]


def spoken(language: str, message: LeukolensError | str) -> str:
    """A problem with its remedy, or a reason alone.

    Args:
        language: Code of the page's.
        message: As it was raised, or as it stands in a table: ``problem. Remedy.`` or a reason.
    """
    if isinstance(message, LeukolensError):
        return _joined(problem(language, message.problem), remedy(language, message.remedy))
    if message.endswith(".") and len(message) <= LONGEST:
        line = message[:-1]
        for at in (found.start() for found in re.finditer(re.escape(END), line)):
            wrong = catalogue(language).problems.of(line[:at])
            advice = catalogue(language).remedies.of(line[at + len(END) :])
            if wrong is not None and advice is not None:
                return _joined(wrong, advice)
    return problem(language, message)


def problem(language: str, line: str) -> str:
    """What is wrong."""
    found = catalogue(language).problems.of(line)
    return line if found is None else found


def remedy(language: str, line: str) -> str:
    """What to do."""
    found = catalogue(language).remedies.of(line)
    return line if found is None else found


class Lines:
    """Templates with their counterparts.

    Args:
        forms: Template to counterpart.
        words: What placeholders of these names may stand for, with its counterpart.
        parts: What gives the counterpart of that which stands for a placeholder of this name, or None where it has
            none: the line is another template's then.
    """

    def __init__(self, forms: Mapping[str, Forms], words: Words, parts: Parts | None = None) -> None:
        self.forms, self._words, self._parts = forms, words, parts or {}
        holed = [template for template in forms if _literal(template) != template]
        self._plain = {template: forms[template]["many"] for template in forms.keys() - holed}
        # A line's own words come before what a value happens to hold, and the one that leaves the least open first.
        holed.sort(key=_openness)
        self._patterns = [(_pattern(template, words), forms[template]) for template in holed]

    def of(self, line: str) -> str | None:
        """A line's counterpart; None where it has none."""
        if line in self._plain or len(line) > LONGEST:
            return self._plain.get(line)
        for pattern, forms in self._patterns:
            if found := pattern.fullmatch(line):
                values = {name: self._part(name, value) for name, value in found.groupdict().items()}
                if None in values.values():
                    continue
                form = "one" if values.get("count") == "1" and "one" in forms else "many"
                return forms[form].format_map(values)
        return None

    def _part(self, name: str, value: str) -> str | None:
        if name in self._parts:
            return self._parts[name](value)
        return self._words.get(name, {}).get(value, value)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that a language has a counterpart for.

    Attributes:
        problems: What is wrong, and why something was not done.
        remedies: What to do.
        words: Placeholder to the words that it stands for, with their counterparts.
    """

    problems: Lines
    remedies: Lines
    words: Words


@cache
def catalogue(language: str) -> Catalogue:
    """The catalogue of a language; an empty one of English, which is spoken already.

    Raises:
        ServerError: Where two of its files have a counterpart for one line.
    """
    found: dict[str, dict[str, Forms]] = {"problems": {}, "remedies": {}}
    words: dict[str, Mapping[str, str]] = {}
    paths = [] if language == DEFAULT else sorted((FOLDER / "spoken").glob(f"*.{language}.toml"))
    for path in paths:
        tables = tomllib.loads(path.read_text("utf-8"))
        words.update(tables.get("words", {}))
        for kind, known in found.items():
            for line, said in tables.get(kind, {}).items():
                if line in known:
                    raise ServerError(f"{path.name} says {line!r} a second time", "Take one of them out")
                known[line] = {"many": said} if isinstance(said, str) else said
    return Catalogue(Lines(found["problems"], words), Lines(found["remedies"], words), words)


def _joined(wrong: str, advice: str) -> str:
    """As an error is written."""
    return f"{wrong}{END}{advice}." if advice else f"{wrong}."


def _openness(template: str) -> tuple[int, bool, int]:
    """How much of it a value could be: first at the beginning, then at all."""
    (literal, _, shape, _), *_ = Formatter().parse(template)
    return -len(literal), not literal and not shape, -len(_literal(template))


def _literal(template: str) -> str:
    return "".join(literal for literal, *_ in Formatter().parse(template))


def _pattern(template: str, words: Words) -> re.Pattern[str]:
    made = ""
    for literal, name, shape, _ in Formatter().parse(template):
        made += re.escape(literal)
        if name is not None:
            choices = "|".join(map(re.escape, words.get(name, ())))
            made += f"(?P<{name}>{choices or SHAPES[shape or '']})"
    return re.compile(made, re.DOTALL)
