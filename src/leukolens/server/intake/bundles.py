"""Which bundle new samples are read with."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.bundle import load
from leukolens.errors import BundleError, ServerError
from leukolens.server.actor import SERVER
from leukolens.server.settings import Settings
from leukolens.server.store import trail
from leukolens.server.store.files import Files
from leukolens.server.store.tables import BundleFile


def ensure_active(session: Session, files: Files, settings: Settings) -> BundleFile:
    """The active bundle; at the first start, the one that the settings name, or that ships, becomes it.

    Args:
        session: In a writing transaction.
        files: Where its file is kept.
        settings: Name the bundle to begin with.

    Raises:
        BundleError: Where there is no such bundle, it is damaged, or it cannot read whole fields.
        ServerError: Where its file cannot be kept.
    """
    known = _active(session)
    if known is not None:
        return known
    bundle = load(settings.bundle)
    if bundle.detector is None:
        raise BundleError(
            f"bundle {bundle.card.name} has no detector, so it reads single cells only",
            "Name one that reads whole fields, or none for the one that ships with Leukolens",
        )
    if settings.bundle is not None:
        kept = files.put_bundle(settings.bundle)
    else:
        with resources.as_file(resources.files("leukolens.bundles").joinpath("default.leukolens")) as path:
            kept = files.put_bundle(Path(path))
    if kept != bundle.sha256:
        raise ServerError("the bundle's file changed while it was copied", "Start again")
    # A bundle that was in use before, and was put out of use.
    row = session.get(BundleFile, kept)
    if row is None:
        row = BundleFile(sha256=kept, name=bundle.card.name[:200])
        session.add(row)
    row.active = True
    session.flush()
    trail.append(session, SERVER, "activate", f"bundle {kept[:12]}", after={"name": row.name, "sha256": kept})
    return row


def active(session: Session) -> BundleFile:
    """The bundle that new samples are read with.

    Raises:
        ServerError: Where there is none.
    """
    known = _active(session)
    if known is None:
        raise ServerError("no bundle is active", "Start the server again, or activate one")
    return known


def _active(session: Session) -> BundleFile | None:
    wanted = select(BundleFile).where(BundleFile.active.is_(True)).order_by(BundleFile.added.desc())
    return session.scalars(wanted).first()
