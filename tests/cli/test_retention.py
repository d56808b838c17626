"""`leukolens retention`: says what is old, and deletes it where that is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from leukolens.cli.main import app
from leukolens.server.actor import SERVER
from leukolens.server.intake import samples
from leukolens.server.settings import Settings
from leukolens.server.store.columns import now
from leukolens.server.store.database import Database
from leukolens.server.store.migrate import migrate
from leukolens.server.store.tables import BundleFile, Identity


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(Settings(tmp_path).url)
    migrate(found, tmp_path)
    with found.writing() as session:
        session.add(BundleFile(sha256="b" * 64, name="drawn", active=True))
        session.flush()
        for days in (10, 400):
            made = samples.create(session, SERVER, identifier=f"Jane Doe {days}")
            made.key, made.created = f"AGED2{days:03}", now() - timedelta(days=days)
    yield found
    found.close()


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["retention", "--folder", str(folder), *words])


def left(database: Database) -> list[str]:
    with database.reading() as session:
        return sorted(session.scalars(select(Identity.identifier)))


def test_it_lists_what_is_old_and_names_nobody(tmp_path: Path, database: Database) -> None:
    ended = run(tmp_path, "--older-than", "365")
    created = now() - timedelta(days=400)
    assert (ended.exit_code, ended.stdout) == (0, f"AGED2400  created {created:%Y-%m-%d}\n")
    assert ended.stderr == "1 sample older than 365 days; --delete deletes them.\n"
    assert len(left(database)) == 2


def test_it_deletes_where_that_is_asked_for(tmp_path: Path, database: Database) -> None:
    ended = run(tmp_path, "--older-than", "365", "--delete", "--json")
    said = json.loads(ended.stdout)
    assert (ended.exit_code, said["schema"], said["deleted"]) == (0, "leukolens.retention/1", True)
    assert [(one["key"], one["state"], one["signed"]) for one in said["samples"]] == [
        ("AGED2400", "open", None)
    ]
    assert left(database) == ["Jane Doe 10"]
    assert run(tmp_path, "--older-than", "365", "--delete").stderr.startswith("0 samples deleted")


@pytest.mark.parametrize("words", [(), ("--older-than", "0"), ("--older-than", "a year")])
def test_an_age_that_is_none_is_wrong_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert run(tmp_path, *words).exit_code == 2


def test_a_mistyped_folder(tmp_path: Path) -> None:
    ended = run(tmp_path / "mistyped", "--older-than", "365")
    assert (ended.exit_code, "there is no server's database" in ended.stderr) == (1, True)
