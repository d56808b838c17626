"""Two readers do not see each other's answers, and a third settles where they differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from leukolens.errors import Conflict, Refused
from leukolens.server.actor import SERVER
from leukolens.server.review import counted, turns
from leukolens.server.review.labels import label, redo, strike, undo
from leukolens.taxonomy import CLASS_KEYS


@pytest.fixture
def ids(bench: Any, cell: Callable[..., Any], smear: Callable[..., Any]) -> list[int]:
    bench.set(two_readers=True)
    cells = [cell("neutrophil", place=place) for place in range(4)]
    cells += [cell("lymphocyte", place=4), cell("monocyte", 0.6, "review", place=5)]
    return bench.add(smear(1, [*cells, cell("lymphocyte", place=11, at_edge=True)]))


def _do(bench: Any, act: Callable[..., Any], *given: Any, who: str = "reader", **named: Any) -> Any:
    with bench.writing() as (session, sample):
        return act(session, getattr(bench.people, who), sample, *given, **named)


def _ask(bench: Any, what: Callable[..., Any]) -> Any:
    with bench.reading() as (session, sample):
        return what(session, sample)


def _seen(bench: Any, who: str) -> int:
    with bench.reading() as (session, sample):
        return turns.seen_by(session, getattr(bench.people, who), sample)


def _both_read(bench: Any, ids: list[int]) -> None:
    """They agree that the first cell is a band, and differ over the second and the unsure one."""
    _do(bench, label, ids[:2], "band", turn=1)
    _do(bench, label, ids[:1], "band", who="reviewer", turn=2)
    _do(bench, label, ids[5:6], "monocyte", who="reviewer", turn=2)
    _do(bench, turns.done, 1)
    _do(bench, turns.done, 2, who="reviewer")


def test_a_turn_is_begun_once_and_stays_its_readers(bench: Any, ids: list[int]) -> None:
    _do(bench, turns.begin, 1)
    _do(bench, turns.begin, 1)
    with pytest.raises(Conflict, match="another person"):
        _do(bench, turns.begin, 1, who="reviewer")
    assert [(entry.action, entry.after) for entry in bench.trail()] == [
        ("begin turn", {"turn": 1, "user": bench.people.reader.user_id})
    ]


def test_naming_a_cell_begins_the_turn(bench: Any, ids: list[int]) -> None:
    _do(bench, label, ids[:1], "band", turn=2)
    with pytest.raises(Conflict, match="another person"):
        _do(bench, label, ids[:1], "blast", who="reviewer", turn=2)
    assert bench.answers(2) == {ids[0]: "band"}


def test_nobody_reads_twice(bench: Any, ids: list[int]) -> None:
    _do(bench, turns.begin, 1)
    with pytest.raises(Conflict, match="already"):
        _do(bench, turns.begin, 2)
    _do(bench, turns.begin, 2, who="reviewer")
    _do(bench, turns.done, 1)
    _do(bench, turns.done, 2, who="reviewer")
    for who in ("reader", "reviewer"):
        with pytest.raises(Conflict, match="already"):
            _do(bench, turns.begin, 3, who=who)


def test_a_sample_of_one_reader_has_one_turn(bench: Any, ids: list[int]) -> None:
    bench.set(two_readers=False)
    for turn in (0, 2, 3, 4):
        with pytest.raises(Conflict, match=f"no turn {turn}"):
            _do(bench, label, ids[:1], "band", turn=turn)
    _do(bench, label, ids[:1], "band", turn=1)
    _do(bench, label, ids[:1], "blast", who="reviewer", turn=1)
    assert _seen(bench, "administrator") == 1
    assert _ask(bench, turns.differences) == ()
    assert _ask(bench, turns.kappa) is None
    assert _ask(bench, turns.unsettled) == 0


def test_a_turn_that_is_done_takes_no_answer_and_gives_none_back(bench: Any, ids: list[int]) -> None:
    _do(bench, label, ids[:1], "band", turn=1)
    _do(bench, label, ids[:1], "blast", turn=1)
    _do(bench, undo)
    _do(bench, turns.done, 1)
    for act in (undo, redo):
        with pytest.raises(Conflict, match="ended"):
            _do(bench, act)
    with pytest.raises(Conflict, match="done"):
        _do(bench, label, ids[:1], "blast", turn=1)
    with pytest.raises(Conflict, match="ended"):
        _do(bench, strike, ids[:1])
    assert bench.answers() == {ids[0]: "band"}


def test_only_who_began_a_turn_ends_it(bench: Any, ids: list[int]) -> None:
    _do(bench, turns.begin, 1)
    for who, turn in (("reviewer", 1), ("reader", 2)):
        with pytest.raises(Conflict, match="Begin it first"):
            _do(bench, turns.done, turn, who=who)


def test_who_reads_no_turn_strikes_nothing_out(bench: Any, ids: list[int]) -> None:
    with pytest.raises(Conflict, match="no turn"):
        _do(bench, strike, ids[:1])


def test_the_server_reads_no_sample(bench: Any, ids: list[int]) -> None:
    with bench.writing() as (session, sample), pytest.raises(Refused):
        turns.begin(session, SERVER, sample, 1)


def test_each_sees_own_answers_until_both_are_done(bench: Any, ids: list[int]) -> None:
    assert [_seen(bench, who) for who in ("reader", "reviewer", "administrator")] == [0, 0, 0]
    _do(bench, label, ids[:1], "band", turn=1)
    _do(bench, turns.done, 1)
    _do(bench, turns.begin, 2, who="reviewer")
    assert [_seen(bench, who) for who in ("reader", "reviewer", "administrator")] == [1, 2, 0]
    for what in (turns.differences, turns.unsettled):
        with pytest.raises(Conflict, match="not both done"):
            _ask(bench, what)
    assert _ask(bench, turns.kappa) is None
    _do(bench, turns.done, 2, who="reviewer")
    assert [_seen(bench, who) for who in ("reader", "reviewer", "administrator")] == [3, 3, 3]


def test_cells_that_they_call_differently_are_shown_those_left_alone_as_the_machine_has_them(
    bench: Any, ids: list[int]
) -> None:
    _both_read(bench, ids)
    assert _ask(bench, turns.differences) == (
        turns.Difference(ids[1], 1, "band", "neutrophil", None, False),
        turns.Difference(ids[5], 1, "unsure", "monocyte", None, False),
    )


@pytest.mark.parametrize(("key", "differ"), [("monocyte", 0), ("blast", 1)])
def test_a_cell_at_the_edge_is_of_no_matter_unless_somebody_calls_it_a_blast(
    bench: Any, ids: list[int], key: str, differ: int
) -> None:
    _do(bench, label, ids[6:], key, turn=1)
    _do(bench, turns.begin, 2, who="reviewer")
    _do(bench, turns.done, 1)
    _do(bench, turns.done, 2, who="reviewer")
    assert len(_ask(bench, turns.differences)) == differ
    assert _ask(bench, turns.kappa) == 1


def test_a_third_person_settles_once_both_are_done(bench: Any, ids: list[int]) -> None:
    with pytest.raises(Conflict, match="both readers must be done"):
        _do(bench, turns.begin, 3, who="administrator")
    _both_read(bench, ids)
    _do(bench, label, ids[1:2], "neutrophil", who="administrator", turn=3)
    assert _ask(bench, turns.unsettled) == 1
    with pytest.raises(Conflict, match="1 cells are not settled"):
        _do(bench, turns.done, 3, who="administrator")
    _do(bench, label, ids[5:6], "monocyte", who="administrator", turn=3)
    _do(bench, turns.done, 3, who="administrator")
    assert [one.settled for one in _ask(bench, turns.differences)] == ["neutrophil", "monocyte"]
    with bench.reading() as (session, sample):
        counts = counted.live(session, sample, bench.files).reviewed.tally.counts
    assert counts == {
        "neutrophil": 3, "eosinophil": 0, "basophil": 0, "lymphocyte": 1, "monocyte": 1,
        "immature_granulocyte": 0, "band": 1,
    }  # fmt: skip
    _do(bench, label, ids[1:2], "band", who="administrator", turn=3)  # who settles may change it


def test_kappa_of_a_sample_is_that_of_its_counted_cells(bench: Any, ids: list[int]) -> None:
    _both_read(bench, ids)
    first = ["band", "band", "neutrophil", "neutrophil", "lymphocyte", "unsure"]
    second = ["band", "neutrophil", "neutrophil", "neutrophil", "lymphocyte", "monocyte"]
    assert _ask(bench, turns.kappa) == pytest.approx(cohen_kappa_score(first, second))
    with bench.reading() as (session, sample):
        review = counted.report(session, sample, bench.files).review
    assert review is not None
    assert review.kappa == _ask(bench, turns.kappa)


@pytest.mark.parametrize("seed", range(8))
def test_cohens_kappa_is_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.choice(CLASS_KEYS, 200)
    second = np.where(rng.random(200) < seed / 8, first, rng.choice(CLASS_KEYS[: seed + 1], 200))
    assert turns.cohens_kappa(first.tolist(), second.tolist()) == pytest.approx(
        cohen_kappa_score(first, second)
    )


def test_kappa_of_readers_who_never_agree_is_below_zero_and_of_one_label_there_is_none() -> None:
    assert turns.cohens_kappa(["band", "blast"], ["blast", "band"]) == -1
    assert turns.cohens_kappa(["band"] * 5, ["blast"] * 5) == 0
    assert turns.cohens_kappa(["band"] * 5, ["band"] * 5) is None
    assert turns.cohens_kappa([], []) is None
