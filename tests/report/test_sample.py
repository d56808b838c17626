"""A cell goes into the tally where a person says, and where the machine does as long as nobody has."""

from __future__ import annotations

from pathlib import Path

import pytest

from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, Decision, FieldReading
from leukolens.report.sample import counted_as, tally, tally_cells
from leukolens.taxonomy import ALL_CLASSES, CLASS_KEYS

KNOWN = ("neutrophil", "lymphocyte", "other")


def made(
    key: str = "neutrophil", decision: Decision = "accept", said: str | None = None, *, at_edge: bool = False
) -> Cell:
    chances = {other: 0.9 if other == key else 0.05 for other in KNOWN}
    return Cell(Box(0, 0, 9, 9), chances, decision, "", at_edge, reviewed=said)


def drawn(said: str | None) -> Cell:
    return Cell(Box(0, 0, 9, 9), {}, "review", "", reviewed=said)


def counted(*cells: Cell, **named: int) -> object:
    field = FieldReading(Path("a.png"), "ok", None, "0" * 64, 99, 99, cells)
    return tally([field], KNOWN, **named)


@pytest.mark.parametrize(
    ("cell", "place"),
    [
        (made(), "neutrophil"),
        (made(decision="review"), "unsure"),
        (made("other", "unknown"), "not_leukocyte"),
        (made(at_edge=True), "at_edge"),
    ],
)
def test_where_nobody_has_looked_the_machine_decides(cell: Cell, place: str) -> None:
    assert counted_as(cell) == place


@pytest.mark.parametrize("kind", ALL_CLASSES, ids=lambda kind: kind.key)
@pytest.mark.parametrize(
    "cell", [made(), made(decision="review"), made("other", "unknown"), drawn(None)], ids=str
)
def test_what_a_person_says_goes_before_it(cell: Cell, kind: object) -> None:
    import dataclasses

    said = dataclasses.replace(cell, reviewed=kind.key)  # type: ignore[attr-defined]
    expected = kind.key if kind.leukocyte else "not_leukocyte"  # type: ignore[attr-defined]
    assert counted_as(said) == expected


def test_a_person_may_be_unsure_of_what_the_machine_was_sure_of() -> None:
    assert counted_as(made(said="unsure")) == "unsure"


def test_a_drawn_cell_is_unsure_until_it_is_named() -> None:
    assert counted_as(drawn(None)) == counted_as(drawn("unsure")) == "unsure"


def test_a_reviewed_cell_at_the_edge_is_left_out_unless_edges_count() -> None:
    cell = made(said="band", at_edge=True)
    assert (counted_as(cell), counted_as(cell, count_edges=True)) == ("at_edge", "band")


def test_reviewed_classes_have_rows_after_the_machines_where_there_is_a_cell_of_them() -> None:
    found = counted(made(), made(said="smudge"), made(said="band"), drawn("band"), made(said="blast"))
    assert list(found.counts.items()) == [  # type: ignore[attr-defined]
        ("neutrophil", 1),
        ("lymphocyte", 0),
        ("blast", 1),
        ("band", 2),
    ]
    assert found.not_leukocyte == 1  # type: ignore[attr-defined]
    assert found.denominator == 4  # type: ignore[attr-defined]


def test_a_class_of_the_machines_that_the_bundle_does_not_know_takes_its_place_among_them() -> None:
    assert list(counted(made(said="eosinophil")).counts) == [  # type: ignore[attr-defined]
        "neutrophil",
        "eosinophil",
        "lymphocyte",
    ]


def test_nucleated_red_cells_are_no_leukocytes_and_counted_for_themselves() -> None:
    cells = (made(), made(said="nucleated_red_cell"), made(said="nucleated_red_cell", at_edge=True))
    found = counted(*cells)
    assert (found.not_leukocyte, found.nucleated_red_cells) == (1, 1)  # type: ignore[attr-defined]
    assert counted(made()).nucleated_red_cells is None  # type: ignore[attr-defined]


def test_what_a_person_counted_along_the_way_goes_before_what_was_found() -> None:
    found = counted(made(said="nucleated_red_cell"), nucleated_red_cells=7)
    assert found.nucleated_red_cells == 7  # type: ignore[attr-defined]


def test_every_blast_is_known_of_those_at_an_edge_too() -> None:
    found = counted(made(said="blast"), made(said="blast", at_edge=True), drawn("blast"))
    assert (found.blasts, found.counts["blast"]) == (3, 2)  # type: ignore[attr-defined]


def test_a_cell_may_stand_for_many() -> None:
    cells = [(made(), 3), (made(said="blast"), 2), (made(said="nucleated_red_cell"), 4), (drawn(None), 5)]
    found = tally_cells(cells, CLASS_KEYS)
    assert (found.counts["neutrophil"], found.counts["blast"], found.blasts) == (3, 2, 2)
    assert (found.unsure, found.not_leukocyte, found.nucleated_red_cells) == (5, 4, 4)
