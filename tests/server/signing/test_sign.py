"""Signing locks a sample and keeps what was signed; opening it again keeps every version."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from leukolens.errors import Conflict, Missing, Refused, Unfit
from leukolens.server.actor import SERVER
from leukolens.server.intake import samples
from leukolens.server.review.labels import label
from leukolens.server.signing.document import report_of
from leukolens.server.signing.sign import altered, is_unchanged, obstacles, reopen, sign, version, versions
from leukolens.server.store import trail
from leukolens.server.store.known import on_reports
from leukolens.server.store.tables import Field, Job, Reading, Report


@pytest.fixture
def named(desk: Any) -> Any:
    """The sample with every cell named."""
    desk.say(desk.cells[0], "blast")
    desk.say(desk.cells[2], "monocyte")
    return desk


class TestSigning:
    def test_it_locks_the_sample_and_keeps_who_when_and_what(self, named: Any) -> None:
        before = datetime.now(UTC)
        assert named.sign() == 1
        with named.reading() as (session, sample):
            assert sample.state == "signed"
            (row,) = versions(session, sample)
            assert (row.version, row.status, row.signed_by) == (1, "final", named.reviewer.user_id)
            assert before <= row.signed_at <= datetime.now(UTC)
            report = report_of(row.document)
            review = report.review
            assert review
            assert (review.status, review.version, review.reviewer) == ("final", 1, "Reviewer")
            assert review.signed == row.signed_at
            assert (review.changed, review.confirmed, review.reopened) == (2, 0, ())
            assert report.name == "SAMPLE22"
            assert dict(report.differential.tally.counts)["blast"] == 1
            assert review.machine.tally.unsure == 1
            assert [flag.key for flag in report.flags if flag.key == "blasts"] == ["blasts"]

    def test_no_identity_is_in_it_or_in_the_trail(self, named: Any) -> None:
        named.sign()
        with named.signed() as row:
            assert "Jane" not in json.dumps(row.document)
        assert "Jane" not in json.dumps([[entry.before, entry.after] for entry in named.trail()])

    def test_the_report_has_the_hash_of_the_entry_of_its_signing(self, named: Any) -> None:
        named.sign()
        entry = named.trail()[-1]
        assert (entry.action, entry.subject, entry.actor) == ("sign", "sample SAMPLE22", "reviewer")
        with named.reading() as (session, sample):
            (row,) = versions(session, sample)
            review = report_of(row.document).review
            assert review
            assert row.trail_hash == review.trail_hash == entry.hash
            assert trail.verify(session, on_reports(session)).problems == ()

    def test_a_report_that_is_exchanged_later_is_found_out(self, named: Any) -> None:
        named.sign()
        with named.writing() as (session, sample):
            (row,) = versions(session, sample)
            assert is_unchanged(session, row)
            assert altered(session) == ()
            forged = json.loads(json.dumps(row.document))
            forged["report"]["review"]["changed"] = 0
            row.document = forged
            session.flush()
            assert not is_unchanged(session, row)
            assert altered(session) == ("report 1 of sample SAMPLE22 is not what was signed",)

    def test_a_signed_sample_cannot_be_labelled_nor_signed_again(self, named: Any) -> None:
        named.sign()
        with pytest.raises(Conflict, match="signed"), named.writing() as (session, sample):
            label(session, named.people.reader, sample, [named.cells[0]], "monocyte")
        with pytest.raises(Conflict, match="signed"):
            named.sign()

    def test_where_it_fails_nothing_is_kept(self, named: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object) -> dict[str, Any]:
            raise RuntimeError("no more memory")

        monkeypatch.setattr("leukolens.server.signing.sign.document", broken)
        with pytest.raises(RuntimeError):
            named.sign()
        with named.reading() as (session, sample):
            assert sample.state == "open"
            assert versions(session, sample) == ()
        assert named.trail() == []


class TestWhoMay:
    def test_a_reader_may_neither_sign_nor_open_again(self, named: Any) -> None:
        with pytest.raises(Refused, match="may not sign"), named.writing() as (session, sample):
            sign(session, named.files, named.people.reader, sample)
        named.sign()
        with pytest.raises(Refused, match="may not open"), named.writing() as (session, sample):
            reopen(session, named.people.reader, sample, "because")

    def test_a_token_wants_its_scope(self, named: Any) -> None:
        token = replace(named.reviewer, scopes=frozenset({"review"}))
        with pytest.raises(Refused, match="scope sign"), named.writing() as (session, sample):
            sign(session, named.files, token, sample)
        may = replace(named.reviewer, scopes=frozenset({"sign"}))
        with named.writing() as (session, sample):
            assert sign(session, named.files, may, sample).version == 1

    def test_the_server_itself_signs_nothing(self, named: Any) -> None:
        with pytest.raises(Refused, match="no person"), named.writing() as (session, sample):
            sign(session, named.files, SERVER, sample)


class TestWhatStandsInTheWay:
    def test_cells_without_a_name_unless_they_are_accepted(self, desk: Any) -> None:
        with pytest.raises(Conflict, match="1 cell has no name yet"):
            desk.sign()
        assert desk.sign(accept_unsure=True) == 1

    def test_fields_that_wait(self, named: Any) -> None:
        with named.writing() as (session, _):
            session.scalars(select(Field)).one().state = "waiting"
        with named.reading() as (session, sample):
            assert [str(one) for one in obstacles(session, sample)] == [
                "1 field is still to be read. Wait for it."
            ]
        with pytest.raises(Conflict, match="still to be read"):
            named.sign(accept_unsure=True)

    def test_drawn_cells_that_are_still_to_be_cut_out(self, named: Any) -> None:
        with named.writing() as (session, sample):
            session.add(Job(kind="crop", sample_id=sample.id, request={"cell": named.cells[0]}))
        with pytest.raises(Conflict, match="1 drawn cell is still to be cut out"):
            named.sign(accept_unsure=True)
        with named.writing() as (session, _):
            session.scalars(select(Job)).one().state = "failed"
        assert named.sign(accept_unsure=True) == 1

    @pytest.mark.parametrize("state", ["failed", None])
    def test_no_field_that_was_read(self, named: Any, state: str | None) -> None:
        with named.writing() as (session, sample):
            field = session.scalars(select(Field)).one()
            if state:
                field.state = state
            else:
                field.sample_id = _another(session, sample)
        with pytest.raises(Conflict, match="no field that was read"):
            named.sign(accept_unsure=True)

    def test_two_readers_who_are_not_done_or_differ(self, named: Any) -> None:
        with named.writing() as (session, sample):
            sample.two_readers = True
        with pytest.raises(Conflict, match="not both done"):
            named.sign()
        with named.writing() as (session, sample):
            for turn, who in ((1, named.people.reader), (2, named.people.administrator)):
                done = datetime.now(UTC)
                session.add(Reading(sample_id=sample.id, turn=turn, user_id=who.user_id, done=done))
        for cell in named.cells:
            named.say(cell, "monocyte", 1)
            named.say(cell, "monocyte" if cell != named.cells[0] else "blast", 2)
        with pytest.raises(Conflict, match="two readers differ on 1 cell"):
            named.sign()
        named.say(named.cells[0], "blast", 3)
        named.sign()
        with named.signed() as row:
            report = report_of(row.document)
            assert dict(report.differential.tally.counts)["blast"] == 1

    def test_one_that_was_deleted(self, named: Any) -> None:
        with named.writing() as (_, sample):
            sample.deleted = datetime.now(UTC)
        with pytest.raises(Missing):
            named.sign()


class TestOpeningAgain:
    def test_each_version_stays_as_it_was_signed(self, named: Any) -> None:
        named.sign()
        with named.signed() as row:
            first = json.dumps(row.document)
        with named.writing() as (session, sample):
            assert reopen(session, named.reviewer, sample, "  a blast\n was none ").state == "open"
        named.say(named.cells[0], "neutrophil")
        assert named.sign() == 2
        with named.reading() as (session, sample):
            old, new = versions(session, sample)
            assert json.dumps(old.document) == first
            assert (old.reopened_why, new.reopened_why) == ("a blast was none", None)
            assert (old.status, new.status) == ("final", "amended")
            review = report_of(new.document).review
            assert review
            assert (review.status, review.reopened) == ("amended", ("a blast was none",))
            assert "blast" not in report_of(new.document).differential.tally.counts
            assert version(session, sample, 1).id == old.id
            with pytest.raises(Missing, match="no version 3"):
                version(session, sample, 3)

    def test_the_trail_tells_of_it_without_the_reasons_words(self, named: Any) -> None:
        named.sign()
        with named.writing() as (session, sample):
            reopen(session, named.reviewer, sample, "Jane Doe called")
        entry = named.trail()[-1]
        assert (entry.action, entry.before) == ("reopen", {"state": "signed", "version": 1})
        assert "Jane" not in json.dumps(entry.after)
        with named.reading() as (session, _):
            assert trail.verify(session, on_reports(session)).problems == ()

    def test_a_third_version_has_every_reason(self, named: Any) -> None:
        for why in ("first", "second"):
            named.sign()
            with named.writing() as (session, sample):
                reopen(session, named.reviewer, sample, why)
        named.sign()
        with named.signed(3) as row:
            review = report_of(row.document).review
            assert review
            assert (review.version, review.reopened) == (3, ("first", "second"))

    def test_deleting_the_sample_erases_the_reason_and_the_reports_and_leaves_their_hashes(
        self, named: Any
    ) -> None:
        named.sign()
        with named.writing() as (session, sample):
            reopen(session, named.reviewer, sample, "Mrs Miller asked")
        named.sign()
        with named.writing() as (session, sample):
            number, hashes = sample.id, on_reports(session)
            samples.delete(session, named.reviewer, sample, "asked for")
        with named.database.reading() as session:
            for row in session.scalars(select(Report).where(Report.sample_id == number)):
                assert (row.reopened_why, row.document) == (None, {})
            assert len(hashes) == 2
            assert on_reports(session) == hashes
            assert altered(session) == ()
            assert trail.verify(session, hashes).problems == ()

    @pytest.mark.parametrize("why", ["", " \n\t", "x" * 501])
    def test_it_asks_why(self, named: Any, why: str) -> None:
        named.sign()
        with pytest.raises(Unfit), named.writing() as (session, sample):
            reopen(session, named.reviewer, sample, why)
        with named.reading() as (_, sample):
            assert sample.state == "signed"

    def test_one_that_is_open_cannot_be_opened(self, named: Any) -> None:
        with pytest.raises(Conflict, match="not signed"), named.writing() as (session, sample):
            reopen(session, named.reviewer, sample, "because")


def test_a_webhook_is_told_only_where_asked(named: Any) -> None:
    named.sign()
    with named.reading() as (session, _):
        assert session.scalars(select(Job)).all() == []
    with named.writing() as (session, sample):
        reopen(session, named.reviewer, sample, "because")
    named.sign(announce=True)
    with named.reading() as (session, _):
        (job,) = session.scalars(select(Job)).all()
        newest = session.scalars(select(Report).where(Report.version == 2)).one()
        assert (job.kind, job.state, job.request) == ("webhook", "waiting", {"report_id": newest.id})


def _another(session: Any, sample: Any) -> int:
    from leukolens.server.store.tables import Sample

    other = Sample(key="OTHER222", bundle_sha256=sample.bundle_sha256)
    session.add(other)
    session.flush()
    return other.id
