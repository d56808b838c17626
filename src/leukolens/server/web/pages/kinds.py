"""The classes as the pages show them: name in the reader's language, letter, key, and the order of the palette."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from leukolens.report.overlay import ink_on
from leukolens.server.review.blind import BLIND
from leukolens.server.web.text import texts, translate
from leukolens.taxonomy import ALL_CLASSES, OTHER, UNSURE, CellClass

UNSURE_LETTER = "?"
UNSURE_RGB = (110, 116, 122)
BLIND_LETTER = "○"
BLIND_RGB = (208, 213, 218)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a cell can be shown as.

    Attributes:
        key: A class's key, or ``unsure``.
        name: In the reader's language.
        letter: On its badge, and the key that gives it.
        leukocyte: Whether it counts in the differential.
    """

    key: str
    name: str
    letter: str
    leukocyte: bool

    @property
    def shortcut(self) -> str:
        """The key on the keyboard."""
        return self.letter


def blind_kind(language: str) -> Kind:
    """What a cell is shown as whose machine's answer is hidden: no class, and no key gives it."""
    return Kind(BLIND, translate(language, "blind.name"), BLIND_LETTER, leukocyte=False)


@cache
def kinds(language: str) -> dict[str, Kind]:
    """Every one by its key: *unsure* first, what is no white cell last, the rest in taxonomy order."""
    classes = sorted(ALL_CLASSES, key=lambda kind: kind.key == OTHER)
    unsure = Kind(UNSURE, translate(language, "class.unsure"), UNSURE_LETTER, leukocyte=False)
    named = (Kind(one.key, _name(language, one), one.abbreviation, one.leukocyte) for one in classes)
    return {kind.key: kind for kind in (unsure, *named)}


def kinds_data(language: str) -> list[dict[str, str]]:
    """The same for the scripts of a page, and what a hidden cell is shown as, which has no shortcut."""
    blind = blind_kind(language)
    return [
        {"key": kind.key, "name": kind.name, "letter": kind.letter, "shortcut": kind.shortcut}
        for kind in kinds(language).values()
    ] + [{"key": blind.key, "name": blind.name, "letter": blind.letter, "shortcut": ""}]


def kinds_style() -> str:
    """A stylesheet: of each class the colour, and the ink that is read on it."""
    colours = [(one.key, one.rgb) for one in ALL_CLASSES] + [(UNSURE, UNSURE_RGB), (BLIND, BLIND_RGB)]
    return "".join(
        f".c-{key} {{ --class: rgb{rgb}; --on-class: rgb{ink_on(rgb)}; }}\n" for key, rgb in colours
    )


def words(language: str, prefix: str = "script.") -> dict[str, str]:
    """The texts that a page's scripts say."""
    return {key.removeprefix(prefix): text for key, text in texts(language).items() if key.startswith(prefix)}


def _name(language: str, kind: CellClass) -> str:
    # A laboratory's own class has its own name in every language.
    known = texts(language)
    return known.get(f"class.{kind.key}", kind.name)
