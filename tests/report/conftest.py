"""Made-up smears, one of which has one of everything, for the tests of what is written about them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from leukolens.differential.confusion import Confusion
from leukolens.differential.counts import (
    ClassCount,
    Concentration,
    Differential,
    Flag,
    Share,
    Tally,
    WhiteCount,
)
from leukolens.differential.flags import flags
from leukolens.differential.percentages import differential
from leukolens.differential.ranges import load_ranges
from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, Decision, FieldReading
from leukolens.report.fhir import document
from leukolens.report.sample import Origin, Review, SampleReport, tally
from leukolens.taxonomy import CLASS_KEYS, CLASSES

SIZE = (320, 240)
LEUKOCYTE_KEYS = [kind.key for kind in CLASSES if kind.leukocyte]
COUNTS = dict(zip(LEUKOCYTE_KEYS, (120, 8, 1, 40, 29, 2), strict=True))
MARK = "Jane-Doe-1962"
"""Stands in every path of the counted smear."""


def made_cell(
    key: str, probability: float, decision: Decision = "accept", *, x: int = 40, y: int = 60
) -> Cell:
    """A cell whose other classes share what its class leaves."""
    rest = (1 - probability) / (len(CLASS_KEYS) - 1)
    chances = {other: probability if other == key else rest for other in CLASS_KEYS}
    return Cell(Box(x, y, x + 50, y + 54), chances, decision, f"{key}, {decision}, because", score=0.9)


def made_field(place: int, cells: tuple[Cell, ...]) -> FieldReading:
    """A field that was read."""
    status, reason = ("ok", None) if cells else ("no_cell", "no white cell found")
    return FieldReading(
        path=Path(f"/ward 3/Eve Smith/smear{place}.png"),
        status=status,  # type: ignore[arg-type]
        reason=reason,
        sha256=f"{place:064x}",
        width=SIZE[0],
        height=SIZE[1],
        cells=cells,
        red_cells=40 + place,
        platelets=place,
        pixels_per_micrometre=6.28125 if cells else None,
    )


def made_report(fields: tuple[FieldReading, ...], *, name: str, bare: bool = False) -> SampleReport:
    """The report of these fields; a bare one has no white count, correction or nucleated red cells."""
    side = len(CLASS_KEYS)
    answers = np.full((side, side + 1), 0.5) + (19.5 - side / 2) * np.eye(side, side + 1)
    confusion = Confusion(
        classes=CLASS_KEYS,
        answers=tuple(tuple(row) for row in answers.tolist()),
        groups=(20,) * side,
        labs=("Lab A", "Lab <B>"),
        measured_on="798 cells",
    )
    counted = tally(fields, CLASS_KEYS, nucleated_red_cells=None if bare else 3)
    found = differential(
        counted, confusion=None if bare else confusion, white_count=None if bare else 13.4567
    )
    return SampleReport(
        name=name,
        fields=fields,
        differential=found,
        flags=flags(found, load_ranges().for_person(None, None)),
        origin=Origin("9.9.9", "tiny", "0123456789abcdef" * 4, "engine 1", (("age", "44 years"),)),
    )


def made_row(key: str, count: int) -> ClassCount:
    """A class's row with every figure there is, all of them different."""
    percent = 100 * count / sum(COUNTS.values())
    share = Share(percent, percent / 2, percent + (100 - percent) / 7)
    return ClassCount(
        key,
        count,
        share,
        Share(percent * 0.9, percent / 3, percent + (100 - percent) / 5),
        Concentration(*(8.0 * p / 100 for p in (share.percent, share.low, share.high))),
        321,
    )


@pytest.fixture(scope="session")
def smear() -> SampleReport:
    """Six fields: cells of all kinds and decisions, one cut by an edge, one field empty, one failed."""
    cut = replace(made_cell("neutrophil", 0.97, x=-10), at_edge=True)
    fields = [
        made_field(1, (made_cell("neutrophil", 0.91), made_cell("monocyte", 0.9995, x=150))),
        made_field(
            2, (cut, made_cell("lymphocyte", 0.85, x=100), made_cell("basophil", 0.6, "review", x=200))
        ),
        made_field(3, ()),
        FieldReading(
            Path("/ward 3/Eve Smith/smear4.png"), "failed", "smear4.png: the file ends early", "f" * 64, 0, 0
        ),
        made_field(5, (made_cell("eosinophil", 0.2, "unknown"), made_cell("other", 0.7, "review", x=180))),
        made_field(6, tuple(made_cell("neutrophil", 0.9 + x / 5000, x=x) for x in range(0, 250, 60))),
    ]
    return made_report(tuple(fields), name="Smear 7")


@pytest.fixture(scope="session")
def reviewed_smear(smear: SampleReport) -> SampleReport:
    """The smear opened again and signed anew: a cell confirmed, one made a blast, one drawn, a comment made."""
    first, *others = smear.fields
    drawn = Cell(Box(250, 150, 300, 200), {}, "review", "drawn by a person", reviewed="lymphocyte")
    neutrophil, monocyte = first.cells
    cells = (replace(neutrophil, reviewed="blast"), replace(monocyte, reviewed="monocyte"), drawn)
    fields = (replace(first, cells=cells), *others)
    found = differential(tally(fields, CLASS_KEYS), white_count=13.4567)
    review = Review(
        status="amended",
        version=2,
        reviewer="Dr. Ζωή O'Hara",
        signed=datetime(2026, 3, 1, 8, 30, 15, tzinfo=UTC),
        confirmed=1,
        changed=1,
        drawn=1,
        deleted=4,
        machine=smear.differential,
        comments=(("Anisocytosis", "2+"), ("Giant platelets", "few")),
        reopened=("a blast was\noverlooked | sorry",),
        trail_hash="ab" * 32,
        kappa=0.8125,
    )
    return replace(
        smear,
        fields=fields,
        differential=found,
        flags=flags(found, load_ranges().for_person(None, None)),
        review=review,
    )


@pytest.fixture(scope="session")
def bare_smear() -> SampleReport:
    """The least there is: one field without a cell, nothing known besides."""
    return made_report((made_field(1, ()),), name="Empty", bare=True)


@pytest.fixture(scope="session")
def hostile_smear(smear: SampleReport) -> SampleReport:
    """A smear whose every text would break out of a page, a table or a terminal if it could."""
    evil = "=1+1</style></title><script>alert('x')</script>\"\x1b[2J\u202e\udce9\n$style"
    first, *others = smear.fields
    cells = tuple(replace(cell, reason=evil) for cell in others[0].cells)
    return replace(
        smear,
        name=evil,
        fields=(
            replace(first, path=Path(evil.replace("/", "_"))),
            replace(others[0], cells=cells),
            *(replace(field, reason=evil) if field.status == "failed" else field for field in others[1:]),
        ),
        differential=replace(smear.differential, confusion_from=evil, warnings=(evil,)),
        flags=tuple(replace(flag, key=evil, message=evil, unit=evil) for flag in smear.flags),
        origin=Origin(evil, evil, evil, evil, ((evil, evil),)),
    )


@pytest.fixture(scope="session")
def counted_smear() -> SampleReport:
    """Two hundred cells: every figure and flag is written out here, and its two fields hold none of them."""
    fields = (
        FieldReading(Path(MARK) / f"{MARK}.1.png", "ok", None, "a" * 64, 640, 480),
        FieldReading(Path(MARK) / f"{MARK}.2.png", "failed", f"{MARK}.2.png is empty", "b" * 64, 0, 0),
    )
    counted = Differential(
        Tally(COUNTS, unsure=7, at_edge=5, not_leukocyte=3, nucleated_red_cells=4),
        tuple(made_row(key, count) for key, count in COUNTS.items()),
        Share(100 * 7 / 207, 1.25, 6.5),
        2.0,
        WhiteCount(8.16, 8.0),
        "three groups of one lab",
        ("Fewer than 400 cells were counted.",),
    )
    raised = (
        Flag("monocytosis", "Monocytes are above their range: review.", "absolute", 1.16, "10^9/L", 0.2, 1.0),
        Flag("relative_lymphopenia", "Lymphocytes are few: review.", "relative", 20.0, "%", 22.5, 45.0),
        Flag(
            "immature_granulocytes",
            "Immature granulocytes are there: review.",
            "relative",
            1.0,
            "%",
            None,
            None,
        ),
    )
    origin = Origin(
        "0.1.0", "tiny", "d" * 64, "onnxruntime 1.27.0", (("ranges", f"/home/{MARK}/ranges.toml"),)
    )
    return SampleReport("S-1", fields, counted, raised, origin)


@pytest.fixture(scope="session")
def fhir_documents(counted_smear: SampleReport) -> dict[str, dict[str, Any]]:
    """The counted smear as it is, with all that can be told, without a leukocyte, and without anything at all."""
    drawn = datetime(2026, 3, 1, 8, 30, tzinfo=timezone(timedelta(hours=1)))
    empty = Differential(
        Tally(dict.fromkeys(LEUKOCYTE_KEYS, 0)),
        tuple(
            ClassCount(key, 0, Share(math.nan, 0, 100), None, Concentration(math.nan, 0, 8), 0)
            for key in LEUKOCYTE_KEYS
        ),
        None,
        None,
        WhiteCount(8.0, 8.0),
        "",
        (),
    )
    nothing = SampleReport("", (), replace(empty, classes=(), white_count=None), (), counted_smear.origin)
    return {
        "full": document(counted_smear),
        "told": document(counted_smear, subject="Patient/7", effective=drawn, issued=drawn, names=True),
        "empty": document(replace(counted_smear, differential=empty, flags=())),
        "nothing": document(nothing),
    }


@pytest.fixture(scope="session")
def pictures() -> Callable[[FieldReading], NDArray[np.uint8]]:
    """A field's image: its own grey, with noise."""

    def picture(field: FieldReading) -> NDArray[np.uint8]:
        rng = np.random.default_rng(int(field.sha256, 16) % 1000)
        return rng.integers(120, 250, (field.height, field.width, 3), np.uint8)

    return picture


VOID = frozenset({"meta", "link", "img", "br", "wbr", "input", "hr"})


@dataclass
class Node:
    """An element of a parsed page."""

    tag: str
    attributes: dict[str, str]
    children: list[Node | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text inside."""
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, tag: str | None = None, **attributes: str | None) -> list[Node]:
        """Elements inside with this tag and these attributes (None: any value); `_` stands for `-`."""
        found = []
        wanted = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
        for child in self.children:
            if isinstance(child, Node):
                fits = all(
                    key in child.attributes and value in {None, child.attributes[key]}
                    for key, value in wanted.items()
                )
                if fits and tag in {None, child.tag}:
                    found.append(child)
                found += child.all(tag, **attributes)
        return found

    def one(self, tag: str | None = None, **attributes: str | None) -> Node:
        """The only such element."""
        (found,) = self.all(tag, **attributes)
        return found

    @property
    def figures(self) -> list[float]:
        """The exact values of the numbers inside."""
        return [float(data.attributes["value"]) for data in self.all("data")]


class _Tree(HTMLParser):
    """Builds the tree, and holds that every element is closed in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Node("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        node = Node(tag, {key: value or "" for key, value in attrs})
        self._open[-1].children.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Node(tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)

    def close(self) -> None:
        super().close()
        assert self._open == [self.root]


@pytest.fixture(scope="session")
def parsed() -> Callable[[str], Node]:
    """Parses HTML, whole or a part; fails where an element is not closed in its place."""

    def parse(text: str) -> Node:
        tree = _Tree()
        tree.feed(text)
        tree.close()
        return tree.root

    return parse
