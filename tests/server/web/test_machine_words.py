"""Whatever the machine can say of a cell or a count is said in the page's language, whole, and with its numbers."""

from __future__ import annotations

import ast
import inspect
import re
import time
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from types import ModuleType

import pytest

from leukolens.card import Judgement
from leukolens.differential import flags, percentages
from leukolens.differential.confusion import Confusion
from leukolens.differential.counts import Tally
from leukolens.differential.flags import NAMES
from leukolens.differential.percentages import FEWEST_GROUPS, differential
from leukolens.differential.ranges import Range, Ranges, load_ranges
from leukolens.reading import trust
from leukolens.reading.trust import decide
from leukolens.server.web import machine_words
from leukolens.server.web.machine_words import Kind, said
from leukolens.server.web.text import DEFAULT, LANGUAGES, texts
from leukolens.taxonomy import ALL_CLASSES, CLASS_KEYS

OTHERS = [language for language in LANGUAGES if language != DEFAULT]
SOURCES = ((trust,), (flags,), (percentages, "_warnings", "_about"))
KINDS: tuple[Kind, ...] = ("reason", "flag", "warning")
ENGLISH = re.compile(
    r"\b(a|all|along|among|and|any|are|at|be|below|above|but|by|cells?|classes|count|counted|fields|first|from|is|it|"
    r"its|learned|limits|low|more|most|named|needed|next|no|none|nothing|of|or|person|present|range|relative|absolute|"
    r"review|seen|sure|than|that|the|them|to|under|up|week|were|which|white|with|within|years|yet|"
    r"[a-z]*(cyte|cytes|phil|phils|openia|ytosis|philia))\b"
)
NUMBER = re.compile(r"[<>] \d+(?:\.\d+)?|\d+(?:\.\d+)?(?:e[+-]\d+)?")
# Low and high end beside 20 of 120 cells, in per cent: below and above, and whether the limits reach into it.
SPANS = (
    (50, 60), (20, 40), (1, 10), (1, 15), (50, None), (20, None), (None, 10), (None, 15), (None, 0),
)  # fmt: skip
OWN = "mine (own; the best): of 3"
"""What a laboratory may call its ranges."""
FORMS: tuple[dict[str, int], ...] = (
    {}, {"band": 4, "reactive_lymphocyte": 4, "myelocyte": 4},
    {"band": 1, "reactive_lymphocyte": 1, "metamyelocyte": 1, "myelocyte": 1, "promyelocyte": 1},
)  # fmt: skip


def spread(top: str, chance: float, second: str, rest: float, among: tuple[str, ...]) -> dict[str, float]:
    """Probabilities: of the first, of the second a share of the rest, and what is left to the others alike."""
    others = [key for key in among if key not in {top, second}]
    left = 1 - chance - (1 - chance) * rest
    given = {top: chance, second: (1 - chance) * rest}
    return {key: given[key] if key in given else left / len(others) for key in among}


@cache
def reasons() -> frozenset[str]:
    """Of every decision, for every class, of bundles with one class and with more."""
    classes = [
        spread(top, chance, second, 0.6, CLASS_KEYS)
        for top, second in product(CLASS_KEYS, CLASS_KEYS)
        if top != second
        for chance in (0.3, 0.49, 0.6, 0.93, 0.9996)
    ]
    few = [{key: 1.0} for key in CLASS_KEYS] + [{key: 0.9996} for key in CLASS_KEYS]
    few += [{"neutrophil": chance, "other": 1 - chance} for chance in (0.3, 0.55, 0.95)]
    blind = dict.fromkeys(CLASS_KEYS, 1 / len(CLASS_KEYS))
    limits = (
        (0.8, 0.95, None, None),
        (0.5, None, 8.0, 10.0),
        (1.0, 1.0, 8.0, 10.0),
        (0.9999, 0.9999, None, None),
    )
    judgements = [
        Judgement(accept_above=above, accepted_accuracy=right, usual_within=usual, unlike_beyond=unlike)
        for above, right, usual, unlike in limits
    ]
    return frozenset(
        decide(probabilities, judgement, distance, agreement)[1]
        for probabilities in (*classes, *few, blind)
        for judgement, distance, agreement in product(judgements, (None, 3.0, 9.04, 1e9), (1.0, 0.75))
    )


def told_of(
    counts: Mapping[str, int], white_count: float | None, ranges: Ranges, blasts: int = 0
) -> Iterator[str]:
    sample = differential(Tally(dict(counts), blasts=blasts), white_count=white_count)
    yield from (flag.message for flag in flags.flags(sample, ranges))


@cache
def flagged() -> frozenset[str]:
    """Of every class below, above, clearly and not, absolute and relative, alone and with its forms; and of blasts."""
    found: set[str] = set()
    usual = dict.fromkeys(NAMES, 20)
    shipped = [(SPANS[0], FORMS[0], band.name) for band in load_ranges().band]
    for (low, high), forms, band in (*product(SPANS, FORMS, [OWN]), *shipped):
        relative = Range(low=low, high=high)
        # With a white cell count of 12 a hundredth is 0.12.
        absolute = Range(low=low and low * 0.12, high=high and high * 0.12)
        every = {key: usual[key] - sum(forms.values()) // 3 for key in usual} | forms
        known = Ranges(band, absolute, dict.fromkeys(NAMES, absolute), dict.fromkeys(NAMES, relative))
        for white_count in (None, 12.0, 1.0):
            found |= set(told_of(every, white_count, known))
        found |= set(told_of(every, 12.0, Ranges(band, Range(low=2e-5, high=5e-5), {}, {})))  # with exponents
    for (counted, blasts), white_count in product(((0, 1), (1, 1), (1, 2), (0, 3), (4, 4)), (None, 7.0)):
        found |= set(
            told_of({**usual, "blast": counted}, white_count, load_ranges().for_person(None, None), blasts)
        )
    return frozenset(found)


@cache
def warned() -> frozenset[str]:
    """Of few cells and of none, many unsure ones, nucleated red cells alone, and a correction from few groups."""
    found: set[str] = set()
    for named, unsure, nucleated in product((0, 1, 2, 99, 100, 199, 200), (0, 1, 60), (None, 3)):
        tally = Tally({"neutrophil": named}, unsure=unsure, nucleated_red_cells=nucleated)
        found |= set(differential(tally, white_count=7.0).warnings)
    rows = len(CLASS_KEYS)
    groups = [
        FEWEST_GROUPS - 2 + 2 * place for place in range(rows)
    ]  # of three too few, and of four rather few
    for counted in (groups, groups[::-1]):
        answers = tuple(
            tuple(counted[row] * float(row == at) for at in range(rows + 1)) for row in range(rows)
        )
        confusion = Confusion(classes=CLASS_KEYS, answers=answers, groups=tuple(counted))
        found |= set(differential(Tally(dict.fromkeys(NAMES, 50)), confusion=confusion).warnings)
    return frozenset(found)


def every_line() -> Iterator[tuple[Kind, str]]:
    for kind, lines in zip(KINDS, (reasons(), flagged(), warned()), strict=True):
        yield from ((kind, line) for line in sorted(lines))


@pytest.mark.parametrize("language", OTHERS)
def test_every_line_is_said_whole_and_with_its_numbers(language: str) -> None:
    for kind, line in every_line():
        told = said(language, kind, line)
        assert told != line
        assert not ENGLISH.search(told.replace(OWN, "")), told
        assert sorted(NUMBER.findall(told)) == sorted(NUMBER.findall(line)), told
        assert not set("{}") & set(told)
        assert told.endswith(".") == line.endswith(".")


@pytest.mark.parametrize("language", OTHERS)
def test_every_counterpart_is_of_something_that_the_machine_says(language: str) -> None:
    tables, names = machine_words.tables(language), machine_words.names(language)
    whole = [(kind, line, said(language, kind, line)) for kind, line in every_line()]
    for name, table in tables.items():
        for template in table:
            less = {key: told for key, told in table.items() if key != template}
            without = machine_words.lines({**tables, name: less}, names)
            assert any(without[kind].of(line) != told for kind, line, told in whole), f"[{name}] {template}"


def test_every_text_of_the_source_stands_in_a_line_that_was_tried() -> None:
    """So that what is added there is tried here, and said."""
    lines = [line for _, line in every_line()]
    texts = set[str]().union(*(written(*one) for one in SOURCES))
    assert {text for text in texts if not any(text in line for line in lines)} == set()
    assert {"turned or mirrored it looks like another class", " counted along", "leukocyte was"} <= texts
    named = {name.replace("_", " ") for pair in NAMES.values() for name in pair if name}
    assert {name for name in named if not any(name in line.lower() for line in lines)} == set()


def written(module: ModuleType, *functions: str) -> set[str]:
    """The texts of several words that lines are made of: in these functions, or in the whole file."""
    tree = ast.parse(inspect.getsource(module))
    within = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in functions]
    nodes = [node for top in within or [tree] for node in ast.walk(top)]
    explained = {node.value for node in nodes if isinstance(node, ast.Expr)}
    texts = (node.value for node in nodes if isinstance(node, ast.Constant) and node not in explained)
    return {text for text in texts if isinstance(text, str) and " " in text}


class TestReasons:
    def test_a_cell_that_is_not_sure_enough(self) -> None:
        line = decide(
            {"immature_granulocyte": 0.6, "lymphocyte": 0.3996, "other": 0.0004},
            Judgement(accept_above=0.8),
            None,
            0.75,
        )[1]
        assert said("de", "reason", line) == (
            "unreifer Granulozyt mit 60.0 %, weniger als die nötigen 80.0 %; an zweiter Stelle Lymphozyt mit 40.0 %; "
            "gedreht oder gespiegelt sieht die Zelle nach einer anderen Klasse aus"
        )

    def test_a_cell_that_is_like_none(self) -> None:
        judgement = Judgement(accept_above=0.8, usual_within=8.0, unlike_beyond=10.0)
        line = decide({"monocyte": 0.93, "other": 0.07}, judgement, 12.34)[1]
        assert said("de", "reason", line) == (
            "gleicht keiner Zelle, von der die Maschine gelernt hat (Abstand vom Bekannten 12.3; bei 99 % der "
            "bekannten Zellen höchstens 10.0): Monozyt mit 93.0 % besagt hier nichts"
        )

    def test_no_white_cell(self) -> None:
        line = decide({"neutrophil": 0.0004, "other": 0.9996}, Judgement(accept_above=0.8))[1]
        assert (
            said("de", "reason", line)
            == "kein Leukozyt erkannt: alle Klassen von Leukozyten zusammen < 0.1 %"
        )

    def test_two_thousand_cells_are_told_of_in_no_time(self) -> None:
        classes = [(top, second) for top, second in product(CLASS_KEYS[:6], CLASS_KEYS) if top != second]
        lines = [
            f"{top} at {60 + place / 100:.2f} %, under the 80.0 % that is needed; next is {second} at 30.0 %; "
            "turned or mirrored it looks like another class"
            for place, (top, second) in enumerate(classes * 60)
        ][:2000]
        assert len(set(lines)) == 2000
        began = time.perf_counter()
        assert all(said("de", "reason", line.replace("_", " ")) != line for line in lines)
        assert time.perf_counter() - began < 0.5


class TestFlags:
    def test_a_class_beyond_its_range(self) -> None:
        adult = load_ranges().for_person(None, None)
        counts = {
            "neutrophil": 40,
            "eosinophil": 3,
            "basophil": 0,
            "lymphocyte": 31,
            "monocyte": 6,
            "band": 40,
        }
        assert [said("de", "flag", line) for line in told_of(counts, 12.0, adult)] == [
            "Leukozytose, zu prüfen: 12.00 × 10^9/L, über dem Referenzbereich (Erwachsene) von 4 bis 10 × 10^9/L "
            "(absolut).",
            "Neutrophilie, zu prüfen: 8.00 × 10^9/L, über dem Referenzbereich (Erwachsene) von 2 bis 7 × 10^9/L "
            "(absolut; 95-%-Grenzen 6.90 bis 9.00, die in den Bereich reichen; mitgezählt: Stabkerniger).",
            "Lymphozytose, zu prüfen: 3.10 × 10^9/L, über dem Referenzbereich (Erwachsene) von 1 bis 3 × 10^9/L "
            "(absolut; 95-%-Grenzen 2.19 bis 4.15, die in den Bereich reichen).",
        ]  # fmt: skip

    def test_blasts(self) -> None:
        adult = load_ranges().for_person(None, None)
        (line,) = told_of({"neutrophil": 60, "lymphocyte": 39, "blast": 1}, None, adult, 2)
        assert said("de", "flag", line) == (
            "Blasten vorhanden, zu prüfen: 2 Zellen, von einer Person so benannt, davon 1 gezählt, 1.0 %, der "
            "Referenzbereich (Erwachsene) sieht keine vor (relativ; 95-%-Grenzen 0.0 bis 5.4)."
        )


def test_english_and_what_has_no_counterpart_stay_as_they_are() -> None:
    line = decide({"monocyte": 0.6, "other": 0.4}, Judgement(accept_above=0.8))[1]
    assert said("en", "reason", line) is line
    unknown = (
        "", "monocyte, because", "{cell} at {chance:n} %", "pixie at 60.0 %; 80.0 % is needed", f"{line} or so",
        "Neutropenia to review: much, above the range (adult) of 2 to 7 % (absolute).", "x" * 5000,
        "The correction knows some classes from fewer than 9 independent groups: pixies (3); their corrected limits "
        "may be too narrow.",
    )  # fmt: skip
    for kind, told in product(KINDS, unknown):
        assert said("de", kind, told) == told


def test_a_line_that_is_like_many_is_looked_for_in_no_time() -> None:
    began = time.perf_counter()
    for piece in (
        ": ",
        " (absolute; ",
        "Neutropenia to review: 1 % (relative; ",
        "1 %, above the range (",
        "a, b (1), ",
    ):
        for kind in KINDS:
            line = (piece * 2000)[:2000]
            assert said("de", kind, line) == line
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("language", OTHERS)
def test_classes_are_called_as_they_are_everywhere_on_the_pages(language: str) -> None:
    names = machine_words.names(language)
    assert set(names) == {kind.name.lower() for kind in ALL_CLASSES}
    for kind in ALL_CLASSES:
        assert names[kind.name.lower()].casefold() == texts(language)[f"class.{kind.key}"].casefold()
    assert [names[name] for name in ("neutrophil", "immature granulocyte", "other", "band neutrophil")] == [
        "Neutrophiler", "unreifer Granulozyt", "kein Leukozyt", "Stabkerniger",
    ]  # fmt: skip
