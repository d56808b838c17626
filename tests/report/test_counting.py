"""Counts are corrected by the machine's confusion as long as the machine alone named what is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from leukolens.bundle import Bundle
from leukolens.card import Card
from leukolens.differential.confusion import Confusion
from leukolens.differential.ranges import load_ranges
from leukolens.report.counting import Asked, confusion_for, counted_report, settings
from leukolens.report.sample import SampleReport
from leukolens.taxonomy import CLASS_KEYS


@pytest.fixture
def card(make_bundle: Callable[..., Bundle]) -> Card:
    rows = tuple(tuple(20.0 * (row == column) for column in range(8)) for row in range(7))
    confusion = Confusion(classes=CLASS_KEYS, answers=rows, groups=(20,) * 7)
    return make_bundle().card.model_copy(update={"classes": list(CLASS_KEYS), "confusion": confusion})


def test_a_count_of_the_machines_is_corrected(smear: SampleReport, card: Card) -> None:
    cells = [cell for field in smear.fields for cell in field.cells]
    assert confusion_for(cells, card) is card.confusion


@pytest.mark.parametrize("said", ["band", "neutrophil", "unsure"])
def test_it_is_not_as_soon_as_a_person_named_one_of_its_cells(
    smear: SampleReport, card: Card, said: str
) -> None:
    cells = [cell for field in smear.fields for cell in field.cells if not cell.at_edge]
    cells[0] = replace(cells[0], reviewed=said)
    assert confusion_for(cells, card) is None


def test_nor_where_a_person_drew_one(smear: SampleReport, card: Card) -> None:
    (first, *_) = [cell for field in smear.fields for cell in field.cells if not cell.at_edge]
    assert confusion_for([replace(first, probabilities={})], card) is None


def test_a_cell_that_is_not_counted_changes_nothing(smear: SampleReport, card: Card) -> None:
    (first, *_) = [cell for field in smear.fields for cell in field.cells]
    cut = replace(first, at_edge=True, reviewed="blast")
    assert confusion_for([cut], card) is card.confusion
    assert confusion_for([cut], card, count_edges=True) is None


def test_a_report_of_reviewed_cells_has_the_blasts_and_no_correction(smear: SampleReport, card: Card) -> None:
    def report(*reviewed: str) -> SampleReport:
        fields = [
            replace(
                field,
                cells=tuple(replace(cell, reviewed=key) for cell in field.cells for key in reviewed)
                or field.cells,
            )
            for field in smear.fields
        ]
        ranges = load_ranges().for_person(None, None)
        return counted_report("a", fields, card=card, origin=smear.origin, ranges=ranges, asked=Asked())

    assert report().differential.confusion_from == card.confusion.source  # type: ignore[union-attr]
    assert any(row.corrected for row in report().differential.classes)
    named = report("blast")
    assert next(flag.key for flag in named.flags) == "blasts"
    assert not any(row.corrected for row in named.differential.classes)
    assert named.differential.classes[-1].share.percent == 100


def test_what_was_asked_for_is_told_in_words() -> None:
    assert settings(Asked()) == (("cells at an edge", "left out"), ("reference ranges", "as shipped"))
    assert ("white cell count", "7.5 x 10^9/L") in settings(Asked(white_count=7.5))
