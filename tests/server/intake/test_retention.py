"""Samples go when they have been kept for long enough, and not before."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from leukolens.server.intake import retention, samples
from leukolens.server.intake.retention import Keeper, delete_old, due
from leukolens.server.store.columns import now
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Identity, Job, Report, Sample, TrailEntry
from leukolens.server.store.trail import verify

DAYS = 365


def ago(days: float) -> datetime:
    return now() - timedelta(days=days)


@pytest.fixture
def keys(database: Database, people: SimpleNamespace) -> dict[str, str]:
    """Identifier to key; the identifiers say when each was created and signed, days ago."""
    made = {}
    with database.writing() as session:
        for number, (created, signed) in enumerate(((400, ()), (300, ()), (500, (390,)), (600, (590, 10)))):
            identifier = f"{created} {signed}"
            sample = samples.create(session, people.reader, identifier=identifier)
            sample.created = ago(created)
            for version, days in enumerate(signed, 1):
                sample.state = "signed"
                session.add(
                    Report(
                        sample_id=sample.id, version=version, status="final", signed_by=people.reviewer.user_id,
                        signed_at=ago(days), trail_hash=f"{number}{version}" * 32, document={},
                    )
                )  # fmt: skip
            made[identifier] = sample.key
    return made


def left(database: Database) -> set[str]:
    with database.reading() as session:
        return set(session.scalars(select(Identity.identifier)))


def test_a_sample_is_old_when_it_was_neither_created_nor_signed_since(
    database: Database, keys: dict[str, str]
) -> None:
    with database.reading() as session:
        old = due(session, ago(DAYS))
    assert [one.key for one in old] == [keys["500 (390,)"], keys["400 ()"]]  # the oldest first
    assert [one.state for one in old] == ["signed", "open"]
    assert old[0].signed is not None
    assert (now() - old[0].signed).days == 390
    assert old[1].signed is None
    assert len(left(database)) == 4  # nothing happens by looking


def test_they_are_deleted_as_by_a_person_and_the_trail_holds(
    database: Database, keys: dict[str, str]
) -> None:
    assert len(delete_old(database, DAYS)) == 2
    assert left(database) == {"300 ()", "600 (590, 10)"}
    assert delete_old(database, DAYS) == ()
    with database.reading() as session:
        entries = session.scalars(select(TrailEntry).where(TrailEntry.action == "delete")).all()
        assert [(one.actor, one.after) for one in entries] == 2 * [
            ("retention", {"why": "older than 365 days"})
        ]
        assert verify(session).problems == ()
        assert session.scalars(select(Job.kind)).all() == ["erase", "erase"]


def test_an_identifier_that_stands_in_the_reason_keeps_nothing_back(
    database: Database, people: SimpleNamespace
) -> None:
    with database.writing() as session:
        samples.create(session, people.reader, identifier="5").created = ago(400)
    assert len(delete_old(database, DAYS)) == 1
    assert left(database) == set()


def test_one_that_was_signed_or_deleted_meanwhile_is_passed_over(
    database: Database, keys: dict[str, str], people: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.reading() as session:
        old = due(session, ago(DAYS))
    with database.writing() as session:
        session.scalars(select(Sample).where(Sample.key == old[1].key)).one().created = ago(1)
        samples.delete(session, people.reviewer, samples.find(session, old[0].key), "asked for")
    real, calls = retention.due, []

    def stale(*given: object) -> tuple[retention.Old, ...]:
        calls.append(given)
        return old if len(calls) == 1 else real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(retention, "due", stale)
    assert delete_old(database, DAYS) == ()
    assert "400 ()" in left(database)


def test_a_server_does_it_by_itself_and_wakes_its_worker(
    database: Database, files: Files, keys: dict[str, str]
) -> None:
    (files.folder / "copies").mkdir()
    woken = threading.Event()
    keeper = Keeper(database, files, DAYS, woken.set)
    keeper.start()
    assert woken.wait(30)
    keeper.stop()
    assert left(database) == {"300 ()", "600 (590, 10)"}
