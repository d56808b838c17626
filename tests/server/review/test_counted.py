"""A sample's report from its rows is what `leukolens read` makes of the same fields, and what persons changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from leukolens.cli.read_report import Reporter
from leukolens.errors import BundleError
from leukolens.imaging.framing import Box
from leukolens.report.counting import Asked
from leukolens.report.sample import SampleReport
from leukolens.server.review import comments, counted
from leukolens.server.review.labels import draw, label, strike
from leukolens.server.store.tables import Cell, Field, Image, Report
from leukolens.taxonomy import CLASS_KEYS


@pytest.fixture
def ids(bench: Any, cell: Callable[..., Any], smear: Callable[..., Any]) -> list[int]:
    """Twenty neutrophils, a field of several kinds with one cut by its edge, an empty field, and one that failed."""
    first = [cell("neutrophil", place=place) for place in range(20)]
    second = [cell("lymphocyte", 0.9, place=place) for place in range(8)] + [
        cell("monocyte", 0.6, "review", place=8),
        cell("other", 0.95, "unknown", place=9),
        cell("lymphocyte", place=40, at_edge=True),
    ]
    return bench.add(smear(1, first), smear(2, second), smear(3, []), smear(4, [], failed=True))


def _read(bench: Any, *, white_count: float | None = None) -> SampleReport:
    """What the command makes of the fields."""
    reader: Any = SimpleNamespace(bundle=bench.bundle, engine="engine 1")
    return Reporter(reader, Asked(white_count=white_count)).report(bench.key, bench.fields)


def _report(bench: Any, **named: Any) -> SampleReport:
    with bench.reading() as (session, sample):
        return counted.report(session, sample, bench.files, **named)


def _machine(bench: Any) -> SampleReport:
    with bench.reading() as (session, sample):
        return counted.machine(session, sample, bench.files)


def _live(bench: Any, **named: Any) -> counted.Live:
    with bench.reading() as (session, sample):
        return counted.live(session, sample, bench.files, **named)


def _do(bench: Any, act: Callable[..., Any], *given: Any, who: str = "reader", **named: Any) -> Any:
    with bench.writing() as (session, sample):
        return act(session, getattr(bench.people, who), sample, *given, **named)


@pytest.mark.parametrize("white_count", [None, 13.5])
def test_the_machines_report_is_the_commands(bench: Any, ids: list[int], white_count: float | None) -> None:
    bench.set(white_count=white_count)
    expected = _read(bench, white_count=white_count)
    assert expected.batch is not None
    assert expected.differential.classes[0].corrected is not None
    assert _machine(bench) == expected


def test_before_anybody_reviewed_the_report_says_what_the_machine_says(bench: Any, ids: list[int]) -> None:
    report = _report(bench)
    assert report.review is not None
    assert report.review.machine == report.differential
    assert replace(report, review=None) == _read(bench)
    assert (report.review.status, report.review.version, report.review.signed) == ("preliminary", 0, None)


def test_what_a_person_does_changes_the_report_and_never_the_machines(bench: Any, ids: list[int]) -> None:
    before = _machine(bench)
    _do(bench, label, ids[:2], "band")
    _do(bench, label, ids[2:3], "neutrophil")
    _do(bench, label, [ids[28]], "unsure")
    _do(bench, strike, [ids[29], ids[3]])
    with bench.writing() as (session, sample):
        field = session.scalars(select(Field).where(Field.place == 3)).one()
        drawn = draw(session, bench.people.reader, sample, field, Box(300, 300, 340, 340)).id
    _do(bench, label, [drawn], "blast")
    assert _machine(bench) == before
    report = _report(bench)
    review = report.review
    assert review is not None
    assert (review.confirmed, review.changed, review.drawn, review.deleted) == (2, 2, 1, 2)
    assert review.machine == before.differential
    assert report.differential.tally.counts == {
        "neutrophil": 17,
        "eosinophil": 0,
        "basophil": 0,
        "lymphocyte": 8,
        "monocyte": 0,
        "immature_granulocyte": 0,
        "blast": 1,
        "band": 2,
    }
    assert (report.differential.tally.unsure, report.differential.tally.not_leukocyte) == (1, 0)
    assert report.flags[0].key == "blasts"
    assert not report.differential.confusion_from
    assert report.fields[2].status == "ok"
    assert report.fields[2].cells[0].reviewed == "blast"


def test_a_field_whose_only_cell_was_struck_out_has_none(
    bench: Any, cell: Callable[..., Any], smear: Callable[..., Any]
) -> None:
    _do(bench, strike, bench.add(smear(1, [cell("neutrophil")])))
    (field,) = _report(bench).fields
    assert (field.status, field.reason, field.cells) == ("no_cell", "no white cell found", ())
    assert _machine(bench).fields[0].status == "ok"


def test_a_field_that_waits_is_left_out(bench: Any, ids: list[int]) -> None:
    with bench.writing() as (session, sample):
        session.add(Image(sha256="e" * 64, bytes=1))
        session.flush()
        session.add(Field(sample_id=sample.id, image_sha256="e" * 64, place=9, state="waiting"))
    assert len(_report(bench).fields) == len(_machine(bench).fields) == 4


def test_a_sample_of_which_nothing_is_read_has_a_report_without_cells(bench: Any) -> None:
    report = _report(bench)
    assert (report.fields, report.differential.denominator) == ((), 0)
    assert report.origin.engine == "no field is read yet"


def test_nucleated_red_cells_that_a_person_names_correct_the_white_count(bench: Any, ids: list[int]) -> None:
    bench.set(white_count=10.0)
    assert _report(bench).differential.nucleated_red_cells is None
    _do(bench, label, [ids[0], ids[1]], "nucleated_red_cell")
    differential = _report(bench).differential
    assert differential.nucleated_red_cells == pytest.approx(100 * 2 / 27)
    assert differential.white_count is not None
    assert differential.white_count.corrected == pytest.approx(10 * 100 / (100 + 100 * 2 / 27))
    assert differential.tally.not_leukocyte == 3


def test_the_live_differentials_are_those_of_the_reports(bench: Any, ids: list[int]) -> None:
    bench.set(white_count=7.5)
    for number in range(3):
        live, report = _live(bench), _report(bench)
        assert live.reviewed == report.differential
        assert live.flags == report.flags
        assert live.machine == _machine(bench).differential
        if number == 0:
            _do(bench, label, ids[:3], "myelocyte")
            _do(bench, label, [ids[30]], "blast")  # at the edge
        if number == 1:
            _do(bench, strike, ids[4:6])
            with bench.writing() as (session, sample):
                field = session.scalars(select(Field).where(Field.place == 1)).one()
                draw(session, bench.people.reader, sample, field, Box(300, 300, 340, 340))


def test_each_turn_has_its_own_count_and_the_third_goes_before_the_first(bench: Any, ids: list[int]) -> None:
    bench.set(two_readers=True)
    _do(bench, label, ids[:1], "blast", turn=1)
    _do(bench, label, ids[:2], "band", who="reviewer", turn=2)

    def bands(turn: int | None) -> tuple[int, int]:
        counts = _live(bench, turn=turn).reviewed.tally.counts
        assert counts == _report(bench, turn=turn).differential.tally.counts
        return counts.get("blast", 0), counts.get("band", 0)

    assert [bands(turn) for turn in (None, 0, 1, 2, 3)] == [(1, 0), (0, 0), (1, 0), (0, 2), (1, 0)]


def test_the_report_tells_comments_and_why_it_was_opened_again(bench: Any, ids: list[int]) -> None:
    _do(bench, comments.grade, "platelet_clumps", "2+")
    with bench.writing() as (session, sample):
        for version, why in ((2, "wrong again"), (1, "wrong patient"), (3, None)):
            session.add(
                Report(
                    sample_id=sample.id, version=version, status="final", signed_by=bench.people.reviewer.user_id,
                    signed_at=sample.created, reopened_why=why, trail_hash="0" * 64, document={},
                )
            )  # fmt: skip
    review = _report(bench).review
    assert review is not None
    assert review.comments == (("Platelet clumps", "2+"),)
    assert review.reopened == ("wrong patient", "wrong again")


def test_no_patient_and_no_file_name_is_in_a_report(bench: Any, ids: list[int]) -> None:
    report = _report(bench)
    assert report.name == bench.key
    assert [str(field.path) for field in report.fields] == [f"field-{place}" for place in range(1, 5)]


def test_a_bundle_that_is_gone_is_said_to_be(bench: Any, ids: list[int]) -> None:
    counted._card.cache_clear()
    bench.files.remove(bench.bundle.sha256, "bundles")
    with pytest.raises(BundleError):
        _report(bench)


def test_probabilities_keep_taxonomy_order_whatever_order_the_database_gives(
    bench: Any, ids: list[int]
) -> None:
    with bench.reading() as (session, _):
        stored = session.scalars(select(Cell.probabilities).where(Cell.id == ids[0])).one()
    assert list(stored or ()) != list(CLASS_KEYS)
    assert list(_machine(bench).fields[0].cells[0].probabilities) == list(CLASS_KEYS)
