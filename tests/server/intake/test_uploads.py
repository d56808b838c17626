from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
from sqlalchemy import select

from leukolens.errors import Conflict, Missing, Refused, ServerError
from leukolens.server.actor import Actor
from leukolens.server.intake import samples
from leukolens.server.intake.uploads import Received, Upload, receive
from leukolens.server.settings import MIB, Limits
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files, Kept
from leukolens.server.store.tables import Field, Image, Job, TrailEntry

Send = Callable[..., Received]
Draw = Callable[..., bytes]


@pytest.fixture
def send(database: Database, files: Files, people: SimpleNamespace, key: str) -> Send:
    """Sends contents to the sample, named 0, 1, 2 ... where they have no name."""

    def sending(
        *contents: bytes | tuple[str, bytes], limits: Limits | None = None, by: Any = None
    ) -> Received:
        named = [
            content if isinstance(content, tuple) else (str(n), content) for n, content in enumerate(contents)
        ]
        uploads = (Upload(name, BytesIO(content)) for name, content in named)
        return receive(database, files, by or people.reader, key, uploads, limits or Limits())

    return sending


def zipped(*members: tuple[str, bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def rows(database: Database, kind: type[Any]) -> list[Any]:
    with database.reading() as session:
        found = list(session.scalars(select(kind).order_by(*kind.__table__.primary_key.columns)))
        session.expunge_all()
    return found


def test_images_become_waiting_fields_in_the_order_of_arrival(
    database: Database, files: Files, send: Send, image: Draw, key: str
) -> None:
    contents = [image(n, kind) for n, kind in enumerate(("PNG", "JPEG", "TIFF", "BMP", "WEBP"))]
    assert send(*contents) == Received(5, 0, ())
    fields, jobs = rows(database, Field), rows(database, Job)
    assert [field.place for field in fields] == [1, 2, 3, 4, 5]
    assert {field.state for field in fields} == {"waiting"}
    assert [files.path(field.image_sha256).read_bytes() for field in fields] == contents
    assert [(job.kind, job.state, job.field_id) for job in jobs] == [
        ("read", "waiting", field.id) for field in fields
    ]
    entries = [entry for entry in rows(database, TrailEntry) if entry.action == "upload"]
    assert [entry.after["image"] for entry in entries] == [field.image_sha256 for field in fields]
    assert {entry.subject for entry in entries} == {f"sample {key}"}


def test_the_same_image_twice_in_a_sample_is_known(database: Database, send: Send, image: Draw) -> None:
    assert send(image(1), image(2), image(1)) == Received(2, 1, ())
    assert send(image(2)) == Received(0, 1, ())
    assert len(rows(database, Field)) == len(rows(database, Job)) == 2


def test_another_sample_may_have_the_same_image(
    database: Database, files: Files, people: SimpleNamespace, send: Send, image: Draw
) -> None:
    send(image(1))
    with database.writing() as session:
        other = samples.create(session, people.reader, identifier="P-2").key
    uploads = [Upload("a", BytesIO(image(1)))]
    assert receive(database, files, people.reader, other, uploads, Limits()).taken == 1
    assert len(rows(database, Image)) == 1
    assert [field.place for field in rows(database, Field)] == [1, 1]


def test_a_refused_file_comes_back_with_its_name_and_loses_nothing_of_the_rest(
    database: Database, send: Send, image: Draw
) -> None:
    received = send(("report.pdf", b"%PDF-1.7"), ("good.png", image(1)), ("none.png", b""), image(2))
    assert received.taken == 2
    assert [(one.name, one.reason) for one in received.refused] == [
        ("report.pdf", "is no image that can be read: JPEG, PNG, TIFF, BMP, WebP or GIF"),
        ("none.png", "is empty"),
    ]
    assert len(rows(database, Field)) == 2


def test_a_zip_is_known_by_its_content_and_unpacked_in_place(
    database: Database, send: Send, image: Draw
) -> None:
    archive = zipped(
        ("a/1.png", image(1)), ("a/notes.txt", b"hello"), ("__MACOSX/a/._1.png", b"x"), ("2", image(2))
    )
    received = send(("photo.jpg", archive), image(1))
    assert (received.taken, received.known) == (2, 1)
    assert [(one.name, one.reason[:14]) for one in received.refused] == [
        ("photo.jpg: a/notes.txt", "is no image th")
    ]


def test_a_damaged_zip_is_refused_as_one(send: Send, image: Draw) -> None:
    received = send(("a.zip", zipped(("1.png", image(1)))[:-30]), image(2))
    assert received.taken == 1
    assert [(one.name, one.reason) for one in received.refused] == [("a.zip", "is no zip that can be read")]


def test_a_zip_in_a_zip_is_refused(send: Send, image: Draw) -> None:
    received = send(("outer.zip", zipped(("inner.png", zipped(("1.png", image(1)))), ("2.png", image(2)))))
    assert received.taken == 1
    assert [(one.name, one.reason) for one in received.refused] == [
        ("outer.zip: inner.png", "is a zip inside a zip")
    ]


def test_no_name_of_a_client_reaches_the_disk_or_the_trail(
    database: Database, files: Files, send: Send, image: Draw, tmp_path: Path
) -> None:
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(files.folder)}
    send(
        ("../../Huber Anna.png", image(1)),
        (
            "x.zip",
            zipped(("../Huber.png", image(2)), ("/tmp/Huber.png", image(3)), ("Huber/4.png", image(4))),
        ),
    )
    after = {path for path in tmp_path.rglob("*") if not path.is_relative_to(files.folder)}
    assert after == before
    assert not [path for path in tmp_path.rglob("*") if "Huber" in path.name]
    assert "Huber" not in str([(entry.subject, entry.after) for entry in rows(database, TrailEntry)])
    assert len(list(files.all())) == len(rows(database, Field)) == 2


def test_names_come_back_short_and_without_control_characters(send: Send) -> None:
    received = send(("a\x1b[31m\n" + "b" * 500, b"none"))
    name = received.refused[0].name
    assert name.isprintable()
    assert len(name) == 200


def test_what_exceeds_a_limit_is_refused(send: Send, image: Draw) -> None:
    few = Limits(files=2)
    received = send(image(1), image(2), ("third", image(3)), limits=few)
    assert received.taken == 2
    assert [(one.name, one.reason) for one in received.refused] == [
        ("third", "comes after 2 files of one request")
    ]
    small = Limits(image_bytes=100)
    assert "more than 100 bytes" in send(image(4), limits=small).refused[0].reason
    short = Limits(upload_bytes=len(image(5)) + 10)
    received = send(image(5), ("late", image(6)), limits=short)
    assert received.taken == 1
    assert [one.name for one in received.refused] == ["late"]


def test_a_stream_that_cannot_be_sought_in_is_taken_too(
    database: Database, files: Files, people: SimpleNamespace, key: str, image: Draw
) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self, content: bytes) -> None:
            self.content = BytesIO(content)

        def read(self, size: int = -1) -> bytes:
            return self.content.read(size)

    def sent(content: bytes, limits: Limits) -> Received:
        stream: BinaryIO = Pipe(content)  # type: ignore[assignment]
        return receive(database, files, people.reader, key, [Upload("a", stream)], limits)

    assert sent(zipped(("1.png", image(1)), ("2.png", image(2))), Limits()).taken == 2
    assert "of one request" in sent(b"\x89PNG\r\n\x1a\n" * 100, Limits(upload_bytes=50)).refused[0].reason


def test_a_signed_sample_takes_nothing(database: Database, send: Send, image: Draw, key: str) -> None:
    with database.writing() as session:
        samples.find(session, key).state = "signed"
    with pytest.raises(Conflict, match="is signed"):
        send(image(1))
    assert rows(database, Field) == []


def test_a_deleted_or_unknown_sample_takes_nothing(
    database: Database, files: Files, people: SimpleNamespace, send: Send, image: Draw, key: str
) -> None:
    with database.writing() as session:
        samples.delete(session, people.reviewer, samples.find(session, key), "wrong")
    with pytest.raises(Missing):
        send(image(1))
    with pytest.raises(Missing):
        receive(database, files, people.reader, "../../x", [], Limits())


def test_a_token_without_the_scope_sends_nothing(send: Send, image: Draw, people: SimpleNamespace) -> None:
    token = Actor(people.reader.user_id, "reader", "reader", frozenset({"samples:read", "review"}))
    with pytest.raises(Refused, match="samples:write"):
        send(image(1), by=token)


def test_a_sample_that_is_signed_meanwhile_refuses_what_comes_after(
    database: Database, files: Files, people: SimpleNamespace, key: str, image: Draw
) -> None:
    def uploads() -> Any:
        yield Upload("first", BytesIO(image(1)))
        with database.writing() as session:
            samples.find(session, key).state = "signed"
        yield Upload("second", BytesIO(image(2)))

    received = receive(database, files, people.reader, key, uploads(), Limits())
    assert received.taken == 1
    assert [(one.name, one.reason) for one in received.refused] == [("second", f"sample {key} is signed")]


def test_a_full_disk_refuses_in_words_and_keeps_no_row(
    database: Database,
    people: SimpleNamespace,
    files: Files,
    key: str,
    image: Draw,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put = files.put

    def full(stream: BinaryIO, limit: int) -> Kept:
        if not rows(database, Field):
            return put(stream, limit)
        raise ServerError("the disk is full", "Free some space")

    monkeypatch.setattr(files, "put", full)
    uploads = [Upload(str(n), BytesIO(image(n))) for n in range(3)]
    received = receive(database, files, people.reader, key, uploads, replace(Limits(), upload_bytes=8 * MIB))
    assert received.taken == 1
    assert [one.reason for one in received.refused] == ["the disk is full"] * 2
    assert len(rows(database, Field)) == len(rows(database, Image)) == 1


def test_an_image_that_was_just_removed_is_not_said_to_be_taken(
    database: Database, files: Files, send: Send, image: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = files.put

    def put_and_lost(stream: BinaryIO, limit: int) -> Kept:
        kept = put(stream, limit)
        files.remove(kept.sha256)
        return kept

    monkeypatch.setattr(files, "put", put_and_lost)
    received = send(image(1))
    assert received.taken == 0
    assert "send it again" in received.refused[0].reason
    assert rows(database, Field) == []
