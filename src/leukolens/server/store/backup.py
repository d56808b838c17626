"""Everything that a server remembers into one file, of SQLite as of PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from sqlalchemy import Connection, Table, select
from sqlalchemy.exc import DBAPIError

from leukolens import __version__
from leukolens.errors import ServerError
from leukolens.server.store import archive, rows, trail
from leukolens.server.store.columns import now
from leukolens.server.store.database import Database
from leukolens.server.store.files import CHUNK, KINDS, Files, Kind
from leukolens.server.store.revisions import first_line
from leukolens.server.store.revisions import revision as revision_of

Progress = Callable[[int, int], None]
"""Told how many files are done, and of how many."""
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds.

    Attributes:
        path: Its file.
        bytes: That the file has.
        rows: Of all tables.
        files: Images and bundles.
        lost: Those that are missing from the server's folder, or damaged there, and so not in it: ``images/...``.
        trail_hash: The newest hash of the audit trail.
    """

    path: Path
    bytes: int
    rows: int
    files: int
    lost: tuple[str, ...]
    trail_hash: str


class _ChangedMeanwhileError(Exception):
    """A file that was to be packed went, because its row did."""


def backup(database: Database, files: Files | None, path: Path, progress: Progress | None = None) -> Backup:
    """Writes a backup of one moment while the server goes on; it is complete, or not there.

    Args:
        database: What to back up.
        files: What to back up with it; None for the rows alone.
        path: The backup's file; one that is there is replaced.
        progress: Told of every file.

    Raises:
        ServerError: Where the database cannot be read, or the backup not be written.
    """
    for attempt in range(ATTEMPTS):
        try:
            with archive.writing(path) as writer:
                manifest = _write(database, files, writer, progress, last=attempt == ATTEMPTS - 1)
        except _ChangedMeanwhileError:
            continue
        except DBAPIError as error:
            raise ServerError(
                f"the database cannot be read ({first_line(error)})", "Check that it can be reached"
            ) from error
        return Backup(
            path,
            path.stat().st_size,
            archive.total(manifest.tables),
            len(manifest.files),
            manifest.lost,
            manifest.trail_hash,
        )
    raise AssertionError("the last attempt takes what there is")


def _write(
    database: Database, files: Files | None, writer: archive.Writer, progress: Progress | None, *, last: bool
) -> archive.Manifest:
    with _one_moment(database) as connection:
        revision = revision_of(connection)
        if revision is None:
            raise ServerError(
                "the database has no tables of Leukolens",
                "Start `leukolens serve` with it once, or name another",
            )
        found = rows.tables(connection)
        parts = tuple(_rows(connection, table, writer) for table in found)
        named = named_files(connection, found) if files else []
        trail_hash = _newest(connection, found)
    packed: list[archive.File] = []
    lost: list[tuple[Kind, str]] = []
    for done, (kind, sha256) in enumerate(named, 1):
        assert files is not None
        size = _pack(files, kind, sha256, writer)
        if size is None:
            lost.append((kind, sha256))
        else:
            packed.append(archive.File(kind=kind, sha256=sha256, bytes=size))
        if progress:
            progress(done, len(named))
    if lost and not last:
        with _one_moment(database) as connection:
            if not set(lost) <= set(named_files(connection, rows.tables(connection))):
                raise _ChangedMeanwhileError
    manifest = archive.Manifest(
        leukolens=__version__,
        made=now().isoformat(timespec="seconds"),
        revision=revision,
        trail_hash=trail_hash,
        tables=parts,
        files=tuple(packed),
        lost=tuple(f"{kind}/{sha256}" for kind, sha256 in lost),
    )
    writer.close(manifest)
    return manifest


@contextmanager
def _one_moment(database: Database) -> Iterator[Connection]:
    """A connection that sees the database as it is now, whatever is written meanwhile."""
    with database.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        yield connection


def _rows(connection: Connection, table: Table, writer: archive.Writer) -> archive.Rows:
    with writer.member(f"rows/{table.name}.jsonl", packed=True) as stream:
        count = rows.write(connection, table, cast(BinaryIO, stream))
    return archive.Rows(table=table.name, rows=count, sha256=stream.sha256)


def _pack(files: Files, kind: Kind, sha256: str, writer: archive.Writer) -> int | None:
    """How many bytes it has; None where it cannot be read, or is damaged."""
    try:
        source = files.open(sha256, kind)
    except ServerError:
        return None
    with source, writer.member(archive.file_member(kind, sha256), packed=False) as stream:
        while True:
            try:
                chunk = source.read(CHUNK)
            except OSError:
                return None
            if not chunk:
                return stream.bytes if stream.sha256 == sha256 else None
            stream.write(chunk)


def named_files(connection: Connection, found: list[Table]) -> list[tuple[Kind, str]]:
    """The files that rows name; an image of deleted samples alone is erased, and its row says that it was there."""
    by_name = {table.name: table for table in found}
    fields, samples = by_name["fields"], by_name["samples"]
    having = select(fields.c.image_sha256).join(samples, samples.c.id == fields.c.sample_id)
    erased = set(connection.scalars(having.where(samples.c.deleted.is_not(None))))
    erased -= set(connection.scalars(having.where(samples.c.deleted.is_(None))))
    return [
        (kind, sha256)
        for kind in KINDS
        for sha256 in rows.digests(connection, by_name[kind])
        if kind != "images" or sha256 not in erased
    ]


def _newest(connection: Connection, found: list[Table]) -> str:
    table = next(table for table in found if table.name == "trail")
    newest = select(table.c.hash).order_by(table.c.id.desc()).limit(1)
    return connection.execute(newest).scalar() or trail.FIRST
