from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from leukolens.errors import Conflict, Missing, Refused, ServerError, Unfit
from leukolens.server.actor import Actor
from leukolens.server.intake import samples
from leukolens.server.store.database import Database
from leukolens.server.store.tables import (
    BundleFile,
    Cell,
    Crop,
    Field,
    Identity,
    Image,
    Job,
    Sample,
    TrailEntry,
)

BUNDLE = "b" * 64


def trail_of(database: Database) -> list[TrailEntry]:
    with database.reading() as session:
        found = list(session.scalars(select(TrailEntry).order_by(TrailEntry.id)))
        session.expunge_all()
    return found


def with_a_cell(database: Database, key: str, digest: str) -> int:
    with database.writing() as session:
        sample = samples.find(session, key)
        session.merge(Image(sha256=digest, bytes=3))
        session.flush()
        field = Field(sample_id=sample.id, image_sha256=digest, place=1, state="ok")
        session.add(field)
        session.flush()
        cell = Cell(sample_id=sample.id, field_id=field.id, x0=0, y0=0, x1=9, y1=9)
        session.add(cell)
        session.flush()
        session.add(Crop(cell_id=cell.id, jpeg=b"\xff\xd8\xff"))
        return cell.id


def test_a_new_sample_is_found_by_its_key_and_read_with_the_active_bundle(
    database: Database, people: SimpleNamespace
) -> None:
    with database.writing() as session:
        made = samples.create(
            session,
            people.reader,
            identifier="  Ärztin 7/3 ",
            notes="urgent",
            white_count=6.4,
            two_readers=True,
        )
    assert len(made.key) == 8
    assert set(made.key) <= set("23456789ABCDEFGHJKLMNPQRSTUVWXYZ")
    with database.reading() as session:
        found = samples.find(session, made.key.lower())
        identity = samples.identity(session, found)
        session.expunge_all()
    assert (found.bundle_sha256, found.state, found.white_count) == (BUNDLE, "open", 6.4)
    assert found.two_readers is True
    assert found.created_by == people.reader.user_id
    assert (identity.identifier, identity.notes) == ("Ärztin 7/3", "urgent")


def test_without_an_active_bundle_there_is_no_new_sample(database: Database, people: SimpleNamespace) -> None:
    with database.writing() as session:
        session.get_one(BundleFile, BUNDLE).active = False
    with pytest.raises(ServerError, match="no bundle is active"), database.writing() as session:
        samples.create(session, people.reader, identifier="P-1")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"identifier": " "}, "is empty"),
        ({"identifier": "x" * 201}, "more than 200"),
        ({"identifier": "P-1\rOBX|"}, "line breaks"),
        ({"identifier": "P-1\0"}, "control characters"),
        ({"identifier": "P-1", "notes": "a\0"}, "control characters"),
        ({"identifier": "P-1", "notes": "x" * 10_001}, "more than 10000"),
        ({"identifier": "P-1", "white_count": -1.0}, "no total white cell count"),
        ({"identifier": "P-1", "white_count": float("nan")}, "no total white cell count"),
        ({"identifier": "P-1", "white_count": float("inf")}, "no total white cell count"),
    ],
)
def test_values_that_are_none_are_refused(
    database: Database, people: SimpleNamespace, given: dict[str, object], problem: str
) -> None:
    with pytest.raises(Unfit, match=problem), database.writing() as session:
        samples.create(session, people.reader, **given)  # type: ignore[arg-type]
    with database.reading() as session:
        assert session.scalars(select(Sample)).all() == []


def test_a_token_without_the_scope_creates_nothing(database: Database, people: SimpleNamespace) -> None:
    token = Actor(people.reader.user_id, "reader", "reader", frozenset({"samples:read"}))
    with pytest.raises(Refused, match="samples:write"), database.writing() as session:
        samples.create(session, token, identifier="P-1")


def test_unknown_keys_are_missing(database: Database) -> None:
    with database.reading() as session:
        for key in ("", "ZZZZZZZZ", "../../etc", "%"):
            with pytest.raises(Missing):
                samples.find(session, key)


def test_the_trail_says_which_columns_of_an_identity_changed_and_never_what_stood_there(
    database: Database, people: SimpleNamespace
) -> None:
    with database.writing() as session:
        sample = samples.create(session, people.reader, identifier="Huber Anna", notes="leukaemia?")
        samples.change(session, people.reader, sample, identifier="Huber Anne", white_count=4.5)
        samples.change(session, people.reader, sample, notes="none", white_count=None)
        samples.change(session, people.reader, sample, notes="none")
    with database.reading() as session:
        identity = samples.identity(session, sample)
        assert (identity.identifier, identity.notes) == ("Huber Anne", "none")
        assert samples.find(session, sample.key).white_count is None
    created, first, second = trail_of(database)
    assert created.after is not None
    assert created.after["identity"] == ["identifier", "notes"]
    assert first.before == {"white_count": None}
    assert first.after == {"identity": ["identifier"], "white_count": 4.5}
    assert second.before == {"white_count": 4.5}
    assert second.after == {"identity": ["notes"], "white_count": None}
    assert {entry.subject for entry in (created, first, second)} == {f"sample {sample.key}"}
    said = json.dumps([[entry.subject, entry.before, entry.after] for entry in (created, first, second)])
    assert "Huber" not in said
    assert "leuk" not in said


def test_a_signed_sample_is_not_changed(database: Database, people: SimpleNamespace, key: str) -> None:
    with database.writing() as session:
        samples.find(session, key).state = "signed"
    with pytest.raises(Conflict, match="is signed"), database.writing() as session:
        samples.change(session, people.reviewer, samples.find(session, key), notes="late")


def test_samples_are_listed_newest_first_page_by_page(database: Database, people: SimpleNamespace) -> None:
    with database.writing() as session:
        made = [samples.create(session, people.reader, identifier=f"P-{n}").key for n in range(7)]
    with database.reading() as session:
        first = samples.listed(session, limit=3)
        second = samples.listed(session, limit=3, after_id=first[-1].id)
        third = samples.listed(session, limit=3, after_id=second[-1].id)
    assert [row.key for row in (*first, *second, *third)] == made[::-1]
    assert len(third) == 1


def test_samples_are_searched_by_identifier_and_key_with_every_word(
    database: Database, people: SimpleNamespace
) -> None:
    with database.writing() as session:
        anna = samples.create(session, people.reader, identifier="Huber Anna 50%")
        samples.create(session, people.reader, identifier="Huber Otto 500")
        samples.create(session, people.reader, identifier="Müller")
        anna.state = "signed"
    with database.reading() as session:

        def found(words: str, state: str | None = None) -> list[str]:
            return [row.identifier for row in samples.listed(session, words=words, state=state)]

        assert found("huber") == ["Huber Otto 500", "Huber Anna 50%"]
        assert found("ANNA hub") == ["Huber Anna 50%"]
        assert found("50%") == ["Huber Anna 50%"]
        assert found("_") == []
        assert found(anna.key[:6].lower()) == ["Huber Anna 50%"]
        assert found("huber", "open") == ["Huber Otto 500"]
        assert found("müller") == found("MÜLLER") == ["Müller"]
        assert found("\0") == ["Müller", "Huber Otto 500", "Huber Anna 50%"]
        for key in ("\0", "ß" * 8, "%"):
            with pytest.raises(Missing):
                samples.find(session, key)


def test_a_row_counts_fields_and_cells(database: Database, people: SimpleNamespace, key: str) -> None:
    with_a_cell(database, key, "a" * 64)
    with database.writing() as session:
        sample = samples.find(session, key)
        session.add_all(Image(sha256=digit * 64, bytes=1) for digit in "cd")
        session.flush()
        session.add(Field(sample_id=sample.id, image_sha256="c" * 64, place=2))
        session.add(Field(sample_id=sample.id, image_sha256="d" * 64, place=3, state="failed"))
        samples.create(session, people.reader, identifier="empty")
    with database.reading() as session:
        empty, row = samples.listed(session)
    assert (row.fields, row.waiting, row.failed, row.cells) == (3, 1, 1, 1)
    assert (empty.fields, empty.waiting, empty.failed, empty.cells) == (0, 0, 0, 0)


def test_deleting_erases_whose_it_is_and_its_pictures_and_leaves_the_trail(
    database: Database, people: SimpleNamespace, key: str
) -> None:
    cell = with_a_cell(database, key, "a" * 64)
    with database.writing() as session:
        sample = samples.find(session, key)
        session.add(Job(kind="read", sample_id=sample.id))
        session.flush()
        samples.delete(session, people.reviewer, sample, "kept for ten years")
    with database.reading() as session:
        assert session.get(Identity, sample.id) is None
        assert session.get(Crop, cell) is None
        assert session.get(Cell, cell) is not None
        assert samples.listed(session) == []
        with pytest.raises(Missing):
            samples.find(session, key)
        jobs = {job.kind: job.state for job in session.scalars(select(Job))}
    assert jobs == {"read": "failed", "erase": "waiting"}
    last = trail_of(database)[-1]
    assert (last.action, last.subject, last.after) == (
        "delete",
        f"sample {key}",
        {"why": "kept for ten years"},
    )


def test_a_reader_deletes_nothing(database: Database, people: SimpleNamespace, key: str) -> None:
    with pytest.raises(Refused, match="may not delete"), database.writing() as session:
        samples.delete(session, people.reader, samples.find(session, key), "because")
    with database.reading() as session:
        assert samples.find(session, key).deleted is None


@pytest.mark.parametrize(("why", "problem"), [(" ", "is empty"), ("asked by p-100", "names the patient")])
def test_the_reason_of_a_deletion_is_given_and_does_not_name_the_patient(
    database: Database, people: SimpleNamespace, key: str, why: str, problem: str
) -> None:
    with pytest.raises(Unfit, match=problem), database.writing() as session:
        samples.delete(session, people.reviewer, samples.find(session, key), why)
    with database.reading() as session:
        assert samples.identity(session, samples.find(session, key)).identifier == "P-100"
