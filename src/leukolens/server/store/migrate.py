"""The database's tables are made, or brought to this version's: forwards only, and after a copy."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from leukolens.errors import ServerError
from leukolens.server.store.backup import backup
from leukolens.server.store.columns import now
from leukolens.server.store.database import Database
from leukolens.server.store.files import OURS_ALONE, sync_folder
from leukolens.server.store.revisions import first_line, is_known, newest, revision, scripts

POSTGRESQL_LOCK = 0x1E0C1


def migrate(database: Database, folder: Path, to: str | None = None) -> None:
    """Makes the tables, or upgrades them; all of it is kept, or nothing. Several processes may do so at once.

    Args:
        database: Where.
        folder: The server's; what is upgraded is copied into ``copies`` in it first. Of PostgreSQL the copy is a
            backup without the files, which `restore` takes.
        to: The revision to go to; this version's newest by default.

    Raises:
        ServerError: Where the database is a later version's or another program's, cannot be reached, or the copy
            cannot be made.
    """
    to = to or newest()
    try:
        with database.engine.connect() as connection:
            if revision(connection) == to:
                return
        with _alone(database) as connection:
            there = revision(connection)
            if there == to:
                return  # another process was quicker
            _refuse(connection, there)
            if there is not None:
                _copy(database, folder, there)
            command.upgrade(_config(connection), to)
    except DBAPIError as error:
        raise ServerError(
            f"the tables of the database cannot be made or upgraded ({first_line(error)})",
            "Check that it can be reached and written to, and try again",
        ) from error


def _refuse(connection: Connection, there: str | None) -> None:
    if there is None and inspect(connection).get_table_names():
        raise ServerError(
            "the database has tables, but none that say that Leukolens made them",
            "Name an empty database, or leave --database out",
        )
    if there is not None and not is_known(there):
        raise ServerError(
            f"the database was made by a later version of Leukolens (its tables are {there}, "
            f"this version's {newest()})",
            "Install that version, or restore a backup into another database",
        )


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", scripts().dir.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _alone(database: Database) -> Iterator[Connection]:
    """A connection in a transaction that no other of this kind runs beside."""
    with database.engine.connect() as connection:
        if connection.dialect.name != "sqlite":
            with connection.begin():
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": POSTGRESQL_LOCK})
                yield connection
            return
        # SQLite changes a table by making it anew: references must rest meanwhile, and can't within a transaction.
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.execution_options(begin="BEGIN IMMEDIATE").begin():
                yield connection
                if connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise ServerError(
                        "the upgraded database has rows that refer to nothing; it stays as it was",
                        "Report this to the authors, with the command's output",
                    )
        finally:
            driver.execute("PRAGMA foreign_keys=ON")


def _copy(database: Database, folder: Path, there: str) -> None:
    copies = folder / "copies"
    stem = f"before-{newest()}-from-{there}-{now():%Y%m%dT%H%M%S%fZ}"
    try:
        copies.mkdir(parents=True, exist_ok=True, mode=OURS_ALONE)
        if database.engine.dialect.name == "sqlite":
            _copy_sqlite(database, copies / f"{stem}.sqlite")
        else:
            backup(database, None, copies / f"{stem}.leukolens-backup")
    except (OSError, sqlite3.Error) as error:
        raise ServerError(
            f"no copy of the database can be made in {copies} ({error}), and it is not upgraded without one",
            "Free some space, or check the folder's permissions",
        ) from error


def _copy_sqlite(database: Database, path: Path) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.touch(mode=0o600)
        with closing(database.engine.raw_connection()) as source, closing(sqlite3.connect(part)) as target:
            driver: Any = source.driver_connection
            driver.backup(target)
        with part.open("r+b") as stream:
            os.fsync(stream.fileno())
        part.replace(path)
        sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)
