"""What the services say is said in the page's language, whatever stands in it, and in English where nothing else is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter

import pytest

from leukolens.errors import ImageError, Missing, ServerError, Unfit
from leukolens.server.people.throttle import TooMany
from leukolens.server.web import spoken
from leukolens.server.web.spoken import problem, remedy
from leukolens.server.web.spoken import spoken as said

SAMPLES = {
    "": "some words",
    "d": "7",
    "w": "anna",
    "q": "'it'",
    "l": "one, two",
    "a": "3 of these, 4 of those",
}
HOSTILE = (
    "{name}", "{0.__class__}", "<b>bold</b>", "\\g<name>", "%s", "is empty", "x. Sign in", "a' is no finding", "ß\n\n",
    "'", '"', "((((", "there is no such sample",
)  # fmt: skip


def parts(template: str) -> Iterator[tuple[str, str]]:
    """A template's placeholders, each with its shape."""
    for _, name, shape, _ in Formatter().parse(template):
        if name is not None:
            yield name, shape or ""


def filled(template: str, words: spoken.Words, values: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """A line with samples for what has no value, and all the values."""
    every = {
        name: next(iter(words.get(name, ())), SAMPLES[shape]) for name, shape in parts(template)
    } | values
    line = "".join(
        literal + (every[name] if name else "") for literal, name, *_ in Formatter().parse(template)
    )
    return line, every


def expected(forms: spoken.Forms, words: spoken.Words, values: Mapping[str, str]) -> str:
    shown = {name: words.get(name, {}).get(value, value) for name, value in values.items()}
    return forms["many"].format_map(shown)


class TestLines:
    def test_a_line_is_said_with_its_values_in_the_pages_language(self) -> None:
        assert problem("de", "there is no such sample") == "diese Probe gibt es nicht"
        assert problem("de", "sample A7 is signed") == "Probe A7 ist signiert"
        assert (
            problem("de", "turn 2 of sample A7 is not anna's") == "Durchgang 2 der Probe A7 gehört nicht anna"
        )
        assert remedy("de", "Choose from one, two, three") == "Daraus wählen: one, two, three"

    def test_the_number_decides_the_form(self) -> None:
        assert problem("de", "1 cells are not settled") == "1 Zelle ist nicht entschieden"
        assert problem("de", "12 cells are not settled") == "12 Zellen sind nicht entschieden"
        assert said("de", TooMany(1)).endswith("1 Sekunde warten und noch einmal versuchen.")
        assert said("de", TooMany(9)).endswith("9 Sekunden warten und noch einmal versuchen.")

    def test_words_that_are_the_servers_own_are_said_too(self) -> None:
        line = "anna is a reader, and may not sign a sample"
        assert problem("de", line) == "anna ist Befunder und darf das nicht: eine Probe signieren"
        assert (
            remedy("de", "Ask somebody whose role is reviewer") == "Jemanden mit der Rolle Validierer fragen"
        )
        assert remedy("de", "Ask somebody whose role is stranger") == "Ask somebody whose role is stranger"

    def test_english_and_what_has_no_counterpart_stay_as_they_are(self) -> None:
        for line in ("there is no such sample", "nobody has thought of this {count}", "", "."):
            assert said("en", line) == line
        for line in ("nobody has thought of this {count}", "sample A7 is signed and sealed", "", ".", ". "):
            assert said("de", line) == line
        assert said("de", Unfit("das neue Passwort", "")) == "das neue Passwort."
        assert said("de", "{name:w} is the last administrator ") == "{name:w} is the last administrator "

    def test_an_error_is_said_with_its_remedy_and_so_is_one_that_was_written_down(self) -> None:
        error = Missing("there is no such sample", "Look for it in the list of samples")
        german = "diese Probe gibt es nicht. In der Liste der Proben suchen."
        assert said("de", error) == said("de", str(error)) == german
        assert said("en", error) == str(error)
        dotted = "/a. b/c.leukolens cannot be read (e. g. gone). Check the bundle's path."
        assert said("de", dotted) == (
            "/a. b/c.leukolens lässt sich nicht lesen (e. g. gone). Den Pfad des Bündels prüfen."
        )
        assert said("de", ImageError(None, "has no pixels", "Make it smaller").reason) == "hat keine Pixel"


class TestHostileValues:
    def test_no_value_makes_one_line_another(self) -> None:
        """But for a path that a line begins with: those are the server's own."""
        known = spoken.catalogue("de")
        lines = known.problems
        every = [filled(template, known.words, {})[0] for template in lines.forms]
        tokens = sorted({token for line in every for token in line.split()})
        tried = 0
        for template, forms in lines.forms.items():
            open_ones = [name for name, shape in parts(template) if name not in known.words and not shape]
            for name, shape in parts(template):
                values = {"": [*every, *HOSTILE], "q": map(repr, (*every, *HOSTILE)), "w": tokens}
                if name in known.words or len(open_ones) > 1 or template.startswith("{path"):
                    continue
                for value in values.get(shape, ()):
                    tried += 1
                    line, given = filled(template, known.words, {name: value})
                    assert lines.of(line) == expected(forms, known.words, given), line
        assert tried > 10_000

    @pytest.mark.parametrize("kind", ["problems", "remedies"])
    def test_every_line_is_its_own(self, kind: str) -> None:
        known = spoken.catalogue("de")
        lines: spoken.Lines = getattr(known, kind)
        for template, forms in lines.forms.items():
            line, values = filled(template, known.words, {})
            assert lines.of(line) == expected(forms, known.words, values), line

    def test_a_value_is_neither_filled_in_nor_changed(self) -> None:
        assert problem("de", "there is no role '{name} {role}'") == "die Rolle '{name} {role}' gibt es nicht"
        assert problem("de", "bundle <i>{0}</i> is active already") == "Bündel <i>{0}</i> ist schon aktiv"
        assert problem("de", "there is no role 'x' is no finding'") == "there is no role 'x' is no finding'"

    def test_a_long_line_is_looked_for_in_no_time(self) -> None:
        began = time.perf_counter()
        for piece in ("a. ", ": ", "(", "is damaged, or no backup (", "'", "\\'", "1, ", "cells ", " x 1"):
            for most in (spoken.LONGEST, 100_000):
                line = (piece * most)[:most]
                assert said("de", line) == line
                assert said("de", f"{line}.") == f"{line}."
        assert time.perf_counter() - began < 10
        line = f"there is no folder {'x' * spoken.LONGEST}"
        assert said("de", line) == line


def test_a_line_that_two_files_have_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "spoken").mkdir()
    for name in ("one.de.toml", "two.de.toml"):
        (tmp_path / "spoken" / name).write_text('[problems]\n"is empty" = "x"\n')
    monkeypatch.setattr(spoken, "FOLDER", tmp_path)
    spoken.catalogue.cache_clear()
    try:
        with pytest.raises(ServerError, match=r"two\.de\.toml says 'is empty' a second time"):
            said("de", "is empty")
    finally:
        spoken.catalogue.cache_clear()
