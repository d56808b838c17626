"""What can be said of red cells and platelets is coded, and every change of it stands in the trail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from leukolens.errors import Conflict, Unfit
from leukolens.server.review import comments


def _do(bench: Any, act: Callable[..., Any], *given: Any) -> None:
    with bench.writing() as (session, sample):
        act(session, bench.people.reader, sample, *given)


def _said(bench: Any) -> list[tuple[str, str]]:
    with bench.reading() as (session, sample):
        return [(finding.key, grade) for finding, grade in comments.said(session, sample)]


def test_findings_are_told_apart_and_graded_as_the_icsh_recommends() -> None:
    keys = [finding.key for finding in comments.FINDINGS]
    assert len(keys) == len(set(keys)) == len({finding.name for finding in comments.FINDINGS}) == 14
    assert all(len(key) <= 40 for key in keys)  # the column's width
    assert {finding.key: finding.grades for finding in comments.FINDINGS if "1+" not in finding.grades} == {
        "platelet_estimate": ("low", "normal", "high")
    }


def test_a_grade_is_said_changed_and_taken_back(bench: Any) -> None:
    _do(bench, comments.grade, "platelet_estimate", "low")
    _do(bench, comments.grade, "schistocytes", "1+")
    _do(bench, comments.grade, "schistocytes", "3+")
    assert _said(bench) == [("schistocytes", "3+"), ("platelet_estimate", "low")]
    _do(bench, comments.clear, "schistocytes")
    assert _said(bench) == [("platelet_estimate", "low")]
    assert [(entry.before, entry.after) for entry in bench.trail()] == [
        (None, {"platelet_estimate": "low"}),
        (None, {"schistocytes": "1+"}),
        ({"schistocytes": "1+"}, {"schistocytes": "3+"}),
        ({"schistocytes": "3+"}, None),
    ]
    assert {(entry.action, entry.subject) for entry in bench.trail()} == {("comment", "sample SAMPLE22")}


def test_what_changes_nothing_is_not_in_the_trail(bench: Any) -> None:
    _do(bench, comments.clear, "rouleaux")
    _do(bench, comments.grade, "rouleaux", "none")
    _do(bench, comments.grade, "rouleaux", "none")
    assert len(bench.trail()) == 1


@pytest.mark.parametrize(
    ("key", "grade"), [("sickle", "1+"), ("rouleaux", "4+"), ("rouleaux", ""), ("platelet_estimate", "2+")]
)
def test_another_word_is_not_taken(bench: Any, key: str, grade: str) -> None:
    with pytest.raises(Unfit):
        _do(bench, comments.grade, key, grade)
    assert _said(bench) == []


def test_a_signed_sample_takes_no_comment(bench: Any) -> None:
    _do(bench, comments.grade, "rouleaux", "2+")
    bench.set(state="signed")
    for act, *given in ((comments.grade, "rouleaux", "1+"), (comments.clear, "rouleaux")):
        with pytest.raises(Conflict, match="signed"):
            _do(bench, act, *given)
    assert _said(bench) == [("rouleaux", "2+")]
