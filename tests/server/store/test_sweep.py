"""What belongs to nothing goes at a start; what may be on its way, or another database's, stays."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from leukolens.server.store.columns import now
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.sweep import Swept, remove_copies, sweep
from leukolens.server.store.tables import Sample
from leukolens.server.store.views import Views


@pytest.fixture
def source(full: Any) -> Database:
    """Whose three images and one bundle are in ``files``."""
    made: Database = full("sqlite")
    return made


def age(*paths: Path, hours: float = 2) -> None:
    for path in paths:
        os.utime(path, (time.time() - 3600 * hours,) * 2)


def swept(database: Database, files: Files) -> Swept:
    with database.reading() as session:
        return sweep(session, files)


def test_files_that_no_row_names_go_once_they_are_old(source: Database, files: Files) -> None:
    before = list(files.all()), list(files.all("bundles"))
    old, young = (files.put(BytesIO(content), 100).sha256 for content in (b"left behind", b"on its way"))
    bundle = files.put(BytesIO(b"no bundle"), 100, "bundles").sha256
    for folder in ("incoming", "copies"):
        (files.folder / folder).mkdir(exist_ok=True)
    parts = files.folder / "incoming" / "ab.part", files.folder / "copies" / ".x.sqlite.part"
    for part in (*parts, files.folder / "incoming" / "new.part"):
        part.write_bytes(b"half")
    age(files.path(old), files.bundle(bundle), *parts, *map(files.path, before[0]))
    assert swept(source, files) == Swept(images=1, bundles=1, views=0, parts=2)
    assert list(files.all()) == sorted([*before[0], young])
    assert list(files.all("bundles")) == before[1]
    assert [path.name for path in (files.folder / "incoming").iterdir()] == ["new.part"]
    assert swept(source, files).total == 0


def test_images_of_deleted_samples_and_their_views_go(source: Database, files: Files) -> None:
    images = list(files.all())
    for image in images:
        Views(files).put(image, "view.jpg", b"a view")
    age(*map(files.path, images))
    assert swept(source, files).total == 0
    with source.writing() as session:
        session.execute(update(Sample).values(deleted=now()))
    assert swept(source, files) == Swept(images=3, bundles=0, views=3, parts=0)
    assert list(files.all()) == Views(files).all() == []


def test_the_folder_of_another_database_is_left_as_it_is(
    source: Database, migrated: Any, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    before = list(files.all()), list(files.all("bundles"))
    age(*map(files.path, before[0]), *map(files.bundle, before[1]))
    assert swept(migrated("sqlite"), files).total == 0
    assert (list(files.all()), list(files.all("bundles"))) == before
    assert "4 files are named by no row" in caplog.text


def test_copies_from_before_an_upgrade_go_when_they_are_as_old_as_samples_may_be(files: Files) -> None:
    copies = files.folder / "copies"
    copies.mkdir()
    old, young, other = (
        copies / name for name in ("before-1.sqlite", "before-2.leukolens-backup", "mine.zip")
    )
    for path in (old, young, other):
        path.write_bytes(b"rows")
    age(old, other, hours=24 * 31)
    age(young, hours=24 * 29)
    assert remove_copies(files, timedelta(days=30)) == 1
    assert sorted(path.name for path in copies.iterdir()) == [young.name, other.name]
