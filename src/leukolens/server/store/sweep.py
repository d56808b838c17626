"""What lies in a server's folder and belongs to nothing: left behind where a server was ended in the middle."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.server.store.files import Files
from leukolens.server.store.tables import BundleFile, Field, Image, Sample
from leukolens.server.store.views import Views

log = logging.getLogger(__name__)
IN_FLIGHT = timedelta(hours=1)
"""What is younger may be on its way: an upload puts its file there before its row."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What was removed, in files.

    Attributes:
        images: Of no sample that there is.
        bundles: That no row names.
        views: Images of which there were views, and which are gone.
        parts: Files that were never complete.
    """

    images: int
    bundles: int
    views: int
    parts: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.images + self.bundles + self.views + self.parts


def sweep(session: Session, files: Files, older_than: timedelta = IN_FLIGHT) -> Swept:
    """Removes files that nothing refers to.

    Where most images are not this database's, it is another's folder, and only what it knows of itself is removed.

    Args:
        session: To read by.
        files: Where they lie.
        older_than: Age of files that are removed.

    Raises:
        ServerError: Where one cannot be removed.
    """
    named, there = set(session.scalars(select(Image.sha256))), list(files.all())
    having = select(Field.image_sha256).join(Sample, Sample.id == Field.sample_id)
    used = set(session.scalars(having.where(Sample.deleted.is_(None))))
    erased = set(session.scalars(having.where(Sample.deleted.is_not(None)))) - used
    known, strange = [one for one in there if one in named], [one for one in there if one not in named]
    unused = [one for one in known if one in erased]
    bundles = set(session.scalars(select(BundleFile.sha256)))
    left = [one for one in files.all("bundles") if one not in bundles]
    if len(known) >= max(1, len(strange)):
        unused += strange
    elif strange or left:
        log.warning("%d files are named by no row, and most are not: they are left", len(strange) + len(left))
        left = []
    unused = [one for one in unused if _is_old(files.path(one), older_than)]
    left = [one for one in left if _is_old(files.bundle(one), older_than)]
    for one in unused:
        files.remove(one)
    for one in left:
        files.remove(one, "bundles")
    views = Views(files)
    orphans = [one for one in views.all() if not files.has(one)]
    for one in orphans:
        views.remove(one)
    parts = (*files.folder.glob("incoming/*.part"), *files.folder.glob("copies/.*.part"))
    return Swept(len(unused), len(left), len(orphans), _removed(parts, older_than))


def remove_copies(files: Files, older_than: timedelta) -> int:
    """Removes copies of the database that were made before it was upgraded; they hold what was deleted since.

    Returns:
        How many there were.
    """
    return _removed(_copies(files), older_than)


def _copies(files: Files) -> Iterator[Path]:
    for suffix in ("sqlite", "leukolens-backup"):
        yield from files.folder.glob(f"copies/before-*.{suffix}")


def _removed(paths: Iterable[Path], older_than: timedelta) -> int:
    count = 0
    for path in paths:
        if _is_old(path, older_than):
            path.unlink(missing_ok=True)
            count += 1
    return count


def _is_old(path: Path, age: timedelta) -> bool:
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > age.total_seconds()
    return False
