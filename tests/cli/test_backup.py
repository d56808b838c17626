"""`leukolens backup` and `leukolens restore`: one command each, one line where something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

import leukolens
from leukolens.cli.main import app
from leukolens.server.actor import SERVER
from leukolens.server.settings import Settings
from leukolens.server.store import trail
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files, Kept
from leukolens.server.store.migrate import migrate
from leukolens.server.store.tables import Image


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a server that has been started."""
    return tmp_path / "server"


@pytest.fixture
def kept(folder: Path) -> Kept:
    """An image of the server's, with its row and an entry in the trail."""
    files, database = Files(folder), Database(Settings(folder).url)
    migrate(database, folder)
    image = files.put(BytesIO(b"a field"), 100)
    with database.writing() as session:
        session.add(Image(sha256=image.sha256, bytes=image.bytes))
        trail.append(session, SERVER, "receive", "sample 3F7KQ2AB")
    database.close()
    return image


def test_there_and_back(folder: Path, kept: Kept, tmp_path: Path) -> None:
    written = run("backup", tmp_path / "b", "--folder", folder)
    assert (written.exit_code, written.stderr) == (0, "")
    assert written.stdout == f"{tmp_path / 'b'}: 2 rows, 1 files, 0.0 MiB\n"
    read = run("restore", tmp_path / "b", "--folder", tmp_path / "new")
    assert (read.exit_code, read.stderr) == (0, "")
    assert "2 rows, 1 files of " in read.stdout
    assert "; the audit trail holds, newest hash " in read.stdout
    assert Files(tmp_path / "new").verify(kept.sha256) == kept
    database = Database(Settings(tmp_path / "new").url)
    with database.reading() as session:
        assert list(session.scalars(select(Image.sha256))) == [kept.sha256]
    database.close()


@pytest.mark.usefixtures("kept")
def test_json(folder: Path, tmp_path: Path) -> None:
    written = json.loads(run("backup", tmp_path / "b", "--folder", folder, "--json").stdout)
    assert written.pop("bytes") == (tmp_path / "b").stat().st_size
    newest = written.pop("trail_hash")
    assert written == {
        "schema": "leukolens.backup/1", "leukolens": leukolens.__version__, "path": str(tmp_path / "b"),
        "rows": 2, "files": 1, "lost": [],
    }  # fmt: skip
    read = json.loads(run("restore", tmp_path / "b", "--folder", tmp_path / "new", "--json").stdout)
    assert read.pop("made").startswith("20")
    assert read == {
        "schema": "leukolens.restore/1", "leukolens": leukolens.__version__, "rows": 2, "files": 1, "lost": [],
        "trail": {"entries": 1, "newest": newest, "problems": []},
    }  # fmt: skip


def test_a_database_elsewhere(folder: Path, kept: Kept, tmp_path: Path) -> None:
    run("backup", tmp_path / "b", "--folder", folder)
    url = f"sqlite:///{tmp_path / 'elsewhere.sqlite'}"
    assert run("restore", tmp_path / "b", "--folder", tmp_path / "new", "--database", url).exit_code == 0
    assert (tmp_path / "elsewhere.sqlite").exists()
    assert not (tmp_path / "new" / "leukolens.sqlite").exists()
    again = run("backup", tmp_path / "c", "--folder", tmp_path / "new", "--database", url, "--json")
    assert json.loads(again.stdout)["rows"] == 2
    assert Files(tmp_path / "new").has(kept.sha256)


def test_a_lost_image_is_told_and_the_backup_is_there(folder: Path, kept: Kept, tmp_path: Path) -> None:
    Files(folder).remove(kept.sha256)
    written = run("backup", tmp_path / "b", "--folder", folder)
    assert written.exit_code == 1
    assert "the backup was written, but lacks 1 files" in written.stderr
    assert written.stderr.count("\n") == 1
    read = run("restore", tmp_path / "b", "--folder", tmp_path / "new")
    assert read.exit_code == 1
    assert f"images/{kept.sha256} is not in the backup" in read.stderr


@pytest.mark.usefixtures("kept")
def test_a_folder_in_use_is_not_restored_into(folder: Path, tmp_path: Path) -> None:
    run("backup", tmp_path / "b", "--folder", folder)
    refused = run("restore", tmp_path / "b", "--folder", folder)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("the database is not empty")


def test_a_mistyped_folder_is_not_made(tmp_path: Path) -> None:
    refused = run("backup", tmp_path / "b", "--folder", tmp_path / "mistyped")
    assert refused.exit_code == 1
    assert "there is no folder" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_database_gets_none(tmp_path: Path) -> None:
    (tmp_path / "mistyped").mkdir()
    refused = run("backup", tmp_path / "b", "--folder", tmp_path / "mistyped")
    assert refused.exit_code == 1
    assert "there is no server's database at sqlite:///" in refused.stderr
    assert not (tmp_path / "b").exists()
    assert not list((tmp_path / "mistyped").rglob("*.sqlite*"))


def test_what_is_no_backup_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("hello")
    refused = run("restore", tmp_path / "b", "--folder", tmp_path / "new")
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "is damaged, or no backup" in refused.stderr


@pytest.mark.parametrize("arguments", [["backup", "b"], ["restore", "b"], ["audit-trail", "verify"]])
def test_without_the_extra_one_line_says_how_to_get_it(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "leukolens-server").mkdir()
    program = """
import sys
sys.modules["sqlalchemy"] = None
from leukolens.cli.main import main
main()
"""
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == 'sqlalchemy is not installed. Install it with `pip install "leukolens[serve]"`.\n'
