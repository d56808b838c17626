"""The list of cells shows of each what the gallery does, and is turned without a gap."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from leukolens.imaging.framing import Box
from leukolens.server.review import gallery, listing
from leukolens.server.review.labels import draw, label, strike
from leukolens.server.review.shown import SEEN
from leukolens.server.store.tables import Cell, Field
from leukolens.taxonomy import ALL_CLASSES, CLASS_KEYS, UNSURE

DECISIONS = ("accept", "review", "unknown", None)


@pytest.fixture
def ids(bench: Any, cell: Any, smear: Any) -> list[int]:
    """Of cells of every class that the machine can answer, with every decision, and one drawn."""
    kinds = list(product(CLASS_KEYS, DECISIONS))
    cells = [cell(key, 0.6, decision or "review", place=at) for at, (key, decision) in enumerate(kinds)]
    made = bench.add(smear(1, cells))
    with bench.writing() as (session, sample):
        for number in made:
            row = session.get_one(Cell, number)
            at = int(row.distance)
            row.decision = kinds[at][1]
        row = session.query(Field).one()
        made.append(draw(session, bench.people.reader, sample, row, Box(600, 400, 630, 430)).id)
    return made


def shown(bench: Any, turn: int = 1, **asked: Any) -> dict[int, str]:
    with bench.reading() as (session, sample):
        return {one.id: one.label for one in listing.listed(session, sample, turn, limit=500, **asked)}


def in_the_gallery(bench: Any, turn: int = 1) -> dict[int, str]:
    with bench.reading() as (session, sample):
        return {
            cell.id: group.label for group in gallery.groups(session, sample, turn) for cell in group.cells
        }


@pytest.mark.parametrize("turn", SEEN)
def test_each_is_shown_as_in_the_gallery(bench: Any, ids: list[int], turn: int) -> None:
    with bench.writing() as (session, sample):
        label(session, bench.people.reader, sample, ids[:3], "band")
        label(session, bench.people.reader, sample, ids[5:6], UNSURE)
        strike(session, bench.people.reader, sample, ids[7:8])
    found = shown(bench, turn)
    assert found == in_the_gallery(bench, turn)
    assert (ids[0] in found, ids[7] in found) == (True, False)
    for key in (UNSURE, *(kind.key for kind in ALL_CLASSES)):
        wanted = {number for number, said in found.items() if said == key}
        assert set(shown(bench, turn, label=key)) == wanted, key
    assert list(found) == sorted(found)


def test_a_page_goes_on_after_the_one_before(bench: Any, ids: list[int]) -> None:
    with bench.reading() as (session, sample):
        first = listing.listed(session, sample, 1, limit=4)
        then = listing.listed(session, sample, 1, after_id=first[-1].id, limit=500)
        assert [one.id for one in (*first, *then)] == sorted(ids)
        (one,) = listing.listed(session, sample, 1, only=ids[-1])
        assert (one.drawn, one.machine, one.label, one.reviewed) == (True, None, UNSURE, False)
        assert listing.listed(session, sample, 1, field=2) == []
        assert len(listing.listed(session, sample, 1, limit=0)) == 1
