"""Which bundle new samples are read with: an administrator says so, and can go back. Older samples keep theirs."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.errors import Conflict, Missing, Refused
from leukolens.server.actor import Actor
from leukolens.server.learning.sets import SCOPE
from leukolens.server.store import trail
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Activation, BundleFile


def activate(session: Session, actor: Actor, files: Files, sha256: str) -> BundleFile:
    """Makes a bundle the one that samples which are created from now on are read with.

    Args:
        session: In a writing transaction.
        actor: An administrator.
        files: Where the bundle lies.
        sha256: Which bundle.

    Raises:
        Refused: Where this is no administrator.
        Missing: Where there is no such bundle, or its file is not there.
        Conflict: Where it is active already.
        ServerError: Where its file is damaged.
    """
    actor.must_have(SCOPE)
    actor.must_be("administrator", "activate bundles")
    if actor.user_id is None:
        raise Refused(f"{actor.name} is no person, and may not activate bundles", "Sign in")
    # All of them are locked: two administrators at once would else make two active.
    all_bundles = select(BundleFile).order_by(BundleFile.sha256).with_for_update()
    rows = session.scalars(all_bundles, execution_options={"populate_existing": True}).all()
    wanted = next((row for row in rows if row.sha256 == sha256), None)
    if wanted is None:
        raise Missing("there is no such bundle", "Look at the list of bundles")
    if wanted.active:
        raise Conflict(f"bundle {wanted.name} is active already", "Load the page again")
    files.verify(sha256, "bundles")
    replaced = next((row for row in rows if row.active), None)
    for row in rows:
        row.active = row is wanted
    session.add(
        Activation(
            user_id=actor.user_id, bundle_sha256=sha256, replaced_sha256=replaced.sha256 if replaced else None
        )
    )
    session.flush()
    trail.append(
        session,
        actor,
        "activate",
        f"bundle {sha256[:12]}",
        before=_said(replaced) if replaced else None,
        after=_said(wanted),
    )
    return wanted


def before(session: Session) -> BundleFile | None:
    """The bundle that was active before the one that is; None where there was none."""
    last = session.scalars(select(Activation).order_by(Activation.id.desc()).limit(1)).first()
    if last is None or last.replaced_sha256 is None:
        return None
    found = session.get(BundleFile, last.replaced_sha256)
    return None if found is None or found.active else found


def _said(bundle: BundleFile) -> dict[str, str]:
    return {"name": bundle.name, "sha256": bundle.sha256}
