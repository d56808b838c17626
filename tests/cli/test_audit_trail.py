"""`leukolens audit-trail verify`: says that the chain holds, or in one line that it does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, update
from typer.testing import CliRunner, Result

import leukolens
from leukolens.cli.main import app
from leukolens.differential.counts import Differential, Tally
from leukolens.report.sample import Origin, SampleReport
from leukolens.server.actor import SERVER
from leukolens.server.settings import Settings
from leukolens.server.signing.document import digest, digest_of, document
from leukolens.server.store import trail
from leukolens.server.store.columns import now
from leukolens.server.store.database import Database
from leukolens.server.store.migrate import migrate
from leukolens.server.store.tables import BundleFile, Report, Sample, TrailEntry, User

REPORT = SampleReport(
    "3F7KQ2AB",
    (),
    Differential(Tally({"neutrophil": 3}, 0, 0, 0, 0, 0), (), None, None, None, "", ()),
    (),
    Origin("1", "tiny", "b" * 64, "engine", ()),
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Of a server with three entries in its trail, the second signed."""
    found = Database(Settings(tmp_path).url)
    migrate(found, tmp_path)
    with found.writing() as session:
        session.add(BundleFile(sha256="b" * 64, name="drawn"))
        session.add(User(id=1, name="ann", full_name="Ann", role="reviewer", password_hash="none"))
        session.flush()
        session.add(Sample(id=1, key="3F7KQ2AB", bundle_sha256="b" * 64))
        session.flush()
        trail.append(session, SERVER, "create", "sample 3F7KQ2AB")
        told = {"sha256": digest(REPORT)}
        signed = trail.append(session, SERVER, "sign", "sample 3F7KQ2AB", after=told).hash
        session.add(
            Report(
                sample_id=1,
                version=1,
                status="final",
                signed_by=1,
                signed_at=now(),
                trail_hash=signed,
                document=document(REPORT),
            )
        )
        trail.append(session, SERVER, "reopen", "sample 3F7KQ2AB")
    yield found
    found.close()


@pytest.fixture
def newest(database: Database) -> str:
    with database.reading() as session:
        return trail.newest(session)


def verify(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit-trail", "verify", "--folder", str(folder), *arguments])


def test_a_trail_that_holds(tmp_path: Path, newest: str) -> None:
    ended = verify(tmp_path)
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout == (
        f"3 entries, unbroken; what 1 reports say of them is there. Newest hash: {newest}\n"
    )


def test_json(tmp_path: Path, newest: str) -> None:
    assert json.loads(verify(tmp_path, "--json").stdout) == {
        "schema": "leukolens.trail/1", "leukolens": leukolens.__version__, "entries": 3, "newest": newest,
        "problems": [], "reports": 1,
    }  # fmt: skip


def test_a_changed_entry(tmp_path: Path, database: Database) -> None:
    with database.writing() as session:
        session.execute(update(TrailEntry).where(TrailEntry.id == 1).values(actor="ben"))
    ended = verify(tmp_path)
    assert (ended.exit_code, ended.stdout) == (1, "entry 1 is not what was written\n")
    assert ended.stderr.startswith("the audit trail does not hold (1 found; first: entry 1 is not")
    assert ended.stderr.count("\n") == 1
    assert json.loads(verify(tmp_path, "--json").stdout)["problems"] == ["entry 1 is not what was written"]


def test_a_signed_report_that_was_changed(tmp_path: Path, database: Database) -> None:
    other = replace(
        REPORT, differential=replace(REPORT.differential, tally=Tally({"monocyte": 3}, 0, 0, 0, 0, 0))
    )
    for forged in (document(other), {}, {"schema": "leukolens.report/1"}):
        with database.writing() as session:
            session.execute(update(Report).values(document=forged))
        ended = verify(tmp_path)
        assert (ended.exit_code, ended.stdout) == (
            1, "report 1 of sample 3F7KQ2AB is not what was signed\n",
        )  # fmt: skip
        assert "Keep this database as it is" in ended.stderr


def test_a_report_of_an_earlier_version_that_knew_less_still_holds(
    tmp_path: Path, database: Database
) -> None:
    earlier = document(REPORT)
    del earlier["report"]["batch"]
    with database.writing() as session:
        entry = trail.append(session, SERVER, "sign", "sample 3F7KQ2AB", after={"sha256": digest_of(earlier)})
        session.add(
            Report(
                sample_id=1, version=2, status="amended", signed_by=1, signed_at=now(), trail_hash=entry.hash,
                document=earlier,
            )
        )  # fmt: skip
    assert verify(tmp_path).exit_code == 0


def test_an_end_that_was_cut_up_to_a_signed_report(tmp_path: Path, database: Database) -> None:
    with database.writing() as session:
        session.execute(delete(TrailEntry).where(TrailEntry.id > 1))
    ended = verify(tmp_path)
    assert ended.exit_code == 1
    assert "the hash of report 1 of sample 3F7KQ2AB is in no entry" in ended.stdout


def test_an_end_that_was_cut_with_the_report_is_found_by_the_printed_one(
    tmp_path: Path, database: Database, newest: str
) -> None:
    printed = " ".join(newest[at : at + 8].upper() for at in range(0, 64, 8))  # as a person types it off
    assert verify(tmp_path, "--hash", printed).exit_code == 0
    with database.writing() as session:
        session.execute(delete(Report))
        session.execute(delete(TrailEntry).where(TrailEntry.id > 2))
    assert verify(tmp_path).exit_code == 0
    ended = verify(tmp_path, "--hash", printed)
    assert ended.exit_code == 1
    assert f"the hash of a printed report ({printed}) is in no entry" in ended.stdout


def test_several_printed_hashes(tmp_path: Path, newest: str) -> None:
    ended = verify(tmp_path, "--hash", newest, "--hash", "a" * 64, "--hash", "c" * 64)
    assert ended.exit_code == 1
    assert len(ended.stdout.splitlines()) == 2


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("given", ["", "abc", "g" * 64, "a" * 63])
def test_a_hash_that_is_none_is_wrong_usage(tmp_path: Path, given: str) -> None:
    ended = verify(tmp_path, "--hash", given)
    assert ended.exit_code == 2
    assert "64 hexadecimal digits" in ended.stderr


def test_a_mistyped_folder(tmp_path: Path) -> None:
    ended = verify(tmp_path / "mistyped")
    assert ended.exit_code == 1
    assert "there is no server's database" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_later_versions_trail_is_still_read(tmp_path: Path, database: Database) -> None:
    with database.writing() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert verify(tmp_path).exit_code == 0


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    ended = verify(tmp_path, "--database", "postgresql+psycopg://ann:geheim@127.0.0.1:1/none")
    assert ended.exit_code == 1
    assert "geheim" not in ended.stderr
    assert "cannot be read" in ended.stderr
