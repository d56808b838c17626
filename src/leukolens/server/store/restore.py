"""A backup into an empty database, SQLite or PostgreSQL, whichever it was made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from leukolens.errors import ServerError, Unfit
from leukolens.server.store import archive, rows, trail
from leukolens.server.store.backup import Progress, named_files
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files, Kind
from leukolens.server.store.known import on_reports
from leukolens.server.store.migrate import migrate
from leukolens.server.store.revisions import first_line, is_known, revision


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored.

    Attributes:
        made: When the backup was, ISO 8601.
        rows: Of all tables.
        files: Images and bundles that were in the backup.
        lost: Those that are named by a row, and are not there: ``images/...``.
        trail: What checking the audit trail found.
    """

    made: str
    rows: int
    files: int
    lost: tuple[str, ...]
    trail: trail.Verified


def restore(path: Path, database: Database, files: Files, progress: Progress | None = None) -> Restored:
    """Puts a backup into an empty database and its files beside it; all of it, or nothing.

    What the audit trail says afterwards is told, not judged: a trail that was broken when the backup was made
    must not keep anyone from the rest.

    Args:
        path: The backup's file.
        database: A new one, or one with tables and no rows.
        files: Where its images and bundles go.
        progress: Told of every file.

    Raises:
        ServerError: Where the backup is damaged or of a later version, or the database not empty.
    """
    new: list[archive.File] = []
    try:
        with archive.reading(path) as (source, manifest):
            _prepare(database, files.folder, manifest)
            for done, part in enumerate(manifest.files, 1):
                if not files.has(part.sha256, part.kind):
                    new.append(part)
                _put(source, files, part)
                if progress:
                    progress(done, len(manifest.files))
            with database.writing() as session:
                named = _insert(session.connection(), source, manifest)
    except BaseException as error:
        for part in new:
            files.remove(part.sha256, part.kind)
        if isinstance(error, DBAPIError):
            raise ServerError(
                f"the rows of {path} do not fit into the database ({first_line(error)})",
                "Take another backup, or restore it into SQLite",
            ) from error
        raise
    migrate(database, files.folder)
    lost = tuple(f"{kind}/{sha256}" for kind, sha256 in named if not files.has(sha256, kind))
    with database.reading() as session:
        known = (*on_reports(session), ("the backup's manifest", manifest.trail_hash))
        found = trail.verify(session, known)
    return Restored(manifest.made, archive.total(manifest.tables), len(manifest.files), lost, found)


def _prepare(database: Database, folder: Path, manifest: archive.Manifest) -> None:
    if not is_known(manifest.revision):
        raise ServerError(
            f"the backup is of a later version of Leukolens (its tables are {manifest.revision})",
            f"Install Leukolens {manifest.leukolens} or later",
        )
    with database.engine.connect() as connection:
        there = revision(connection)
        if there not in (None, manifest.revision) or not rows.empty(connection, rows.tables(connection)):
            raise ServerError(
                "the database is not empty, and a backup goes into an empty one only",
                "Name another --folder or --database, or move this one away",
            )
    migrate(database, folder, manifest.revision)


def _put(source: archive.Source, files: Files, part: archive.File) -> None:
    with source.open(part.member) as stream:
        try:
            kept = files.put(cast(BinaryIO, stream), part.bytes, part.kind)
        except Unfit as error:
            raise archive.DamagedError(f"{part.member} is longer than what was written") from error
    if kept.sha256 != part.sha256:
        files.remove(kept.sha256, part.kind)
        raise archive.DamagedError(f"{part.member} is not what was written")


def _insert(
    connection: Connection, source: archive.Source, manifest: archive.Manifest
) -> list[tuple[Kind, str]]:
    found = rows.tables(connection)
    if {table.name for table in found} != {part.table for part in manifest.tables}:
        raise archive.DamagedError("its tables are not those of its version")
    if not rows.empty(connection, found):
        raise ServerError("the database was written to meanwhile", "Stop the server that uses it")
    by_name = {part.table: part for part in manifest.tables}
    for table in found:
        part = by_name[table.name]
        try:
            count = rows.read(connection, table, archive.checked_lines(source, part))
        except (ValueError, TypeError) as error:
            raise archive.DamagedError(str(error)) from error
        if count != part.rows:
            raise archive.DamagedError(f"rows of {table.name} are missing")
    return named_files(connection, found)
