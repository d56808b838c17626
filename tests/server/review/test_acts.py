"""Whatever a person did to cells can be undone and done again, as long as nobody else has been there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from leukolens.errors import Conflict
from leukolens.imaging.framing import Box
from leukolens.server.review.labels import draw, label, redo, strike, undo
from leukolens.server.store import trail
from leukolens.server.store.database import Database
from leukolens.server.store.tables import Answer, Cell, Field


@pytest.fixture
def ids(bench: Any, cell: Callable[..., Any], smear: Callable[..., Any]) -> list[int]:
    return bench.add(smear(1, [cell("neutrophil", place=place) for place in range(4)]))


def _do(bench: Any, act: Callable[..., Any], *given: Any, who: str = "reader") -> Any:
    with bench.writing() as (session, sample):
        return act(session, getattr(bench.people, who), sample, *given)


def _struck(bench: Any) -> list[int]:
    with bench.reading() as (session, _):
        return list(session.scalars(select(Cell.id).where(Cell.deleted).order_by(Cell.id)))


def test_acts_are_undone_from_the_last_to_the_first_and_done_again_in_their_order(
    bench: Any, ids: list[int]
) -> None:
    _do(bench, label, ids[:2], "band")
    _do(bench, label, ids[1:3], "blast")
    _do(bench, strike, ids[3:])
    seen = [(bench.answers(), _struck(bench))]
    while _do(bench, undo) is not None:
        seen.append((bench.answers(), _struck(bench)))
    assert seen == [
        ({ids[0]: "band", ids[1]: "blast", ids[2]: "blast"}, [ids[3]]),
        ({ids[0]: "band", ids[1]: "blast", ids[2]: "blast"}, []),
        ({ids[0]: "band", ids[1]: "band"}, []),
        ({}, []),
    ]
    again = [seen[-1]]
    while _do(bench, redo) is not None:
        again.append((bench.answers(), _struck(bench)))
    assert again == seen[::-1]


def test_undoing_gives_back_the_answer_as_it_was_with_whose_it_was_and_when(
    bench: Any, ids: list[int]
) -> None:
    def row() -> tuple[Any, ...]:
        with bench.reading() as (session, _):
            answer = session.get_one(Answer, (ids[0], 1))
            return answer.label, answer.user_id, answer.at, answer.grouped, answer.blind

    _do(bench, label, ids[:2], "band", who="reviewer")
    before = row()
    _do(bench, label, ids[:1], "monocyte")
    assert row() != before
    _do(bench, undo)
    assert row() == before


def test_a_new_act_leaves_nothing_to_do_again_and_older_acts_to_undo(bench: Any, ids: list[int]) -> None:
    _do(bench, label, ids[:1], "band")
    _do(bench, label, ids[:1], "blast")
    _do(bench, undo)
    _do(bench, label, ids[1:2], "smudge")
    assert _do(bench, redo) is None
    _do(bench, undo)
    assert bench.answers() == {ids[0]: "band"}
    _do(bench, undo)
    assert bench.answers() == {}
    assert _do(bench, undo) is None


def test_what_was_done_can_be_undone_after_the_server_was_started_again(bench: Any, ids: list[int]) -> None:
    _do(bench, label, ids, "band")
    url = bench.database.engine.url
    bench.database.close()
    bench.database = Database(url.render_as_string(hide_password=False))
    _do(bench, undo)
    assert bench.answers() == {}
    bench.database.close()


def test_each_person_undoes_own_acts_alone(bench: Any, ids: list[int]) -> None:
    _do(bench, label, ids[:1], "band")
    _do(bench, label, ids[1:2], "blast", who="reviewer")
    _do(bench, undo)
    assert bench.answers() == {ids[1]: "blast"}
    assert _do(bench, undo) is None


def test_what_another_person_has_changed_since_stays(bench: Any, ids: list[int]) -> None:
    _do(bench, label, ids, "band")
    _do(bench, label, ids[2:3], "band", who="reviewer")  # the same word, but another's
    with pytest.raises(Conflict, match=f"cell {ids[2]}"):
        _do(bench, undo)
    assert bench.answers() == dict.fromkeys(ids, "band")
    _do(bench, undo, who="reviewer")
    _do(bench, undo)
    assert bench.answers() == {}


def test_what_another_person_has_changed_since_is_not_done_again_either(bench: Any, ids: list[int]) -> None:
    _do(bench, label, ids[:1], "band")
    _do(bench, undo)
    _do(bench, label, ids[:1], "blast", who="reviewer")
    with pytest.raises(Conflict, match=f"cell {ids[0]}"):
        _do(bench, redo)
    assert bench.answers() == {ids[0]: "blast"}


def test_a_cell_that_another_person_has_struck_out_is_not_renamed_by_undoing(
    bench: Any, ids: list[int]
) -> None:
    _do(bench, label, ids[:1], "band")
    _do(bench, strike, ids[:1], who="reviewer")
    with pytest.raises(Conflict, match=f"cell {ids[0]}"):
        _do(bench, undo)


def _drawn(bench: Any) -> int:
    with bench.writing() as (session, sample):
        field = session.scalars(select(Field)).one()
        return draw(session, bench.people.reader, sample, field, Box(300, 300, 340, 340)).id


def test_a_drawn_cell_goes_and_comes_back(bench: Any, ids: list[int]) -> None:
    drawn = _drawn(bench)
    _do(bench, undo)
    assert _struck(bench) == [drawn]
    _do(bench, redo)
    assert _struck(bench) == []


def test_a_drawn_cell_that_another_person_has_named_stays(bench: Any, ids: list[int]) -> None:
    drawn = _drawn(bench)
    _do(bench, label, [drawn], "monocyte", who="reviewer")
    with pytest.raises(Conflict, match=f"cell {drawn}"):
        _do(bench, undo)
    assert _struck(bench) == []


def test_a_find_that_was_struck_out_cannot_be_given_back_twice(bench: Any, ids: list[int]) -> None:
    _do(bench, strike, ids[:1])
    with bench.writing() as (session, _):
        session.get_one(Cell, ids[0]).deleted = False
    with pytest.raises(Conflict):
        _do(bench, undo)


def test_the_trail_tells_of_undoing_too_and_holds(bench: Any, ids: list[int]) -> None:
    _do(bench, label, ids[:1], "band")
    _do(bench, undo)
    _do(bench, redo)
    _do(bench, strike, ids[1:2])
    _do(bench, undo)
    entries = bench.trail()
    assert [entry.action for entry in entries] == ["label", "undo", "redo", "delete", "undo"]
    key = str(ids[0])
    assert (entries[1].before, entries[1].after) == (
        {"turn": 1, "cells": {key: "band"}},
        {"turn": 1, "cells": {key: None}},
    )
    assert (entries[2].before, entries[2].after) == (entries[1].after, entries[1].before)
    assert entries[4].after == {"deleted": {str(ids[1]): False}}
    with bench.reading() as (session, _):
        assert trail.verify(session).problems == ()


def test_two_thousand_cells_are_one_act(
    bench: Any, cell: Callable[..., Any], smear: Callable[..., Any]
) -> None:
    many = bench.add(
        *(smear(n, [cell("neutrophil", place=place) for place in range(70)]) for n in range(2, 31))
    )
    assert len(many) > 2000
    _do(bench, label, many, "band")
    assert bench.answers() == dict.fromkeys(many, "band")
    _do(bench, undo)
    assert bench.answers() == {}
