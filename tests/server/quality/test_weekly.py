"""The weekly figures: counted from drawn rows by hand, with limits that scipy gives too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scipy.stats import binomtest

from leukolens.bundle import save
from leukolens.errors import Refused
from leukolens.server.quality.weekly import Week, weekly
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.migrate import migrate
from leukolens.server.store.tables import Answer, BlindAnswer, BundleFile, Cell, Field, Image, Sample, User

NOW = datetime(2026, 1, 7, 12, tzinfo=UTC)  # Wednesday of week 2
MONDAY = datetime(2026, 1, 5, 0, 0, 1, tzinfo=UTC)
SUNDAY = datetime(2026, 1, 4, 23, 59, tzinfo=UTC)  # week 1, which began in 2025
WITHIN = 2.5


@pytest.fixture(params=["sqlite", "postgresql"])
def shelf(
    request: pytest.FixtureRequest,
    new_url: Callable[[str], str],
    make_bundle: Callable[..., Any],
    tmp_path: Path,
) -> Any:
    """A database with a person, and the bundle that its samples are read with."""
    made = make_bundle()
    judgement = made.card.judgement.model_copy(update={"usual_within": WITHIN, "outside_share": 0.05})
    card = made.card.model_copy(update={"judgement": judgement})
    save(card, made.classifier, tmp_path / "tiny.leukolens")
    files = Files(tmp_path)
    sha256 = files.put_bundle(tmp_path / "tiny.leukolens")
    database = Database(new_url(request.param))
    migrate(database, tmp_path)
    with database.writing() as session:
        session.add(BundleFile(sha256=sha256, name="tiny", active=True))
        session.add(User(id=1, name="ann", full_name="Ann", role="reviewer", password_hash="none"))
    yield SimpleNamespace(database=database, files=files, bundle=sha256, samples=0)
    database.close()


def add(shelf: Any, read_at: datetime, *cells: dict[str, Any], turn: int = 1) -> list[int]:
    """A sample with one field; of a cell ``said`` and ``blindly`` are a person's, the rest its row's."""
    shelf.samples += 1
    with shelf.database.writing() as session:
        sample = Sample(key=f"S{shelf.samples}", bundle_sha256=shelf.bundle)
        session.add_all([sample, Image(sha256=f"{shelf.samples:064x}", bytes=1)])
        session.flush()
        field = Field(
            sample_id=sample.id, image_sha256=f"{shelf.samples:064x}", place=1, state="ok", read_at=read_at,
            bundle_sha256=shelf.bundle,
        )  # fmt: skip
        session.add(field)
        session.flush()
        ids = []
        for one in cells:
            said, blindly = one.pop("said", None), one.pop("blindly", None)
            row = {
                "machine_class": "neutrophil",
                "decision": "accept",
                "x0": 0,
                "y0": 0,
                "x1": 9,
                "y1": 9,
            } | one
            cell = Cell(sample_id=sample.id, field_id=field.id, blind=blindly is not None, **row)
            session.add(cell)
            session.flush()
            if said or blindly:
                session.add(Answer(cell_id=cell.id, turn=turn, label=said or blindly, user_id=1))
            if blindly:
                session.add(BlindAnswer(cell_id=cell.id, turn=turn, label=blindly, user_id=1))
            ids.append(cell.id)
        return ids


@pytest.fixture
def figures(shelf: Any, people_of: Any) -> Callable[..., tuple[Week, ...]]:
    def look(**asked: Any) -> tuple[Week, ...]:
        with shelf.database.reading() as session:
            return weekly(session, shelf.files, people_of("reviewer"), NOW, **asked)

    return look


@pytest.fixture
def people_of() -> Callable[[Any], Any]:
    from leukolens.server.actor import Actor

    return lambda role: Actor(1, role, role)


def test_cells_are_counted_by_week_and_what_counts_not_is_left_out(shelf: Any, figures: Any) -> None:
    add(shelf, SUNDAY, {})
    add(
        shelf,
        MONDAY,
        {},
        {"decision": "review"},
        {"at_edge": True},
        {"deleted": True},
        {"machine_class": None},
    )
    add(shelf, NOW, {}, {"machine_class": "other", "decision": "review"})
    newest, before = figures()
    assert (newest.year, newest.week, newest.bundle, newest.bundle_sha256) == (2026, 2, "tiny", shelf.bundle)
    assert (newest.samples, newest.cells, newest.unsure.count) == (2, 4, 1)
    assert (before.year, before.week, before.samples, before.cells) == (2026, 1, 1, 1)
    assert newest.blind is newest.named is newest.outside is newest.unlike is None
    assert [week.week for week in figures(weeks=1)] == [2]


def test_agreement_is_over_what_both_named_with_exact_limits(shelf: Any, figures: Any) -> None:
    right = [{"said": "neutrophil"}] * 6 + [{"said": "band"}]
    wrong = [{"said": "blast"}, {"said": "lymphocyte"}]
    neither = [{"said": "unsure"}, {"said": "neutrophil", "decision": "review"}, {}]
    add(shelf, NOW, *(dict(one) for one in (*right, *wrong, *neither)))
    (week,) = figures()
    interval = binomtest(7, 9).proportion_ci()
    assert (week.named.count, week.named.total, week.blind) == (7, 9, None)
    assert (week.named.low, week.named.high) == pytest.approx((interval.low, interval.high))


def test_blind_agreement_is_by_what_was_said_first_and_once_a_cell(shelf: Any, figures: Any) -> None:
    ids = add(
        shelf, NOW, {"blindly": "neutrophil"}, {"blindly": "monocyte", "said": "neutrophil"}, {"said": "neutrophil"}
    )  # fmt: skip
    with shelf.database.writing() as session:
        session.add(BlindAnswer(cell_id=ids[0], turn=2, label="eosinophil", user_id=1))
    (week,) = figures()
    assert (week.blind.count, week.blind.total) == (1, 2)
    assert (week.named.count, week.named.total) == (3, 3)


@pytest.mark.parametrize(("far", "unlike"), [(2, False), (12, True)])
def test_a_stain_that_drifts_is_seen(shelf: Any, figures: Any, far: int, unlike: bool) -> None:
    near = [{"distance": WITHIN}] * (28 - far)
    beyond = [{"distance": WITHIN + 0.1}] * far
    no_leukocyte = {"machine_class": "other", "distance": 99.0}
    add(shelf, NOW, *(dict(one) for one in (*near, *beyond, no_leukocyte, {"distance": None})))
    (week,) = figures()
    assert (week.outside.count, week.outside.total, week.unlike) == (far, 28, unlike)


def test_a_bundle_whose_file_is_gone_is_told_of_still(shelf: Any, figures: Any) -> None:
    add(shelf, NOW, {"distance": 9.0})
    with shelf.database.writing() as session:
        gone = "c" * 64
        session.add(BundleFile(sha256=gone, name="gone"))
        session.flush()
        session.query(Field).update({"bundle_sha256": gone})
    (week,) = figures()
    assert (week.bundle, week.cells, week.outside, week.unlike) == ("gone", 1, None, None)


def test_a_reader_may_not_look(shelf: Any, people_of: Any) -> None:
    with shelf.database.reading() as session, pytest.raises(Refused, match="weekly figures"):
        weekly(session, shelf.files, people_of("reader"), NOW + timedelta(0))
