"""What a backup is restored from is checked first; what is not sound, or not empty, is left alone."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from leukolens.errors import ServerError
from leukolens.server.store import revisions, rows
from leukolens.server.store.backup import backup
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.restore import restore
from leukolens.server.store.tables import TrailEntry

MakeDatabase = Callable[[str], Database]
Content = Callable[[Database], dict[str, list[Any]]]
KINDS = ("sqlite", "postgresql")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def all_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@contextmanager
def altered(path: Path) -> Iterator[dict[str, bytes]]:
    """The members of a backup, to be changed; the ZIP is written anew and is sound as one."""
    with zipfile.ZipFile(path) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    yield members
    with zipfile.ZipFile(path, "w") as written:
        for name, member in members.items():
            written.writestr(name, member)


def manifest_changed(members: dict[str, bytes], change: Callable[[dict[str, Any]], None]) -> None:
    """As somebody would who knows about the checksums."""
    manifest = json.loads(members["manifest.json"])
    change(manifest)
    members["manifest.json"] = json.dumps(manifest).encode()
    members["manifest.sha256"] = sha256(members["manifest.json"]).encode()


class TestReading:
    @pytest.mark.parametrize("name", ["rows/cells.jsonl", "rows/trail.jsonl", "an image", "manifest.json"])
    @pytest.mark.parametrize("how", ["changed", "cut", "gone", "emptied"])
    def test_what_was_altered_is_found_and_nothing_is_restored(
        self,
        name: str,
        how: str,
        made: Path,
        empty: MakeDatabase,
        other_files: Files,
        images: tuple[bytes, ...],
    ) -> None:
        if name == "an image":
            name = f"files/images/{sha256(images[0])}"
        with altered(made) as members:
            if how == "changed":
                members[name] = members[name].replace(b"e", b"i", 1)
            elif how == "cut":
                members[name] = members[name][:-2]
            elif how == "emptied":
                members[name] = b""
            else:
                del members[name]
        self.refused(made, empty("sqlite"), other_files, "damaged")

    @pytest.mark.parametrize("kind", KINDS)
    def test_rows_altered_with_their_checksum_meet_the_chain_of_the_trail(
        self, kind: str, made: Path, empty: MakeDatabase, other_files: Files
    ) -> None:
        with altered(made) as members:
            changed = members["rows/trail.jsonl"].replace(b'"actor":"ann"', b'"actor":"ben"', 1)
            members["rows/trail.jsonl"] = changed

            def note(manifest: dict[str, Any]) -> None:
                for table in manifest["tables"]:
                    if table["table"] == "trail":
                        table["sha256"] = sha256(changed)

            manifest_changed(members, note)
        found = restore(made, empty(kind), other_files).trail
        assert found.problems == ("entry 1 is not what was written",)

    def test_a_trail_cut_with_its_checksum_is_found_by_the_reports_and_the_manifest(
        self, made: Path, empty: MakeDatabase, other_files: Files
    ) -> None:
        with altered(made) as members:
            cut = members["rows/trail.jsonl"].splitlines(keepends=True)[0]
            members["rows/trail.jsonl"] = cut

            def note(manifest: dict[str, Any]) -> None:
                for table in manifest["tables"]:
                    if table["table"] == "trail":
                        table.update(sha256=sha256(cut), rows=1)

            manifest_changed(members, note)
        assert len(restore(made, empty("sqlite"), other_files).trail.problems) == 1

    def test_fewer_rows_than_the_manifest_says_are_found(
        self, made: Path, empty: MakeDatabase, other_files: Files
    ) -> None:
        with altered(made) as members:
            manifest_changed(members, lambda manifest: manifest["tables"][0].update(rows=99))
        self.refused(made, empty("sqlite"), other_files, "missing")

    def test_a_row_that_is_none_is_found(self, made: Path, empty: MakeDatabase, other_files: Files) -> None:
        with altered(made) as members:
            members["rows/users.jsonl"] = b'{"id": 1}\n'
        self.refused(made, empty("sqlite"), other_files, "no row of users")

    @pytest.mark.parametrize("name", ["../../evil", "A" * 64])
    def test_a_file_that_would_lie_elsewhere_is_refused(
        self, name: str, made: Path, empty: MakeDatabase, other_files: Files
    ) -> None:
        with altered(made) as members:
            members[f"files/images/{name}"] = b"evil"
            manifest_changed(
                members, lambda m: m["files"].append({"kind": "images", "sha256": name, "bytes": 4})
            )
        with pytest.raises(ServerError):
            restore(made, empty("sqlite"), other_files)
        assert all_files(other_files.folder) == []
        assert not list(made.parent.rglob("evil"))

    def test_a_later_versions_backup_is_refused(
        self, made: Path, empty: MakeDatabase, other_files: Files
    ) -> None:
        with altered(made) as members:
            manifest_changed(members, lambda manifest: manifest.update(revision="9999", leukolens="9.1.0"))
        self.refused(made, empty("sqlite"), other_files, "later version .*9999.*Install Leukolens 9.1.0")

    @pytest.mark.parametrize("what", ["no zip", "another zip", "nothing", "a folder"])
    def test_what_is_no_backup_is_refused(
        self, what: str, empty: MakeDatabase, other_files: Files, tmp_path: Path
    ) -> None:
        path = tmp_path / "b"
        if what == "no zip":
            path.write_bytes(b"PK, but not really")
        elif what == "another zip":
            with zipfile.ZipFile(path, "w") as other:
                other.writestr("readme.txt", "hello")
        elif what == "a folder":
            path.mkdir()
        self.refused(path, empty("sqlite"), other_files, "no backup|cannot be read")

    def test_a_file_cut_off_is_refused(self, made: Path, empty: MakeDatabase, other_files: Files) -> None:
        made.write_bytes(made.read_bytes()[:-100])
        self.refused(made, empty("sqlite"), other_files, "damaged")

    def test_a_flipped_byte_anywhere_in_the_files_is_found(
        self, made: Path, empty: MakeDatabase, other_files: Files, images: tuple[bytes, ...]
    ) -> None:
        raw = made.read_bytes()
        at = raw.index(images[0])
        made.write_bytes(raw[:at] + b"F" + raw[at + 1 :])
        self.refused(made, empty("sqlite"), other_files, "damaged")

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_database_that_is_not_empty_is_left_alone(
        self, kind: str, made: Path, full: MakeDatabase, other_files: Files, content: Content
    ) -> None:
        target = full(kind)
        before = content(target)
        with pytest.raises(ServerError, match=r"not empty.*Name another --folder or --database"):
            restore(made, target, other_files)
        assert content(target) == before
        assert all_files(other_files.folder) == []

    def test_another_programs_database_is_left_alone(
        self, made: Path, empty: MakeDatabase, other_files: Files
    ) -> None:
        target = empty("sqlite")
        with target.writing() as session:
            session.execute(text("CREATE TABLE recipes (name VARCHAR(10))"))
        with pytest.raises(ServerError):
            restore(made, target, other_files)
        assert all_files(other_files.folder) == []

    def test_files_that_were_there_before_stay_where_restoring_fails(
        self, made: Path, full: MakeDatabase, files: Files
    ) -> None:
        """Somebody restores beside a server that runs: its images must not go with the failed attempt."""
        before = all_files(files.folder)
        with pytest.raises(ServerError, match="not empty"):
            restore(made, full("sqlite"), files)
        with altered(made) as members:
            members["rows/cells.jsonl"] = b""
        with pytest.raises(ServerError, match="damaged"):
            restore(made, Database("sqlite://"), files)
        assert all_files(files.folder) == before

    def test_after_a_failure_the_same_database_takes_a_sound_one(
        self, made: Path, empty: MakeDatabase, other_files: Files, tmp_path: Path
    ) -> None:
        sound = Path(shutil.copy(made, tmp_path / "sound"))
        with altered(made) as members:
            members["rows/trail.jsonl"] = b""
        target = empty("postgresql")
        self.refused(made, target, other_files, "damaged")
        assert restore(sound, target, other_files).trail.problems == ()

    @staticmethod
    def refused(path: Path, target: Database, files: Files, why: str) -> None:
        with pytest.raises(ServerError, match=why):
            restore(path, target, files)
        assert all_files(files.folder) == []
        with target.engine.connect() as connection:
            assert rows.empty(connection, rows.tables(connection))


def test_an_older_versions_backup_is_upgraded(
    made: Path, empty: MakeDatabase, other_files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, before = tmp_path / "migrations", revisions.newest()
    shutil.copytree(revisions.STEPS, steps, ignore=shutil.ignore_patterns("__pycache__"))
    (steps / "versions" / "later.py").write_text(
        f"import sqlalchemy as sa\nfrom alembic import op\nrevision, down_revision = 'later', '{before}'\n"
        "def upgrade():\n    op.add_column('users', sa.Column('pager', sa.String(20)))\n"
    )
    monkeypatch.setattr(revisions, "STEPS", steps)
    target = empty("sqlite")
    restore(made, target, other_files)
    with target.reading() as session:
        assert session.execute(text("SELECT name, pager FROM users")).all() == [("ann", None)]
        assert session.execute(text("SELECT version_num FROM alembic_version")).scalar() == "later"


def test_the_copy_before_an_upgrade_of_postgresql_can_be_restored(
    full: MakeDatabase, empty: MakeDatabase, files: Files, tmp_path: Path, content: Content
) -> None:
    source, target = full("postgresql"), empty("postgresql")
    assert backup(source, None, tmp_path / "copy").files == 0
    read = restore(tmp_path / "copy", target, files)
    assert (read.lost, read.trail.problems) == ((), ())
    assert content(target) == content(source)


def test_a_broken_trail_keeps_nobody_from_the_rest(
    full: MakeDatabase,
    empty: MakeDatabase,
    files: Files,
    other_files: Files,
    tmp_path: Path,
    content: Content,
) -> None:
    source = full("sqlite")
    with source.writing() as session:
        session.execute(update(TrailEntry).where(TrailEntry.id == 1).values(actor="ben"))
    backup(source, files, tmp_path / "b")
    target = empty("sqlite")
    assert restore(tmp_path / "b", target, other_files).trail.problems == ("entry 1 is not what was written",)
    assert content(target) == content(source)
