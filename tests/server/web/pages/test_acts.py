"""What a person does to cells: each act says what has changed, and one that cannot be leaves all as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from leukolens.server.store.tables import Act, Answer, Cell, TrailEntry

KEY, OTHER = "SAMPLE22", "ANQTHER2"
LARGEST = 2**31 - 1
ACTS: dict[str, dict[str, Any]] = {
    "label": {"label": "blast"}, "strike": {}, "undo": {}, "redo": {}, "draw": {"place": 1, "box": [9, 9, 50, 50]},
}  # fmt: skip


@pytest.fixture
def cells(shelf: Any) -> list[int]:
    """A neutrophil, a lymphocyte, one that the machine is unsure of, an eosinophil at the edge, and no leukocyte."""
    made: list[int] = shelf.add(KEY, "Jane Doe")
    return made


@pytest.fixture
def visit(browser: Any, cells: list[int]) -> Any:
    return browser().sign_in("reader")


@pytest.fixture
def act(post: Any) -> Callable[..., Any]:
    """Does something to the sample's cells as the page's script does."""
    return lambda visit, verb, key=KEY, **body: post(visit, f"/samples/{key}/{verb}", body)


def said(answer: Any) -> list[tuple[int, str | None, str]]:
    """What has changed, of an act that was done."""
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert set(found) == {"act", "changed"}
    assert (found["act"] is None) == (found["changed"] == [])
    assert all(set(one) == {"id", "label", "by"} for one in found["changed"])
    return [(one["id"], one["label"], one["by"]) for one in found["changed"]]


def done(shelf: Any) -> list[tuple[Any, ...]]:
    """All that acts leave behind."""
    trail = select(TrailEntry.id).where(TrailEntry.action.not_in(("create person", "sign in")))
    tables = (select(Answer.cell_id, Answer.label), select(Act.id, Act.undone), select(Cell.id, Cell.deleted))
    return [row for query in (*tables, trail) for row in shelf.rows(query)]


class TestLabel:
    @pytest.mark.parametrize("name", ["reader", "reviewer"])
    def test_one_cell(self, browser: Any, cells: list[int], act: Any, shelf: Any, name: str) -> None:
        answer = act(browser().sign_in(name), "label", cells=cells[:1], label="myelocyte")
        assert said(answer) == [(cells[0], "myelocyte", "person")]
        assert shelf.rows(select(Act.id, Act.kind)) == [(answer.json()["act"], "label")]
        assert shelf.rows(select(Answer.cell_id, Answer.label, Answer.grouped)) == [
            (cells[0], "myelocyte", False)
        ]

    def test_several_by_one_act_each_once(self, visit: Any, cells: list[int], act: Any, shelf: Any) -> None:
        answer = act(visit, "label", cells=[cells[1], cells[0], cells[1]], label="unsure")
        assert sorted(said(answer)) == [(cells[0], "unsure", "person"), (cells[1], "unsure", "person")]
        assert shelf.rows(select(Answer.grouped)) == [(True,), (True,)]

    def test_as_what_nobody_knows_is_refused(
        self, visit: Any, cells: list[int], act: Any, shelf: Any
    ) -> None:
        before = done(shelf)
        for label in (
            "",
            "Neutrophil",
            "no such",
            "neutrophil\0",
            "\ud800",
            "<b>",
            "x" * 41,
            None,
            1,
            ["blast"],
        ):
            answer = act(visit, "label", cells=cells, label=label)
            assert (label, answer.status_code) == (label, 422)
            assert set(answer.json()) == {"problem", "remedy"}
        assert done(shelf) == before


class TestStrikeUndoAndRedo:
    def test_a_struck_cell_has_no_label_any_more(self, visit: Any, cells: list[int], act: Any) -> None:
        assert said(act(visit, "strike", cells=cells[:2])) == [
            (cells[0], None, "machine"),
            (cells[1], None, "machine"),
        ]
        for verb, body in (("label", {"label": "blast"}), ("strike", {})):
            answer = act(visit, verb, cells=cells[:1], **body)
            assert answer.status_code == 409
            assert answer.json() == {
                "problem": f"cell {cells[0]} was struck out",
                "remedy": "Load the page again",
            }

    def test_undo_and_redo_go_back_and_forth_without_end(
        self, visit: Any, cells: list[int], act: Any
    ) -> None:
        act(visit, "label", cells=[cells[2]], label="band")
        act(visit, "label", cells=[cells[2]], label="blast")
        act(visit, "strike", cells=[cells[2]])
        back = [("blast", "person"), ("band", "person"), ("unsure", "machine")]
        forth = [("band", "person"), ("blast", "person"), (None, "person")]
        for _ in range(2):
            assert [said(act(visit, "undo")) for _ in back] == [[(cells[2], *one)] for one in back]
            assert said(act(visit, "undo")) == []
            assert [said(act(visit, "redo")) for _ in forth] == [[(cells[2], *one)] for one in forth]
            assert said(act(visit, "redo")) == []

    def test_each_person_undoes_only_the_own_acts_and_none_of_anothers_over_them(
        self, visit: Any, browser: Any, cells: list[int], act: Any
    ) -> None:
        other = browser().sign_in("reviewer")
        act(visit, "label", cells=cells[:1], label="band")
        assert said(act(other, "undo")) == []
        act(other, "label", cells=cells[:1], label="blast")
        answer = act(visit, "undo")
        assert answer.status_code == 409
        assert answer.json()["problem"] == f"cell {cells[0]} has been changed by another person since"
        assert said(act(other, "undo")) == [(cells[0], "band", "person")]
        assert said(act(visit, "undo")) == [(cells[0], "neutrophil", "machine")]


class TestDraw:
    def test_a_drawn_cell_is_unsure_and_the_worker_is_woken_once_its_job_is_kept(
        self, visit: Any, cells: list[int], act: Any, shelf: Any, worker: Any
    ) -> None:
        answer = act(visit, "draw", place=1, box=[200, 100, 240, 140])
        ((cell, label, by),) = said(answer)
        assert (label, by) == ("unsure", "machine")
        assert cell not in cells
        assert worker.woken == [1]
        box = select(Cell.x0, Cell.y0, Cell.x1, Cell.y1).where(Cell.id == cell)
        assert shelf.rows(box) == [(200, 100, 240, 140)]
        undone = act(visit, "undo")
        assert said(undone) == [(cell, None, "machine")]
        assert undone.json()["act"] == answer.json()["act"]

    def test_a_box_that_is_none_is_refused(self, visit: Any, act: Any, shelf: Any, worker: Any) -> None:
        boxes: list[Any] = [
            [9, 9, 10, 10], [50, 50, 9, 9], [300, 9, 330, 50], [-5, 9, 50, 50], [0, 0, 2**63, 2**63], [1, 2, 3],
            [-(2**70), -(2**70), 2**70, 2**70], ["a", 9, 50, 50], [1.5, 9, 50, 50], None, {}, [9, 9, 50, 50, 50],
        ]  # fmt: skip
        before = done(shelf)
        for box in boxes:
            assert (box, act(visit, "draw", place=1, box=box).status_code) == (box, 422)
        assert done(shelf) == before
        assert worker.woken == []

    def test_only_in_a_field_that_was_read(self, visit: Any, act: Any, shelf: Any, picture: Any) -> None:
        shelf.field(KEY, picture("PNG", seed=3), "waiting")
        shelf.field(KEY, picture("PNG", seed=4), "failed", "is damaged")
        tried = {place: act(visit, "draw", place=place, box=[9, 9, 50, 50]) for place in (3, 4, 5, LARGEST)}
        assert [answer.status_code for answer in tried.values()] == [409, 422, 404, 404]
        for place in (0, -1, 2**31, 2**63, "x", None):
            assert act(visit, "draw", place=place, box=[9, 9, 50, 50]).status_code == 422


class TestWhatCannotBe:
    def test_a_signed_sample_is_left_as_it_is_and_says_so_in_the_readers_language(
        self, visit: Any, browser: Any, cells: list[int], act: Any, shelf: Any
    ) -> None:
        act(visit, "label", cells=cells[:1], label="band")
        signer = browser().sign_in("reviewer")
        assert signer.send_own(f"/samples/{KEY}/sign", accept_unsure="yes").status_code == 303
        before = done(shelf)
        for verb, body in ACTS.items():
            for language, begins in (("en", "This sample is signed"), ("de", "Diese Probe ist signiert")):
                visit.cookies.set("language", language)
                answer = act(visit, verb, cells=cells[:1], **body)
                assert answer.status_code == 409
                found = answer.json()
                assert set(found) == {"problem", "remedy"}
                assert found["problem"].startswith(begins)
                assert found["remedy"]
                assert not found["problem"].endswith(".")
        assert done(shelf) == before

    @pytest.mark.parametrize("verb", ["label", "strike"])
    def test_a_cell_of_another_sample_is_not_found_even_among_own_ones(
        self, visit: Any, cells: list[int], act: Any, shelf: Any, verb: str
    ) -> None:
        alien = shelf.add(OTHER, "John Roe")[0]
        before = done(shelf)
        answer = act(visit, verb, cells=[*cells, alien], **ACTS[verb])
        assert answer.status_code == 404
        assert "Roe" not in answer.text
        assert done(shelf) == before

    @pytest.mark.parametrize("verb", ["label", "strike"])
    def test_a_cell_that_cannot_be_is_not_found(
        self, visit: Any, cells: list[int], act: Any, verb: str
    ) -> None:
        for cell in (2**63, 2**31, 10**40, 0, -1, -(2**63) - 1, LARGEST):
            answer = act(visit, verb, cells=[cells[0], cell], **ACTS[verb])
            assert (cell, answer.status_code) == (cell, 404)

    def test_what_is_no_act_is_refused(self, visit: Any, post: Any, shelf: Any) -> None:
        before = done(shelf)
        inner = (
            '"abc"',
            "[]",
            '["abc"]',
            "[1.5]",
            "[null]",
            "[1e999]",
            "[NaN]",
            '{"1": 1}',
            f"[{'1,' * 20_000}1]",
        )
        broken = (b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000)
        for sent in (*broken, *(b'{"cells": %b}' % one.encode() for one in inner)):
            answer = post(visit, f"/samples/{KEY}/strike", content=sent)
            assert answer.status_code in {400, 422}, sent[:30]
            assert set(answer.json()) == {"problem", "remedy"}
        assert done(shelf) == before

    def test_where_two_persons_read_nobody_names_before_the_own_reading_is_begun_or_after_it_is_ended(
        self, visit: Any, act: Any, shelf: Any
    ) -> None:
        ids = shelf.add(OTHER, "John Roe", two_readers=True)
        for verb, body in ACTS.items():
            answer = act(visit, verb, OTHER, cells=ids[:1], **body)
            assert (answer.status_code, answer.json()["remedy"]) == (409, "Load the page again")
            assert "Begin your reading" in answer.json()["problem"]
        visit.send_own(f"/samples/{OTHER}/turns/begin", turn=2)
        assert said(act(visit, "label", OTHER, cells=ids[:1], label="band")) == [(ids[0], "band", "person")]
        assert shelf.rows(select(Answer.turn)) == [(2,)]
        visit.send_own(f"/samples/{OTHER}/turns/end", turn=2)
        answer = act(visit, "label", OTHER, cells=ids[:1], label="blast")
        assert (answer.status_code, "ended" in answer.json()["problem"]) == (409, True)
