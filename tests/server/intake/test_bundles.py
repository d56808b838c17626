from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from leukolens import bundle
from leukolens.errors import BundleError, ServerError
from leukolens.server.intake import bundles
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import BundleFile, TrailEntry


@pytest.fixture
def without_bundle(database: Database) -> Database:
    with database.writing() as session:
        for row in session.scalars(select(BundleFile)):
            row.active = False
    return database


def test_the_first_start_takes_the_shipped_bundle_and_later_ones_keep_it(
    without_bundle: Database, files: Files, settings: Settings
) -> None:
    for _ in range(2):
        with without_bundle.writing() as session:
            active = bundles.ensure_active(session, files, settings)
    shipped = bundle.load(None)
    assert (active.sha256, active.name) == (shipped.sha256, shipped.card.name)
    assert bundle.load(files.bundle(active.sha256)).sha256 == shipped.sha256
    with without_bundle.reading() as session:
        assert bundles.active(session).sha256 == shipped.sha256
        assert [entry.action for entry in session.scalars(select(TrailEntry))] == ["activate"]


def test_a_bundle_that_is_active_stays_so_whatever_the_settings_name(
    database: Database, files: Files, settings: Settings, tmp_path: Path
) -> None:
    named = replace(settings, bundle=tmp_path / "none.leukolens")
    with database.writing() as session:
        assert bundles.ensure_active(session, files, named).sha256 == "b" * 64


def test_a_bundle_that_is_not_there_or_damaged_or_finds_no_cells_is_refused(
    without_bundle: Database, files: Files, settings: Settings, tmp_path: Path
) -> None:
    shipped = bundle.load(None)
    single = tmp_path / "single.leukolens"
    card = shipped.card.model_copy(update={"finding": None})
    bundle.save(card, shipped.classifier, single)
    (tmp_path / "damaged.leukolens").write_bytes(b"PK\x03\x04")
    for name in ("single", "damaged", "none"):
        named = replace(settings, bundle=tmp_path / f"{name}.leukolens")
        with pytest.raises(BundleError), without_bundle.writing() as session:
            bundles.ensure_active(session, files, named)
    with without_bundle.reading() as session, pytest.raises(ServerError, match="no bundle is active"):
        bundles.active(session)
