"""The adaptations and the bundles, as a page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from leukolens.server.learning import activation
from leukolens.server.store.tables import Adaptation, BundleFile, Job, Sample, User

State = Literal["waiting", "running", "done", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Adapted:
    """An adaptation in the list.

    Attributes:
        id: Its number.
        set_id: What it learned from.
        asked: When, UTC.
        asked_by: The person's full name.
        fine_tune: Whether all layers learned.
        parent: Name of the bundle that it begins with.
        state: How far it is.
        progress: While it goes on: ``stage``, and ``done`` and ``total`` of fields.
        grouped_by: What was held back as a whole.
        document: leukolens.adapt/1; None where nothing came of it, or not yet.
        bundle: sha256 of what came of it.
        problem: Why nothing did.
        passed_over: Why, and how many cells of the set.
    """

    id: int
    set_id: int
    asked: datetime
    asked_by: str
    fine_tune: bool
    parent: str
    state: State
    progress: Mapping[str, Any]
    grouped_by: str | None
    document: Mapping[str, Any] | None
    bundle: str | None
    problem: str | None
    passed_over: Mapping[str, int]

    @property
    def busy(self) -> bool:
        """Whether more is to come."""
        return self.state in {"waiting", "running"}


@dataclass(frozen=True, slots=True)
class Shown:
    """A bundle in the list.

    Attributes:
        sha256: Its digest.
        name: Its name.
        added: When, UTC.
        active: Whether new samples are read with it.
        before: Whether it was active before the one that is.
        samples: How many samples are read with it.
    """

    sha256: str
    name: str
    added: datetime
    active: bool
    before: bool
    samples: int


def adaptations(session: Session, limit: int = 50) -> list[Adapted]:
    """The newest, the newest first."""
    parent = aliased(BundleFile)
    rows = session.execute(
        select(Adaptation, Job, User.full_name, parent.name)
        .join(Job, Job.id == Adaptation.job_id)
        .join(User, User.id == Adaptation.asked_by)
        .join(parent, parent.sha256 == Adaptation.parent_sha256)
        .order_by(Adaptation.id.desc())
        .limit(limit)
    ).all()
    return [
        Adapted(
            id=one.id,
            set_id=one.set_id,
            asked=one.asked,
            asked_by=person,
            fine_tune=one.fine_tune,
            parent=name,
            state=_state(one, job),
            progress=(one.progress or {}) if job.state == "running" else {},
            grouped_by=one.grouped_by,
            document=one.document,
            bundle=one.bundle_sha256,
            problem=one.refusal or job.problem,
            passed_over=(job.result or {}).get("passed_over", {}),
        )
        for one, job, person, name in rows
    ]


def bundles(session: Session) -> list[Shown]:
    """All of them, the newest first."""
    previous = activation.before(session)
    by_bundle = select(Sample.bundle_sha256, func.count()).where(Sample.deleted.is_(None))
    samples = dict(session.execute(by_bundle.group_by(Sample.bundle_sha256)).all())
    rows = session.scalars(select(BundleFile).order_by(BundleFile.added.desc(), BundleFile.sha256))
    return [
        Shown(
            sha256=row.sha256,
            name=row.name,
            added=row.added,
            active=row.active,
            before=row is previous,
            samples=samples.get(row.sha256, 0),
        )
        for row in rows
    ]


def _state(adaptation: Adaptation, job: Job) -> State:
    if job.state == "done":
        return "refused" if adaptation.refusal is not None else "done"
    return job.state  # type: ignore[return-value]
