"""Images arrive: each is kept and queued, or refused in words, whatever happens to those beside it."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from leukolens.errors import Conflict, ServerError, Unfit
from leukolens.report.tables import printable
from leukolens.server.actor import Actor
from leukolens.server.intake import samples
from leukolens.server.intake.signatures import HEAD, image_problem, is_zip
from leukolens.server.intake.zips import entries
from leukolens.server.jobs import queue
from leukolens.server.settings import MIB, Limits
from leukolens.server.store import trail
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files, Kept
from leukolens.server.store.tables import Field, Image

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a client sends.

    Attributes:
        name: What the client calls it; only told back, never used.
        stream: Its bytes.
    """

    name: str
    stream: BinaryIO


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that was not taken.

    Attributes:
        name: What the client calls it, of a zip's file the zip's name first.
        reason: Why, as a sentence that goes on after the name.
    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Received:
    """What became of the files of one request.

    Attributes:
        taken: Images that are kept for good and wait to be read.
        known: Images that the sample had already.
        refused: The others.
    """

    taken: int
    known: int
    refused: tuple[Refusal, ...]


def receive(
    database: Database, files: Files, actor: Actor, key: str, uploads: Iterable[Upload], limits: Limits
) -> Received:
    """Takes images, and zips of them, as fields of a sample.

    Each image is on the disk, in the tables and in the queue before it is counted as taken: whatever ends the
    server after that, it is read.

    Args:
        database: Where the sample is; each image is one transaction.
        files: Where images are kept.
        actor: A reader at least.
        key: The sample's.
        uploads: Taken one after the other; each stream is read once.
        limits: What one request may hold.

    Raises:
        Refused: Where the actor may not.
        Missing: Where there is no such sample.
        Conflict: Where it is signed.
    """
    actor.must_have("samples:write")
    actor.must_be("reader", "add fields to a sample")
    with database.reading() as session:
        samples.find_open(session, key)
    receiving = _Receiving(database, files, actor, key, limits)
    for upload in uploads:
        receiving.take(upload)
    return Received(receiving.taken, receiving.known, tuple(receiving.refused))


class _Receiving:
    """One request's files, as they are taken."""

    def __init__(self, database: Database, files: Files, actor: Actor, key: str, limits: Limits) -> None:
        self.database, self.files, self.actor, self.key = database, files, actor, key
        self.limits = limits
        self.taken = self.known = self.seen = self.bytes = 0
        self.refused: list[Refusal] = []

    def take(self, upload: Upload) -> None:
        """One file that was sent: an image, or a zip of them."""
        try:
            with _sought(upload.stream, self.limits.upload_bytes - self.bytes) as stream:
                self.bytes += stream.seek(0, io.SEEK_END)
                stream.seek(0)
                if self.bytes > self.limits.upload_bytes:
                    raise Unfit(f"comes after {self.limits.upload_bytes // MIB} MiB of one request", "")
                head = stream.read(HEAD)
                stream.seek(0)
                if is_zip(head):
                    self._zip(upload.name, stream)
                else:
                    self._image(upload.name, head, stream)
        except ServerError as error:
            self._refuse(upload.name, error)

    def _zip(self, name: str, stream: BinaryIO) -> None:
        for entry in entries(stream, self.limits):
            whole = f"{name}: {entry.name}"
            try:
                if entry.stream is None:
                    raise Unfit(entry.problem or "is refused", "")
                # A reader that can look ahead; its type does not say so.
                head = entry.stream.peek(HEAD)[:HEAD]  # type: ignore[attr-defined]
                self._image(whole, head, entry.stream)
            except ServerError as error:
                self._refuse(whole, error)

    def _image(self, name: str, head: bytes, stream: BinaryIO) -> None:
        self.seen += 1
        if self.seen > self.limits.files:
            raise Unfit(f"comes after {self.limits.files} files of one request", "")
        if problem := image_problem(head):
            raise Unfit(problem, "")
        kept = self.files.put(stream, self.limits.image_bytes)
        with self.database.writing() as session:
            new = self._add(session, kept)
        self.taken += new
        self.known += not new

    def _add(self, session: Session, kept: Kept) -> bool:
        """The image's rows; whether it is new to the sample."""
        sample = samples.find_open(session, self.key)
        _lock_image(session, kept)
        # Deleting the last sample that had it may have removed it just then; from here on that waits for us.
        if not self.files.path(kept.sha256).is_file():
            raise Conflict("was being removed from another sample just then; send it again", "")
        same = select(Field.id).where(Field.sample_id == sample.id, Field.image_sha256 == kept.sha256)
        if session.scalars(same).first() is not None:
            return False
        last = session.scalar(select(func.max(Field.place)).where(Field.sample_id == sample.id))
        field = Field(sample_id=sample.id, image_sha256=kept.sha256, place=(last or 0) + 1)
        session.add(field)
        session.flush()
        queue.enqueue(session, "read", sample_id=sample.id, field_id=field.id)
        after = {"field": field.id, "place": field.place, "image": kept.sha256}
        trail.append(session, self.actor, "upload", f"sample {sample.key}", after=after)
        return True

    def _refuse(self, name: str, error: ServerError) -> None:
        name = printable(name)
        if len(name) > LONGEST_NAME:
            name = f"{name[: LONGEST_NAME - 1]}…"
        self.refused.append(Refusal(name, error.problem))


def _lock_image(session: Session, kept: Kept) -> None:
    """The image's row, made where it isn't there, and locked until the transaction ends."""
    if session.get(Image, kept.sha256, with_for_update=True) is not None:
        return
    try:
        with session.begin_nested():
            session.add(Image(sha256=kept.sha256, bytes=kept.bytes))
    except IntegrityError:  # another sample's upload made it meanwhile
        session.get(Image, kept.sha256, with_for_update=True)


@contextmanager
def _sought(stream: BinaryIO, limit: int) -> Iterator[BinaryIO]:
    """A stream that can be sought in: the same where it can, else a copy that is gone afterwards."""
    if stream.seekable():
        stream.seek(0)
        yield stream
        return
    with tempfile.TemporaryFile() as copy:
        left = limit + 1  # one more than may be: whoever counts sees that it is too much
        while left > 0 and (chunk := stream.read(min(MIB, left))):
            left -= len(chunk)
            copy.write(chunk)
        yield copy
