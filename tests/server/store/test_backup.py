"""A backup holds one moment, whole; and goes into an empty database of either kind as it was."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import text

from leukolens.errors import ServerError
from leukolens.server.actor import Actor
from leukolens.server.store import rows, trail
from leukolens.server.store.backup import backup
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.restore import restore
from leukolens.server.store.tables import Cell, Field, Sample, User

MakeDatabase = Callable[[str], Database]
Content = Callable[[Database], dict[str, list[Any]]]
KINDS = ("sqlite", "postgresql")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def all_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


class TestThereAndBack:
    @pytest.mark.parametrize("start", KINDS)
    @pytest.mark.parametrize("end", KINDS)
    def test_every_row_and_every_file_is_as_it_was(
        self,
        start: str,
        end: str,
        full: MakeDatabase,
        empty: MakeDatabase,
        files: Files,
        other_files: Files,
        tmp_path: Path,
        content: Content,
        images: tuple[bytes, ...],
        bundle: bytes,
    ) -> None:
        source, target = full(start), empty(end)
        written = backup(source, files, tmp_path / "b")
        read = restore(tmp_path / "b", target, other_files)
        before = content(source)
        assert all(before.values()), "a table has no row to compare"
        assert content(target) == before
        for image in images:
            assert other_files.path(sha256(image)).read_bytes() == image
        assert other_files.bundle(sha256(bundle)).read_bytes() == bundle
        count = sum(map(len, before.values()))
        assert (written.rows, written.files, written.lost) == (count, 4, ())
        assert (read.rows, read.files, read.lost) == (count, 4, ())
        assert written.bytes == (tmp_path / "b").stat().st_size
        assert (read.trail.entries, read.trail.newest, read.trail.problems) == (2, written.trail_hash, ())

    @pytest.mark.parametrize("end", KINDS)
    def test_new_rows_get_numbers_after_those_restored(
        self, end: str, made: Path, empty: MakeDatabase, other_files: Files
    ) -> None:
        target = empty(end)
        restore(made, target, other_files)
        with target.writing() as session:
            user = User(name="ben", full_name="Ben", role="reader", password_hash="none")
            session.add(user)
            cell = Cell(sample_id=7, field_id=1, x0=0, y0=0, x1=1, y1=1)
            session.add(cell)
            session.flush()
            assert (user.id, cell.id) == (42, 902)
            trail.append(session, Actor(42, "ben", "reader"), "label", "cell 902")
        with target.reading() as session:
            assert trail.verify(session).problems == ()

    def test_a_column_without_a_value_is_empty_not_the_json_null(
        self, made: Path, empty: MakeDatabase, other_files: Files
    ) -> None:
        target = empty("postgresql")
        restore(made, target, other_files)
        with target.reading() as session:
            assert session.execute(text("SELECT count(*) FROM jobs WHERE result IS NULL")).scalar() == 1

    def test_a_database_with_tables_and_no_rows_is_empty(
        self, made: Path, migrated: MakeDatabase, other_files: Files
    ) -> None:
        assert restore(made, migrated("sqlite"), other_files).rows > 0

    def test_of_nothing_there_is_a_backup_too(
        self, migrated: MakeDatabase, empty: MakeDatabase, files: Files, other_files: Files, tmp_path: Path
    ) -> None:
        assert backup(migrated("sqlite"), files, tmp_path / "b").rows == 0
        restored = restore(tmp_path / "b", empty("sqlite"), other_files)
        assert (restored.rows, restored.trail.problems) == (0, ())

    def test_more_rows_than_go_at_once(
        self,
        full: MakeDatabase,
        empty: MakeDatabase,
        files: Files,
        other_files: Files,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        content: Content,
    ) -> None:
        source, target = full("sqlite"), empty("sqlite")
        monkeypatch.setattr(rows, "AT_ONCE", 1)
        backup(source, files, tmp_path / "b")
        restore(tmp_path / "b", target, other_files)
        assert content(target) == content(source)

    def test_progress_is_told_file_by_file(
        self, full: MakeDatabase, empty: MakeDatabase, files: Files, other_files: Files, tmp_path: Path
    ) -> None:
        told: list[tuple[int, int]] = []
        backup(full("sqlite"), files, tmp_path / "b", lambda done, total: told.append((done, total)))
        restore(tmp_path / "b", empty("sqlite"), other_files, lambda done, total: told.append((done, total)))
        assert told == [(number, 4) for number in range(1, 5)] * 2


class TestWriting:
    @pytest.mark.parametrize("kind", KINDS)
    def test_it_is_of_one_moment_while_others_write(
        self,
        kind: str,
        full: MakeDatabase,
        empty: MakeDatabase,
        files: Files,
        other_files: Files,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        content: Content,
        images: tuple[bytes, ...],
        bundle: bytes,
    ) -> None:
        """Between any two tables, another connection adds a sample, a field of it and an entry of the trail."""
        source = full(kind)
        before = content(source)
        write, number = rows.write, iter(range(100))

        def interrupted(connection: Any, table: Any, stream: Any) -> int:
            added = next(number)
            key = f"NEW{added}"
            with source.writing() as session:
                sample = Sample(id=100 + added, key=key, bundle_sha256=sha256(bundle))
                session.add(sample)
                session.flush()
                image = sha256(images[0])
                session.add(Field(id=100 + added, sample_id=sample.id, place=1, image_sha256=image))
                trail.append(session, Actor(41, "ann", "reviewer"), "create", f"sample {key}")
            return write(connection, table, stream)

        monkeypatch.setattr(rows, "write", interrupted)
        backup(source, files, tmp_path / "b")
        monkeypatch.undo()
        assert len(content(source)["samples"]) > 15
        target = empty("sqlite")
        found = restore(tmp_path / "b", target, other_files)
        # What came before the first look may be in it, but only as a whole.
        restored = content(target)
        added = len(restored["samples"]) - len(before["samples"])
        assert added in (0, 1)
        assert len(restored["fields"]) - len(before["fields"]) == added
        assert len(restored["trail"]) - len(before["trail"]) == added
        assert found.trail.problems == ()

    def test_a_server_that_writes_all_the_time_does_not_disturb_it(
        self, full: MakeDatabase, empty: MakeDatabase, files: Files, other_files: Files, tmp_path: Path
    ) -> None:
        source, stop = full("sqlite"), Event()

        def busy() -> None:
            while not stop.is_set():
                with source.writing() as session:
                    trail.append(session, Actor(41, "ann", "reviewer"), "label", "cell 900")

        writer = Thread(target=busy)
        writer.start()
        try:
            for number in range(3):
                backup(source, files, tmp_path / f"{number}")
        finally:
            stop.set()
            writer.join()
        assert restore(tmp_path / "2", empty("sqlite"), other_files).trail.problems == ()

    def test_a_file_that_is_missing_or_damaged_is_named_and_the_rest_is_there(
        self,
        full: MakeDatabase,
        empty: MakeDatabase,
        files: Files,
        other_files: Files,
        tmp_path: Path,
        images: tuple[bytes, ...],
    ) -> None:
        source = full("sqlite")
        files.remove(sha256(images[0]))
        files.path(sha256(images[1])).write_bytes(b"damaged")
        lost = tuple(sorted(f"images/{sha256(image)}" for image in images[:2]))
        written = backup(source, files, tmp_path / "b")
        assert (written.files, written.lost) == (2, lost)
        read = restore(tmp_path / "b", empty("sqlite"), other_files)
        assert (read.files, read.lost) == (2, lost)
        assert not other_files.has(sha256(images[1]))

    def test_the_erased_images_of_a_deleted_sample_are_not_missed(
        self, full: MakeDatabase, empty: MakeDatabase, files: Files, other_files: Files, tmp_path: Path
    ) -> None:
        source = full("sqlite")
        with source.writing() as session:
            session.execute(text("UPDATE samples SET deleted = '2026-01-01T00:00:00.000000+00:00'"))
        for image in list(files.all()):
            files.remove(image)
        written = backup(source, files, tmp_path / "b")
        assert (written.files, written.lost) == (1, ())  # the bundle
        assert restore(tmp_path / "b", empty("sqlite"), other_files).lost == ()

    def test_a_sample_deleted_meanwhile_is_in_it_wholly_or_not_at_all(
        self,
        full: MakeDatabase,
        empty: MakeDatabase,
        files: Files,
        other_files: Files,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        images: tuple[bytes, ...],
    ) -> None:
        source = full("sqlite")
        gone, opened = sha256(images[0]), Files.open

        def deleting(self: Files, name: str, kind: Any = "images") -> Any:
            if self.has(gone):
                with source.writing() as session:
                    session.execute(text("DELETE FROM jobs WHERE kind = 'read'"))
                    for table in ("crops", "blind_answers", "learning_cells", "answers", "cells", "fields"):
                        session.execute(text(f"DELETE FROM {table}"))
                    session.execute(text("DELETE FROM images WHERE sha256 = :gone"), {"gone": gone})
                self.remove(gone)
            return opened(self, name, kind)

        monkeypatch.setattr(Files, "open", deleting)
        written = backup(source, files, tmp_path / "b")
        assert written.lost == ()
        assert restore(tmp_path / "b", empty("sqlite"), other_files).lost == ()
        assert not other_files.has(gone)

    def test_nobody_else_may_read_it(self, made: Path) -> None:
        if os.name == "nt":
            pytest.skip("Windows has no such bits")
        assert stat.S_IMODE(made.stat().st_mode) == 0o600

    def test_a_disk_that_is_full_leaves_the_older_backup_and_no_part(
        self, full: MakeDatabase, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = full("sqlite")
        folder = tmp_path / "backups"
        folder.mkdir()
        (folder / "b").write_text("the older one")

        def is_full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("leukolens.server.store.archive.os.fsync", is_full)
        with pytest.raises(ServerError, match="the disk is full"):
            backup(source, files, folder / "b")
        assert all_files(folder) == ["b"]
        assert (folder / "b").read_text() == "the older one"

    def test_it_replaces_an_older_one(self, full: MakeDatabase, files: Files, tmp_path: Path) -> None:
        (tmp_path / "b").write_text("the older one")
        backup(full("sqlite"), files, tmp_path / "b")
        assert zipfile.is_zipfile(tmp_path / "b")

    def test_a_folder_that_is_not_there_is_named(
        self, full: MakeDatabase, files: Files, tmp_path: Path
    ) -> None:
        with pytest.raises(ServerError, match=r"cannot be written .*No such file"):
            backup(full("sqlite"), files, tmp_path / "none" / "b")

    def test_without_tables_there_is_nothing_to_back_up(
        self, empty: MakeDatabase, files: Files, tmp_path: Path
    ) -> None:
        with pytest.raises(ServerError, match="no tables of Leukolens"):
            backup(empty("sqlite"), files, tmp_path / "b")
        assert not (tmp_path / "b").exists()

    def test_no_patients_identifier_is_in_a_name(self, made: Path) -> None:
        with zipfile.ZipFile(made) as opened:
            assert not [name for name in opened.namelist() if "Neil" in name]
            assert opened.testzip() is None
