"""Asking for an adaptation: a bundle that learns from a set of reviewed cells, made by a job while reading goes on."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.errors import Conflict, Missing, Unfit
from leukolens.server.actor import Actor
from leukolens.server.intake import bundles
from leukolens.server.jobs import queue
from leukolens.server.learning.sets import find, may
from leukolens.server.store import trail
from leukolens.server.store.tables import Adaptation, BundleFile, Job

ADAPT = "adapt"
"""Kind of the job, ``{"adaptation": id}``."""


def ask(session: Session, actor: Actor, set_id: int, *, fine_tune: bool = False) -> Adaptation:
    """Has a bundle adapted to a set; it waits from the moment that the transaction is kept.

    Args:
        session: In a writing transaction.
        actor: A reviewer at least.
        set_id: The set.
        fine_tune: Whether all layers learn, not the last alone.

    Raises:
        Refused: Where this is no person, or one who may not.
        Missing: Where there is no such set.
        Conflict: Where another adaptation is not done yet.
        Unfit: Where all layers are to learn, and torch is not installed.
        ServerError: Where no bundle is active.
    """
    user = may(actor, "adapt bundles")
    wanted = find(session, set_id)
    if fine_tune and not can_fine_tune():
        raise Unfit("torch is not installed, so only the last layer can learn", "Adapt without fine-tuning")
    if under_way(session):
        raise Conflict("another adaptation is not done yet", "Wait until it is")
    parent = origin(session, bundles.active(session))
    job = queue.enqueue(session, ADAPT)
    made = Adaptation(
        set_id=wanted.id, parent_sha256=parent.sha256, fine_tune=fine_tune, asked_by=user, job_id=job.id
    )
    session.add(made)
    session.flush()
    job.request = {"adaptation": made.id}
    after = {"adaptation": made.id, "parent": parent.sha256, "fine_tune": fine_tune}
    trail.append(session, actor, "adapt", f"set {wanted.id}", after=after)
    return made


def stop(session: Session, actor: Actor, adaptation_id: int) -> None:
    """Gives up an adaptation that waits or is worked on; whoever works on it sees so within a second or two.

    Args:
        session: In a writing transaction.
        actor: A reviewer at least.
        adaptation_id: Which.

    Raises:
        Refused: Where this is no person, or one who may not.
        Missing: Where there is no such adaptation.
        Conflict: Where it has ended already.
    """
    may(actor, "stop adaptations")
    adaptation = session.get(Adaptation, adaptation_id)
    if adaptation is None:
        raise Missing(f"there is no adaptation {adaptation_id}", "Look at the list of adaptations")
    job = session.get_one(Job, adaptation.job_id, with_for_update=True)
    if job.state not in ("waiting", "running"):
        raise Conflict(f"adaptation {adaptation_id} has ended already", "Look at what came of it")
    queue.fail(session, job, "it was stopped by a person")
    adaptation.progress = None
    after = {"adaptation": adaptation_id}
    trail.append(session, actor, "stop adaptation", f"set {adaptation.set_id}", after=after)


def under_way(session: Session) -> bool:
    """Whether an adaptation waits or is worked on."""
    going_on = select(Job.id).where(Job.kind == ADAPT, Job.state.in_(("waiting", "running"))).limit(1)
    return session.scalar(going_on) is not None


def origin(session: Session, bundle: BundleFile) -> BundleFile:
    """What a bundle was first made from: it has learned from none of this server's cells.

    An adaptation begins there. A set holds the cells of those before it; what has learned from them already would
    name them rightly before, and no comparison could be honest.
    """
    seen = {bundle.sha256}
    while True:
        made = select(Adaptation).where(Adaptation.bundle_sha256 == bundle.sha256).order_by(Adaptation.id)
        adaptation = session.scalars(made.limit(1)).first()
        if adaptation is None or adaptation.parent_sha256 in seen:
            return bundle
        seen.add(adaptation.parent_sha256)
        bundle = session.get_one(BundleFile, adaptation.parent_sha256)


@cache
def can_fine_tune() -> bool:
    """Whether torch is installed, so that all layers can learn."""
    return find_spec("torch") is not None
