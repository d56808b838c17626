"""The tables are what `tables` says, on both databases; upgrades keep all or nothing, after a copy."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text

from leukolens.errors import ServerError
from leukolens.server.store import revisions as module
from leukolens.server.store.database import Database
from leukolens.server.store.migrate import migrate
from leukolens.server.store.revisions import is_known, newest, revision
from leukolens.server.store.tables import Base, User

MakeDatabase = Callable[[str], Database]
BOTH = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])


def revision_of(database: Database) -> str | None:
    with database.engine.connect() as connection:
        return revision(connection)


def described(database: Database) -> dict[str, Any]:
    """All that the database says of its tables, names of keys and indices included."""
    found = inspect(database.engine)

    def table(name: str) -> dict[str, Any]:
        columns = [{**c, "type": str(c["type"]), "comment": None} for c in found.get_columns(name)]
        return {
            "columns": sorted(columns, key=lambda c: str(c["name"])),
            "key": found.get_pk_constraint(name),
            "references": sorted(found.get_foreign_keys(name), key=str),
            "indices": sorted(found.get_indexes(name), key=str),
            "unique": sorted(found.get_unique_constraints(name), key=str),
        }

    return {name: table(name) for name in found.get_table_names() if name != "alembic_version"}


@BOTH
class TestTheFirstTables:
    def test_autogenerate_finds_no_difference(self, kind: str, migrated: MakeDatabase) -> None:
        with migrated(kind).engine.connect() as connection:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "compare_server_default": True}
            )
            assert compare_metadata(context, Base.metadata) == []

    def test_they_are_those_that_the_classes_would_make(
        self, kind: str, migrated: MakeDatabase, empty: MakeDatabase
    ) -> None:
        other = empty(kind)
        Base.metadata.create_all(other.engine)
        assert described(migrated(kind)) == described(other)

    def test_an_empty_database_gets_them_and_no_copy(
        self, kind: str, empty: MakeDatabase, tmp_path: Path
    ) -> None:
        database = empty(kind)
        migrate(database, tmp_path)
        assert revision_of(database) == newest()
        assert not (tmp_path / "copies").exists()

    def test_a_second_start_changes_nothing(self, kind: str, migrated: MakeDatabase, tmp_path: Path) -> None:
        database = migrated(kind)
        add_user(database)
        migrate(database, tmp_path)
        assert users(database) == ["ann"]
        assert not (tmp_path / "copies").exists()

    def test_many_at_once_make_them_once(
        self, kind: str, url_of: Callable[[str], str], tmp_path: Path
    ) -> None:
        url, start = url_of(kind), Barrier(6)

        def begin(_: int) -> str | None:
            start.wait()
            database = Database(url)
            try:
                migrate(database, tmp_path)
                return revision_of(database)
            finally:
                database.close()

        with ThreadPoolExecutor(6) as pool:
            assert set(pool.map(begin, range(6))) == {newest()}

    def test_two_processes_at_once_make_them_once(
        self, kind: str, url_of: Callable[[str], str], tmp_path: Path
    ) -> None:
        program = """
import sys
from pathlib import Path
from leukolens.server.store.database import Database
from leukolens.server.store.migrate import migrate
migrate(Database(sys.argv[1]), Path(sys.argv[2]))
"""
        command = [sys.executable, "-c", program, url_of(kind), str(tmp_path)]
        running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        assert [(process.communicate()[1], process.returncode) for process in running] == [("", 0)] * 2

    def test_another_programs_tables_are_left_alone(
        self, kind: str, empty: MakeDatabase, tmp_path: Path
    ) -> None:
        database = empty(kind)
        with database.writing() as session:
            session.execute(text("CREATE TABLE recipes (name VARCHAR(10))"))
        with pytest.raises(ServerError, match="none that say that Leukolens made them"):
            migrate(database, tmp_path)
        assert inspect(database.engine).get_table_names() == ["recipes"]

    def test_a_later_versions_database_is_refused_and_left_alone(
        self, kind: str, migrated: MakeDatabase, tmp_path: Path
    ) -> None:
        database = migrated(kind)
        with database.writing() as session:
            session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(ServerError, match=r"later version of Leukolens .*9999.*Install that version"):
            migrate(database, tmp_path)
        assert revision_of(database) == "9999"
        assert not (tmp_path / "copies").exists()


NOW = newest()
SECOND = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "later", "{before}"
def upgrade():
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("pager", sa.String(20)))
        users.alter_column("full_name", type_=sa.String(300))
    {more}
"""


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Gives this version one more step, which makes the table of users anew on SQLite."""

    def make(more: str = "pass") -> None:
        steps = tmp_path / "50% of migrations"  # a name that a careless configuration would stumble over
        shutil.copytree(module.STEPS, steps, ignore=shutil.ignore_patterns("__pycache__"))
        (steps / "versions" / "later.py").write_text(SECOND.format(more=more, before=NOW))
        monkeypatch.setattr(module, "STEPS", steps)

    return make


def add_user(database: Database) -> None:
    """A person whom another row refers to."""
    with database.writing() as session:
        session.add(User(name="ann", full_name="Ann", role="reader", password_hash="none"))
        session.flush()
        session.execute(
            text(
                "INSERT INTO logins (token_hash, user_id, created, expires) SELECT 'h', id, 'c', 'e' FROM users"
            )
        )


def users(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(User.name)))


def columns(database: Database) -> set[str]:
    return {column["name"] for column in inspect(database.engine).get_columns("users")}


@BOTH
class TestAnUpgrade:
    def test_it_keeps_the_rows(
        self, kind: str, migrated: MakeDatabase, next_version: Callable[[], None], tmp_path: Path
    ) -> None:
        database = migrated(kind)
        add_user(database)
        next_version()
        migrate(database, tmp_path)
        assert revision_of(database) == "later"
        assert "pager" in columns(database)
        assert users(database) == ["ann"]
        with database.reading() as session:
            assert (
                session.execute(text("SELECT count(*) FROM logins JOIN users ON user_id = id")).scalar() == 1
            )

    def test_references_are_watched_again_afterwards(
        self, kind: str, migrated: MakeDatabase, next_version: Callable[[], None], tmp_path: Path
    ) -> None:
        database = migrated(kind)
        next_version()
        migrate(database, tmp_path)
        with pytest.raises(Exception, match=r"(?i)foreign key"), database.writing() as session:
            session.execute(
                text("INSERT INTO logins (token_hash, user_id, created, expires) VALUES ('h', 77, 'c', 'e')")
            )

    def test_a_step_that_fails_leaves_the_database_as_it_was(
        self, kind: str, migrated: MakeDatabase, next_version: Callable[[str], None], tmp_path: Path
    ) -> None:
        database = migrated(kind)
        add_user(database)
        next_version("op.execute('UPDATE no_such_table SET x = 1')")
        with pytest.raises(ServerError, match="cannot be made or upgraded"):
            migrate(database, tmp_path)
        assert revision_of(database) == NOW
        assert "pager" not in columns(database)
        assert users(database) == ["ann"]

    def test_without_a_copy_there_is_none(
        self, kind: str, migrated: MakeDatabase, next_version: Callable[[], None], tmp_path: Path
    ) -> None:
        database = migrated(kind)
        next_version()
        (tmp_path / "blocked").write_text("a file where a folder should be")
        with pytest.raises(ServerError, match="no copy"):
            migrate(database, tmp_path / "blocked")
        assert revision_of(database) == NOW

    def test_many_at_once_upgrade_and_copy_once(
        self, kind: str, migrated: MakeDatabase, next_version: Callable[[], None], tmp_path: Path
    ) -> None:
        database, start = migrated(kind), Barrier(4)
        next_version()

        def begin(_: int) -> None:
            start.wait()
            migrate(database, tmp_path)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(begin, range(4)))
        assert revision_of(database) == "later"
        assert len(list((tmp_path / "copies").iterdir())) == 1

    def test_it_goes_no_further_than_asked(
        self, kind: str, empty: MakeDatabase, next_version: Callable[[], None], tmp_path: Path
    ) -> None:
        next_version()
        database = empty(kind)
        migrate(database, tmp_path, NOW)
        assert revision_of(database) == NOW
        assert (is_known("later"), is_known("still later"), newest()) == (True, False, "later")


class TestTheCopy:
    def test_of_sqlite_it_is_the_whole_database_as_it_was(
        self, migrated: MakeDatabase, next_version: Callable[[], None], tmp_path: Path
    ) -> None:
        database = migrated("sqlite")
        add_user(database)
        next_version()
        migrate(database, tmp_path)
        (copy,) = (tmp_path / "copies").iterdir()
        assert copy.suffix == ".sqlite"
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        with sqlite3.connect(copy) as connection:
            assert connection.execute("SELECT name FROM users").fetchall() == [("ann",)]
            assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(NOW,)]
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()

    def test_of_postgresql_it_is_a_backup_of_the_rows(
        self, migrated: MakeDatabase, next_version: Callable[[], None], tmp_path: Path
    ) -> None:
        database = migrated("postgresql")
        add_user(database)
        next_version()
        migrate(database, tmp_path)
        (copy,) = (tmp_path / "copies").iterdir()
        with zipfile.ZipFile(copy) as archive:
            assert b'"ann"' in archive.read("rows/users.jsonl")

    def test_rows_that_refer_to_nothing_stop_the_upgrade(
        self, migrated: MakeDatabase, next_version: Callable[[str], None], tmp_path: Path
    ) -> None:
        database = migrated("sqlite")
        add_user(database)
        next_version("op.execute('DELETE FROM users')")
        with pytest.raises(ServerError, match="refer to nothing"):
            migrate(database, tmp_path)
        assert users(database) == ["ann"]
