"""The tables: what the server remembers. One file, so that the whole can be seen at once.

Patient identifiers and free text that may hold one stand in `identities` alone. Images and bundles lie in
files named by their digest. Nothing of `trail` is ever changed or deleted.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from leukolens.server.store.columns import Json, JsonAsWritten, Moment, now

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The root of the tables."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {datetime: Moment, dict[str, Any]: Json, list[Any]: Json}  # noqa: RUF012


class User(Base):
    """A person who may sign in."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)  # to sign in with, in lower case
    full_name: Mapped[str] = mapped_column(String(200))  # as it stands on reports
    role: Mapped[str] = mapped_column(String(20))
    password_hash: Mapped[str] = mapped_column(String(200))
    language: Mapped[str | None] = mapped_column(String(8))
    created: Mapped[datetime] = mapped_column(default=now)
    disabled: Mapped[bool] = mapped_column(default=False)


class Login(Base):
    """A person who is signed in at a browser."""

    __tablename__ = "logins"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)  # sha256 of the cookie
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    created: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime]


class Attempt(Base):
    """A failed attempt to sign in, for the limit on them."""

    __tablename__ = "attempts"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(200), index=True)  # a name or an address
    at: Mapped[datetime] = mapped_column(default=now)


class Token(Base):
    """A key to the API."""

    __tablename__ = "tokens"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[Any]]
    created: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime | None]
    revoked: Mapped[datetime | None]


class BundleFile(Base):
    """A bundle that has been in use, or is offered."""

    __tablename__ = "bundles"
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    added: Mapped[datetime] = mapped_column(default=now)
    active: Mapped[bool] = mapped_column(default=False)  # what new samples are read with; one at most


class Sample(Base):
    """A smear."""

    __tablename__ = "samples"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(16), unique=True)  # random; in addresses, files and logs
    created: Mapped[datetime] = mapped_column(default=now, index=True)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    state: Mapped[str] = mapped_column(String(10), default="open", index=True)  # open, signed
    white_count: Mapped[float | None]  # 10^9/L
    two_readers: Mapped[bool] = mapped_column(default=False)
    bundle_sha256: Mapped[str] = mapped_column(ForeignKey("bundles.sha256"))
    deleted: Mapped[datetime | None]


class Identity(Base):
    """Whose smear it is; the only place that holds it."""

    __tablename__ = "identities"
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"), primary_key=True)
    identifier: Mapped[str] = mapped_column(String(200), index=True)
    notes: Mapped[str] = mapped_column(Text, default="")


class Image(Base):
    """An image file by its content."""

    __tablename__ = "images"
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    bytes: Mapped[int]
    added: Mapped[datetime] = mapped_column(default=now)


class Field(Base):
    """A field of a sample."""

    __tablename__ = "fields"
    __table_args__ = (UniqueConstraint("sample_id", "place"), UniqueConstraint("sample_id", "image_sha256"))
    id: Mapped[int] = mapped_column(primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"), index=True)
    image_sha256: Mapped[str] = mapped_column(ForeignKey("images.sha256"))
    place: Mapped[int]  # from 1, in the order of arrival
    state: Mapped[str] = mapped_column(String(10), default="waiting")  # waiting, ok, no_cell, failed
    reason: Mapped[str | None] = mapped_column(Text)
    width: Mapped[int] = mapped_column(default=0)
    height: Mapped[int] = mapped_column(default=0)
    red_cells: Mapped[int] = mapped_column(default=0)
    platelets: Mapped[int] = mapped_column(default=0)
    pixels_per_micrometre: Mapped[float | None]
    bundle_sha256: Mapped[str | None] = mapped_column(ForeignKey("bundles.sha256"))
    engine: Mapped[str | None] = mapped_column(String(80))
    read_at: Mapped[datetime | None]


class Cell(Base):
    """A white cell of a field, found by the machine or drawn by a person."""

    __tablename__ = "cells"
    id: Mapped[int] = mapped_column(primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"), index=True)
    field_id: Mapped[int] = mapped_column(ForeignKey("fields.id"), index=True)
    x0: Mapped[int]
    y0: Mapped[int]
    x1: Mapped[int]
    y1: Mapped[int]
    drawn_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))  # None where the machine found it
    deleted: Mapped[bool] = mapped_column(default=False)
    at_edge: Mapped[bool] = mapped_column(default=False)
    score: Mapped[float] = mapped_column(default=1.0)
    machine_class: Mapped[str | None] = mapped_column(String(40))  # None where nobody asked the machine
    probability: Mapped[float | None]  # of the machine's class
    probabilities: Mapped[dict[str, Any] | None]
    decision: Mapped[str | None] = mapped_column(String(10))  # accept, review, unknown
    reason: Mapped[str] = mapped_column(Text, default="")
    distance: Mapped[float | None]
    class_set: Mapped[list[Any] | None]
    blind: Mapped[bool] = mapped_column(default=False)  # to be named with the machine's answer hidden


class Crop(Base):
    """A cell's picture for the gallery."""

    __tablename__ = "crops"
    cell_id: Mapped[int] = mapped_column(ForeignKey("cells.id"), primary_key=True)
    jpeg: Mapped[bytes] = mapped_column(LargeBinary)


class Answer(Base):
    """What a person says of a cell, in one of the turns of reading.

    The first reader's turn is 1, the second's 2, and 3 settles. The machine's answer stands in `Cell`.
    """

    __tablename__ = "answers"
    cell_id: Mapped[int] = mapped_column(ForeignKey("cells.id"), primary_key=True)
    turn: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(String(40))  # a class's key, or ``unsure``
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    at: Mapped[datetime] = mapped_column(default=now)
    grouped: Mapped[bool] = mapped_column(default=False)  # given to several cells by one act
    blind: Mapped[bool] = mapped_column(default=False)  # given while the machine's answer was hidden


class BlindAnswer(Base):
    """What a person said of a cell first, in a turn, while the machine's answer was hidden. Never changed."""

    __tablename__ = "blind_answers"
    cell_id: Mapped[int] = mapped_column(ForeignKey("cells.id"), primary_key=True)
    turn: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(String(40))  # a class's key, or ``unsure``
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    at: Mapped[datetime] = mapped_column(default=now)


class Act(Base):
    """What a person did to cells of a sample, so that it can be undone."""

    __tablename__ = "acts"
    __table_args__ = (Index("ix_acts_sample_id_user_id", "sample_id", "user_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    at: Mapped[datetime] = mapped_column(default=now)
    kind: Mapped[str] = mapped_column(String(20))  # label, delete, draw
    changes: Mapped[list[Any]]  # one a cell: its id, before, after
    undone: Mapped[bool] = mapped_column(default=False)


class Comment(Base):
    """What a person says of a sample's red cells and platelets, in coded words."""

    __tablename__ = "comments"
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"), primary_key=True)
    finding: Mapped[str] = mapped_column(String(40), primary_key=True)
    grade: Mapped[str] = mapped_column(String(20))


class Reading(Base):
    """One turn of reading a sample: whose it is, and when it was done."""

    __tablename__ = "readings"
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"), primary_key=True)
    turn: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    done: Mapped[datetime | None]


class Report(Base):
    """A signed version of a sample's report."""

    __tablename__ = "reports"
    __table_args__ = (UniqueConstraint("sample_id", "version"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"), index=True)
    version: Mapped[int]  # from 1
    status: Mapped[str] = mapped_column(String(10))  # final, amended
    signed_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    signed_at: Mapped[datetime]
    reopened_why: Mapped[str | None] = mapped_column(Text)  # why this version was opened again
    trail_hash: Mapped[str] = mapped_column(String(64))  # the newest of the trail when it was signed
    document: Mapped[dict[str, Any]]  # all that its files are written from


class Job(Base):
    """Something that the worker does."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_state_id", "state", "id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))  # read, crop, erase, webhook, adapt
    state: Mapped[str] = mapped_column(String(10), default="waiting")  # waiting, running, done, failed
    sample_id: Mapped[int | None] = mapped_column(ForeignKey("samples.id"), index=True)
    field_id: Mapped[int | None] = mapped_column(ForeignKey("fields.id"), index=True)
    request: Mapped[dict[str, Any]] = mapped_column(default=dict)
    result: Mapped[dict[str, Any] | None]
    problem: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(default=0)
    created: Mapped[datetime] = mapped_column(default=now)
    ended: Mapped[datetime | None]


class LearningSet(Base):
    """Reviewed cells that a bundle can learn from, as they were named when the set was made."""

    __tablename__ = "learning_sets"
    id: Mapped[int] = mapped_column(primary_key=True)
    made: Mapped[datetime] = mapped_column(default=now)
    made_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    signed_only: Mapped[bool]  # whether cells of open samples were left out
    left_out: Mapped[dict[str, Any]]  # why, and how many named cells


class LearningCell(Base):
    """A cell of a set."""

    __tablename__ = "learning_cells"
    set_id: Mapped[int] = mapped_column(ForeignKey("learning_sets.id"), primary_key=True)
    cell_id: Mapped[int] = mapped_column(ForeignKey("cells.id"), primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"))
    image_sha256: Mapped[str] = mapped_column(String(64))  # stays when the image is erased
    label: Mapped[str] = mapped_column(String(40))  # a class's key, the reviewer's own too
    grouped: Mapped[bool]  # named with others by one act


class Adaptation(Base):
    """A bundle that was, or is being, made a laboratory's own, from a set."""

    __tablename__ = "adaptations"
    id: Mapped[int] = mapped_column(primary_key=True)
    set_id: Mapped[int] = mapped_column(ForeignKey("learning_sets.id"), index=True)
    parent_sha256: Mapped[str] = mapped_column(ForeignKey("bundles.sha256"))
    fine_tune: Mapped[bool]  # whether all layers learn
    asked: Mapped[datetime] = mapped_column(default=now)
    asked_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    progress: Mapped[dict[str, Any] | None]  # while it goes on
    grouped_by: Mapped[str | None] = mapped_column(String(10))  # sample, field: what is held back as a whole
    bundle_sha256: Mapped[str | None] = mapped_column(ForeignKey("bundles.sha256"))  # what came of it
    document: Mapped[dict[str, Any] | None]  # leukolens.adapt/1, without the path
    refusal: Mapped[str | None] = mapped_column(Text)  # why nothing came of it


class Activation(Base):
    """A person made a bundle the one that new samples are read with."""

    __tablename__ = "activations"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    bundle_sha256: Mapped[str] = mapped_column(ForeignKey("bundles.sha256"))
    replaced_sha256: Mapped[str | None] = mapped_column(ForeignKey("bundles.sha256"))


class TrailEntry(Base):
    """Who changed what, from what, to what, and when; each entry carries the hash of the one before."""

    __tablename__ = "trail"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # from 1, without a gap
    at: Mapped[str] = mapped_column(String(32))
    actor: Mapped[str] = mapped_column(String(80))
    action: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(80), index=True)  # ``sample 3F7KQ2``, ``user 4``
    before: Mapped[dict[str, Any] | None] = mapped_column(JsonAsWritten)
    after: Mapped[dict[str, Any] | None] = mapped_column(JsonAsWritten)
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), unique=True)
