"""Which bundle new samples are read with: one at a time, by an administrator, and back again."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from leukolens.errors import Conflict, Refused
from leukolens.server.actor import SERVER
from leukolens.server.intake import bundles, samples
from leukolens.server.learning import activation, asking
from leukolens.server.store.tables import Adaptation, BundleFile, Job, LearningSet, Sample, TrailEntry


def another(lab: Any, name: str) -> str:
    """A bundle's row and file beside the active one's."""
    path = lab.files.folder / name
    path.write_text(name)
    sha256: str = lab.files.put_bundle(path)
    with lab.database.writing() as session:
        session.add(BundleFile(sha256=sha256, name=name))
    return sha256


def activate(lab: Any, sha256: str) -> None:
    with lab.database.writing() as session:
        activation.activate(session, lab.people.administrator, lab.files, sha256)


def test_new_samples_are_read_with_it_and_old_ones_keep_theirs(lab: Any) -> None:
    ours = another(lab, "ours")
    with lab.database.writing() as session:
        old = samples.create(session, lab.people.reader, identifier="old").key
    activate(lab, ours)
    with lab.database.writing() as session:
        new = samples.create(session, lab.people.reader, identifier="new").key
    with lab.database.reading() as session:
        of = dict(session.execute(select(Sample.key, Sample.bundle_sha256)).all())
        assert of == {old: lab.bundle, new: ours}
        assert session.scalars(select(BundleFile.sha256).where(BundleFile.active)).all() == [ours]
        entry = session.scalars(select(TrailEntry).order_by(TrailEntry.id.desc())).all()[1]
    assert (entry.actor, entry.action, entry.subject) == ("administrator", "activate", f"bundle {ours[:12]}")
    assert entry.before is not None
    assert (entry.before["sha256"], entry.after) == (lab.bundle, {"name": "ours", "sha256": ours})


def test_the_one_before_is_known_through_all_changes(lab: Any) -> None:
    first, second = another(lab, "first"), another(lab, "second")
    seen = []
    for sha256 in (first, second, first):
        activate(lab, sha256)
        with lab.database.reading() as session:
            before = activation.before(session)
            seen.append(before and before.sha256)
            assert bundles.active(session).sha256 == sha256
    assert seen == [lab.bundle, first, second]


def test_nobody_else_may_and_an_active_one_is_not_activated(lab: Any) -> None:
    ours = another(lab, "ours")
    for actor in (lab.people.reader, lab.people.reviewer, SERVER):
        with lab.database.writing() as session, pytest.raises(Refused):
            activation.activate(session, actor, lab.files, ours)
    with pytest.raises(Conflict, match="active already"):
        activate(lab, lab.bundle)
    with lab.database.reading() as session:
        assert bundles.active(session).sha256 == lab.bundle
        assert activation.before(session) is None


def test_an_adaptation_begins_with_what_has_learned_from_none_of_the_servers_cells(lab: Any) -> None:
    first, second = another(lab, "first"), another(lab, "second")
    reviewer = lab.people.reviewer.user_id
    with lab.database.writing() as session:
        session.add(LearningSet(id=1, made_by=reviewer, signed_only=False, left_out={}))
        session.add(Job(id=1, kind="adapt"))
        session.flush()
        for parent, made in ((lab.bundle, first), (first, second)):
            session.add(
                Adaptation(
                    set_id=1, parent_sha256=parent, fine_tune=False, asked_by=reviewer, job_id=1, bundle_sha256=made
                )
            )  # fmt: skip
    with lab.database.reading() as session:
        for sha256 in (lab.bundle, first, second):
            assert asking.origin(session, session.get_one(BundleFile, sha256)).sha256 == lab.bundle
