"""Cells are named, struck out and drawn by acts that can each be seen in the trail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from leukolens.errors import Conflict, Missing, Refused, Unfit
from leukolens.imaging.framing import Box
from leukolens.server.actor import SERVER, Actor
from leukolens.server.review import labels
from leukolens.server.store.tables import Act, Answer, Cell, Crop, Field, Job, Sample


@pytest.fixture
def ids(bench: Any, cell: Callable[..., Any], smear: Callable[..., Any]) -> list[int]:
    """A neutrophil, a lymphocyte and an unsure monocyte of one field."""
    cells = [
        cell("neutrophil", place=0),
        cell("lymphocyte", place=1),
        cell("monocyte", 0.6, "review", place=2),
    ]
    return bench.add(smear(1, cells))


def test_one_cell_is_named_with_who_and_when(bench: Any, ids: list[int]) -> None:
    with bench.writing() as (session, sample):
        labels.label(session, bench.people.reader, sample, ids[:1], "band")
    with bench.reading() as (session, _):
        answer = session.get_one(Answer, (ids[0], 1))
        assert (answer.label, answer.user_id) == ("band", bench.people.reader.user_id)
        assert (answer.grouped, answer.blind) == (False, False)
        assert session.scalars(select(Act.kind)).all() == ["label"]


def test_several_cells_at_once_are_marked_as_a_group_and_one_cell_named_later_is_not(
    bench: Any, ids: list[int]
) -> None:
    with bench.writing() as (session, sample):
        labels.label(session, bench.people.reader, sample, ids, "eosinophil")
    with bench.writing() as (session, sample):
        labels.label(session, bench.people.reader, sample, [ids[0]], "neutrophil")
    with bench.reading() as (session, _):
        told = session.execute(select(Answer.grouped, Answer.blind).order_by(Answer.cell_id)).all()
    assert list(map(tuple, told)) == [(False, False), (True, False), (True, False)]


def test_a_cell_given_twice_is_one(bench: Any, ids: list[int]) -> None:
    with bench.writing() as (session, sample):
        act = labels.label(session, bench.people.reader, sample, [ids[0], ids[0]], "blast")
    assert len(act.changes) == 1
    with bench.reading() as (session, _):
        assert not session.get_one(Answer, (ids[0], 1)).grouped


def test_the_trail_has_one_entry_a_call_with_every_cell_before_and_after(bench: Any, ids: list[int]) -> None:
    with bench.writing() as (session, sample):
        labels.label(session, bench.people.reader, sample, ids[:1], "band")
    with bench.writing() as (session, sample):
        labels.label(session, bench.people.reviewer, sample, ids[:2], "unsure")
    first, second = bench.trail()
    assert first.before == {"turn": 1, "cells": {str(ids[0]): None}}
    assert first.after == {"turn": 1, "cells": {str(ids[0]): "band"}}
    assert second.before == {"turn": 1, "cells": {str(ids[0]): "band", str(ids[1]): None}}
    assert second.after == {"turn": 1, "cells": dict.fromkeys(map(str, ids[:2]), "unsure")}
    assert [(entry.actor, entry.action, entry.subject) for entry in (first, second)] == [
        ("reader", "label", "sample SAMPLE22"),
        ("reviewer", "label", "sample SAMPLE22"),
    ]


@pytest.mark.parametrize("label", ["", "Neutrophil", "at_edge", "not_leukocyte"])
def test_a_word_that_is_no_class_is_not_taken(bench: Any, ids: list[int], label: str) -> None:
    with pytest.raises(Unfit, match="no cell class"), bench.writing() as (session, sample):
        labels.label(session, bench.people.reader, sample, ids, label)
    assert bench.answers() == {}


def test_no_cell_is_no_act(bench: Any, ids: list[int]) -> None:
    for act in (labels.strike, lambda *given: labels.label(*given, "band")):
        with pytest.raises(Unfit, match="no cell"), bench.writing() as (session, sample):
            act(session, bench.people.reader, sample, [])


def test_another_samples_cell_cannot_be_named_and_nothing_of_the_call_is_kept(
    bench: Any, ids: list[int]
) -> None:
    with bench.writing() as (session, sample):
        other = Sample(key="OTHER222", bundle_sha256=sample.bundle_sha256)
        session.add(other)
        session.flush()
        field = Field(sample_id=other.id, image_sha256=f"{1:064x}", place=1, state="ok")
        session.add(field)
        session.flush()
        alien = Cell(sample_id=other.id, field_id=field.id, x0=0, y0=0, x1=9, y1=9)
        session.add(alien)
    with pytest.raises(Missing, match=f"cell {alien.id}"), bench.writing() as (session, sample):
        labels.label(session, bench.people.reader, sample, [ids[0], alien.id], "band")
    with pytest.raises(Missing), bench.writing() as (session, sample):
        labels.strike(session, bench.people.reader, sample, [alien.id])
    assert bench.answers() == {}
    assert bench.trail() == []


def test_a_signed_sample_takes_nothing(bench: Any, ids: list[int]) -> None:
    with bench.writing() as (session, sample):
        labels.label(session, bench.people.reader, sample, ids[:1], "band")
    bench.set(state="signed")
    reader = bench.people.reader
    calls: list[Callable[..., Any]] = [
        lambda *given: labels.label(*given, ids, "band"),
        lambda *given: labels.strike(*given, ids),
        lambda session, actor, sample: labels.draw(
            session, actor, sample, session.scalars(select(Field)).one(), Box(9, 9, 40, 40)
        ),
        labels.undo,
        labels.redo,
    ]
    for call in calls:
        with pytest.raises(Conflict, match="signed"), bench.writing() as (session, sample):
            call(session, reader, sample)
    assert bench.answers() == {ids[0]: "band"}


def test_the_server_itself_and_tokens_without_the_scope_name_no_cells(bench: Any, ids: list[int]) -> None:
    token = Actor(bench.people.reader.user_id, "reader", "reader", frozenset({"samples:write"}))
    for actor in (SERVER, token):
        with pytest.raises(Refused), bench.writing() as (session, sample):
            labels.label(session, actor, sample, ids, "band")


def test_what_is_struck_out_stays_in_the_table_and_can_be_named_no_more(bench: Any, ids: list[int]) -> None:
    with bench.writing() as (session, sample):
        labels.strike(session, bench.people.reader, sample, ids[:2])
    with bench.reading() as (session, _):
        assert session.scalars(select(Cell.deleted).order_by(Cell.id)).all() == [True, True, False]
    (entry,) = bench.trail()
    assert entry.action == "delete"
    assert entry.after == {"deleted": dict.fromkeys(map(str, ids[:2]), True)}
    for call in (labels.strike, lambda *given: labels.label(*given, "band")):
        with pytest.raises(Conflict, match="struck out"), bench.writing() as (session, sample):
            call(session, bench.people.reader, sample, ids[1:])


def _draw(bench: Any, box: Box) -> Cell:
    with bench.writing() as (session, sample):
        return labels.draw(session, bench.people.reader, sample, session.scalars(select(Field)).one(), box)


def test_a_drawn_cell_is_a_cell_without_a_machines_answer_whose_picture_is_a_job(
    bench: Any, ids: list[int]
) -> None:
    drawn = _draw(bench, Box(100, 200, 140, 244))
    with bench.reading() as (session, _):
        cell = session.get_one(Cell, drawn.id)
        assert (cell.drawn_by, cell.machine_class, cell.decision) == (bench.people.reader.user_id, None, None)
        assert (cell.x0, cell.y0, cell.x1, cell.y1, cell.at_edge) == (100, 200, 140, 244, False)
        assert session.get(Crop, drawn.id) is None
        job = session.scalars(select(Job)).one()
        assert (job.kind, job.field_id, job.request) == ("crop", cell.field_id, {"cell": drawn.id})
    (entry,) = bench.trail()
    assert entry.after == {"cell": drawn.id, "field": 1, "box": [100, 200, 140, 244]}


@pytest.mark.parametrize(
    ("box", "at_edge"),
    [
        (Box(2, 200, 42, 240), False),
        (Box(1, 200, 41, 240), True),
        (Box(600, 200, 638, 240), False),
        (Box(600, 200, 639, 240), True),
        (Box(100, 0, 140, 40), True),
        (Box(100, 440, 140, 479), True),
    ],
)
def test_a_drawn_cell_that_touches_the_edge_is_cut_by_it(
    bench: Any, ids: list[int], box: Box, at_edge: bool
) -> None:
    assert _draw(bench, box).at_edge is at_edge


@pytest.mark.parametrize(
    "box",
    [
        Box(10, 10, 13, 40),
        Box(10, 10, 40, 13),
        Box(40, 40, 10, 10),
        Box(-1, 10, 40, 40),
        Box(10, -1, 40, 40),
        Box(600, 10, 641, 40),
        Box(10, 440, 40, 481),
    ],
)
def test_a_cell_is_drawn_inside_the_field_four_pixels_wide_at_least(
    bench: Any, ids: list[int], box: Box
) -> None:
    with pytest.raises(Unfit, match="pixels"):
        _draw(bench, box)
    with bench.reading() as (session, _):
        assert len(session.scalars(select(Cell)).all()) == len(ids)


def test_the_smallest_cell_and_the_whole_field_can_be_drawn(bench: Any, ids: list[int]) -> None:
    assert _draw(bench, Box(10, 10, 14, 14)).id
    assert _draw(bench, Box(0, 0, 640, 480)).at_edge


@pytest.mark.parametrize(("state", "error"), [("waiting", Conflict), ("failed", Unfit)])
def test_nothing_is_drawn_in_a_field_that_was_not_read(
    bench: Any, ids: list[int], state: str, error: type[Exception]
) -> None:
    with bench.writing() as (session, _):
        session.scalars(select(Field)).one().state = state
    with pytest.raises(error):
        _draw(bench, Box(10, 10, 40, 40))
