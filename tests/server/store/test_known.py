"""The hashes on signed reports, and which report each is on."""

from __future__ import annotations

from leukolens.server.actor import Actor
from leukolens.server.store import trail
from leukolens.server.store.columns import now
from leukolens.server.store.database import Database
from leukolens.server.store.known import on_reports
from leukolens.server.store.tables import BundleFile, Report, Sample, TrailEntry, User


def test_every_version_of_every_report_is_named(store: Database) -> None:
    with store.writing() as session:
        session.add(BundleFile(sha256="b" * 64, name="drawn"))
        ann = User(name="ann", full_name="Ann", role="reviewer", password_hash="none")
        session.add(ann)
        session.flush()
        hashes = []
        for key, version in (("AAAAAAAA", 1), ("BBBBBBBB", 1), ("AAAAAAAA", 2)):
            sample = session.query(Sample).filter_by(key=key).one_or_none()
            sample = sample or Sample(key=key, bundle_sha256="b" * 64)
            session.add(sample)
            session.flush()
            entry = trail.append(session, Actor(ann.id, "ann", "reviewer"), "sign", f"sample {key}")
            hashes.append(entry.hash)
            session.add(
                Report(
                    sample_id=sample.id, version=version, status="final", signed_by=ann.id, signed_at=now(),
                    trail_hash=entry.hash, document={},
                )
            )  # fmt: skip
    with store.reading() as session:
        known = on_reports(session)
        assert trail.verify(session, known).problems == ()
    where = ["report 1 of sample AAAAAAAA", "report 1 of sample BBBBBBBB", "report 2 of sample AAAAAAAA"]
    assert known == tuple(zip(where, hashes, strict=True))
    with store.writing() as session:
        session.delete(session.get(TrailEntry, 3))
    with store.reading() as session:
        assert "report 2 of sample AAAAAAAA" in trail.verify(session, on_reports(session)).problems[0]


def test_without_a_report_nothing_is_known(store: Database) -> None:
    with store.reading() as session:
        assert on_reports(session) == ()
