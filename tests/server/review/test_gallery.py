"""The gallery shows each cell once, under what it is taken for, the least certain first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, select

from leukolens.errors import Unfit
from leukolens.imaging.framing import Box
from leukolens.report.sample import counted_as
from leukolens.server.review.gallery import groups
from leukolens.server.review.labels import draw, label, strike
from leukolens.server.store.tables import Crop, Field


@pytest.fixture
def ids(bench: Any, cell: Callable[..., Any], smear: Callable[..., Any]) -> list[int]:
    cells = [
        cell("lymphocyte", 0.99, place=0),
        cell("lymphocyte", 0.91, place=1),
        cell("neutrophil", 0.97, place=2),
        cell("monocyte", 0.62, "review", place=3),
        cell("basophil", 0.31, "unknown", place=4),
        cell("other", 0.95, "unknown", place=5),
        cell("neutrophil", 0.93, place=11, at_edge=True),
    ]
    return bench.add(smear(1, cells))


def _groups(bench: Any, *given: Any, **named: Any) -> dict[str, list[Any]]:
    with bench.reading() as (session, sample):
        return {group.label: list(group.cells) for group in groups(session, sample, *given, **named)}


def _label(bench: Any, ids: list[int], key: str, who: str = "reader", **named: Any) -> None:
    with bench.writing() as (session, sample):
        label(session, getattr(bench.people, who), sample, ids, key, **named)


def test_the_unsure_come_first_then_the_classes_in_taxonomy_order(bench: Any, ids: list[int]) -> None:
    assert list(_groups(bench)) == ["unsure", "neutrophil", "lymphocyte", "other"]
    _label(bench, ids[:1], "smudge")
    _label(bench, ids[2:3], "blast")
    assert list(_groups(bench)) == ["unsure", "neutrophil", "lymphocyte", "other", "blast", "smudge"]


def test_in_each_class_the_least_certain_come_first(bench: Any, ids: list[int]) -> None:
    shown = _groups(bench)
    assert [cell.id for cell in shown["lymphocyte"]] == [ids[1], ids[0]]
    assert [cell.id for cell in shown["unsure"]] == [ids[4], ids[3]]
    assert [cell.probability for cell in shown["unsure"]] == [0.31, 0.62]


def test_a_cell_stands_where_it_is_counted(bench: Any, ids: list[int]) -> None:
    shown = {cell.id: key for key, cells in _groups(bench).items() for cell in cells}
    for number, found in zip(ids, bench.fields[0].cells, strict=True):
        place = counted_as(found, count_edges=True)
        assert shown[number] == {"not_leukocyte": "other"}.get(place, place)


def test_what_a_person_said_is_shown_and_marked(bench: Any, ids: list[int]) -> None:
    _label(bench, ids[3:5], "monocyte")
    cells = {cell.id: cell for cell in _groups(bench)["monocyte"]}
    assert [(cells[i].reviewed, cells[i].grouped, cells[i].machine) for i in ids[3:5]] == [
        (True, True, "unsure")
    ] * 2
    assert cells[ids[3]].probability == 0.62
    assert cells[ids[4]].probability == pytest.approx(0.69 / 6)
    assert cells[ids[4]].machine_class == "basophil"
    (neutrophil, _) = _groups(bench)["neutrophil"]
    assert not neutrophil.reviewed


@pytest.mark.parametrize(
    ("key", "probability"), [("band", 0.97), ("blast", 0.0), ("smudge", 0.03 / 6), ("unsure", 0.97)]
)
def test_a_class_of_the_reviewers_is_as_certain_as_what_it_is_a_form_of(
    bench: Any, ids: list[int], key: str, probability: float
) -> None:
    _label(bench, ids[2:3], key)
    (found,) = [cell for cell in _groups(bench)[key] if cell.id == ids[2]]
    assert found.probability == pytest.approx(probability)


def test_a_cell_at_the_edge_is_in_its_class_and_marked(bench: Any, ids: list[int]) -> None:
    assert [(cell.id, cell.at_edge) for cell in _groups(bench)["neutrophil"]] == [
        (ids[6], True),
        (ids[2], False),
    ]


def test_a_cell_says_where_it_is_and_why_it_was_so_named(bench: Any, ids: list[int]) -> None:
    cell = _groups(bench)["unsure"][1]
    found = bench.fields[0].cells[3]
    assert (cell.field, cell.box, cell.reason, cell.distance) == (1, found.box, found.reason, 3.0)


def test_cells_beyond_all_that_was_learned_are_marked_where_the_bundle_knows(
    bench: Any, ids: list[int]
) -> None:
    assert not any(cell.strange for cells in _groups(bench).values() for cell in cells)
    shown = _groups(bench, unlike_beyond=3.0)
    assert {cell.id for cells in shown.values() for cell in cells if cell.strange} == set(ids[4:])


def test_struck_out_cells_are_not_shown_and_drawn_ones_are_unsure_without_a_picture(
    bench: Any, ids: list[int]
) -> None:
    with bench.writing() as (session, sample):
        strike(session, bench.people.reader, sample, ids[3:5])
        field = session.scalars(select(Field)).one()
        drawn = draw(session, bench.people.reader, sample, field, Box(300, 300, 340, 340)).id
        session.add(Crop(cell_id=ids[0], jpeg=b"jpeg"))
    shown = _groups(bench)
    (only,) = shown["unsure"]
    assert (only.id, only.drawn, only.pictured, only.probability) == (drawn, True, False, 0.0)
    assert [(cell.id, cell.pictured) for cell in shown["lymphocyte"]] == [(ids[1], False), (ids[0], True)]


def test_a_reader_sees_own_answers_and_the_machines_and_the_third_what_counts(
    bench: Any, ids: list[int]
) -> None:
    bench.set(two_readers=True)
    _label(bench, ids[:1], "blast", turn=1)
    _label(bench, ids[:1], "reactive_lymphocyte", who="reviewer", turn=2)

    def seen(*turn: int) -> str:
        return next(key for key, cells in _groups(bench, *turn).items() if ids[0] in [c.id for c in cells])

    assert [seen(), seen(1), seen(2), seen(3), seen(0)] == [
        "blast",
        "blast",
        "reactive_lymphocyte",
        "blast",
        "lymphocyte",
    ]
    with pytest.raises(Unfit, match="no turn 4"):
        seen(4)


@contextmanager
def _counted(bench: Any) -> Iterator[list[str]]:
    said: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        said.append(statement)

    event.listen(bench.database.engine, "before_cursor_execute", note)
    yield said
    event.remove(bench.database.engine, "before_cursor_execute", note)


def test_the_database_is_asked_twice_however_many_cells_there_are(
    bench: Any, ids: list[int], cell: Callable[..., Any], smear: Callable[..., Any]
) -> None:
    bench.add(*(smear(n, [cell("neutrophil", place=place) for place in range(30)]) for n in range(2, 12)))
    with bench.reading() as (session, sample), _counted(bench) as said:
        found = groups(session, sample)
    assert len(said) == 2
    assert sum(len(group.cells) for group in found) == 307
