"""The first tables.

A step is a record of what was: it says its own types and never imports `tables`, which goes on changing. The names
of keys and indices come from the naming convention there, which must not.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

WHEN = sa.String(32)
SHA256 = sa.String(64)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Makes them all, those first that others refer to."""
    people()
    smears()
    cells()
    results()
    op.create_table(
        "trail",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        must("at", WHEN),
        must("actor", sa.String(80)),
        must("action", sa.String(40)),
        must("subject", sa.String(80), index=True),
        may("before", sa.JSON),
        may("after", sa.JSON),
        must("previous", SHA256),
        must("hash", SHA256, unique=True),
    )


def people() -> None:
    """Who may sign in, and who has."""
    op.create_table(
        "users",
        key("id", sa.Integer),
        must("name", sa.String(80), unique=True),
        must("full_name", sa.String(200)),
        must("role", sa.String(20)),
        must("password_hash", sa.String(200)),
        may("language", sa.String(8)),
        must("created", WHEN),
        must("disabled", sa.Boolean),
    )
    op.create_table(
        "logins",
        key("token_hash", SHA256),
        must("user_id", sa.Integer, "users.id", index=True),
        must("created", WHEN),
        must("expires", WHEN),
    )
    op.create_table(
        "attempts",
        key("id", sa.Integer),
        must("key", sa.String(200), index=True),
        must("at", WHEN),
    )
    op.create_table(
        "tokens",
        key("id", sa.Integer),
        must("user_id", sa.Integer, "users.id", index=True),
        must("name", sa.String(80)),
        must("token_hash", SHA256, unique=True),
        must("scopes", JSON),
        must("created", WHEN),
        may("expires", WHEN),
        may("revoked", WHEN),
    )


def smears() -> None:
    """Samples, their fields, and what those are read with."""
    op.create_table(
        "bundles",
        key("sha256", SHA256),
        must("name", sa.String(200)),
        must("added", WHEN),
        must("active", sa.Boolean),
    )
    op.create_table(
        "samples",
        key("id", sa.Integer),
        must("key", sa.String(16), unique=True),
        must("created", WHEN, index=True),
        may("created_by", sa.Integer, "users.id"),
        must("state", sa.String(10), index=True),
        may("white_count", sa.Double),
        must("two_readers", sa.Boolean),
        must("bundle_sha256", SHA256, "bundles.sha256"),
        may("deleted", WHEN),
    )
    op.create_table(
        "identities",
        key("sample_id", sa.Integer, "samples.id"),
        must("identifier", sa.String(200), index=True),
        must("notes", sa.Text),
    )
    op.create_table(
        "images",
        key("sha256", SHA256),
        must("bytes", sa.Integer),
        must("added", WHEN),
    )
    op.create_table(
        "fields",
        key("id", sa.Integer),
        must("sample_id", sa.Integer, "samples.id", index=True),
        must("image_sha256", SHA256, "images.sha256"),
        must("place", sa.Integer),
        must("state", sa.String(10)),
        may("reason", sa.Text),
        must("width", sa.Integer),
        must("height", sa.Integer),
        must("red_cells", sa.Integer),
        must("platelets", sa.Integer),
        may("pixels_per_micrometre", sa.Double),
        may("bundle_sha256", SHA256, "bundles.sha256"),
        may("engine", sa.String(80)),
        may("read_at", WHEN),
        sa.UniqueConstraint("sample_id", "place"),
        sa.UniqueConstraint("sample_id", "image_sha256"),
    )


def cells() -> None:
    """What was found in the fields, and what people say of it."""
    op.create_table(
        "cells",
        key("id", sa.Integer),
        must("sample_id", sa.Integer, "samples.id", index=True),
        must("field_id", sa.Integer, "fields.id", index=True),
        must("x0", sa.Integer),
        must("y0", sa.Integer),
        must("x1", sa.Integer),
        must("y1", sa.Integer),
        may("drawn_by", sa.Integer, "users.id"),
        must("deleted", sa.Boolean),
        must("at_edge", sa.Boolean),
        must("score", sa.Double),
        may("machine_class", sa.String(40)),
        may("probability", sa.Double),
        may("probabilities", JSON),
        may("decision", sa.String(10)),
        must("reason", sa.Text),
        may("distance", sa.Double),
        may("class_set", JSON),
    )
    op.create_table(
        "crops",
        key("cell_id", sa.Integer, "cells.id"),
        must("jpeg", sa.LargeBinary),
    )
    op.create_table(
        "answers",
        key("cell_id", sa.Integer, "cells.id"),
        key("turn", sa.Integer),
        must("label", sa.String(40)),
        must("user_id", sa.Integer, "users.id"),
        must("at", WHEN),
        must("grouped", sa.Boolean),
        must("blind", sa.Boolean),
    )
    op.create_table(
        "acts",
        key("id", sa.Integer),
        must("sample_id", sa.Integer, "samples.id"),
        must("user_id", sa.Integer, "users.id"),
        must("at", WHEN),
        must("kind", sa.String(20)),
        must("changes", JSON),
        must("undone", sa.Boolean),
    )
    op.create_index("ix_acts_sample_id_user_id", "acts", ["sample_id", "user_id"])


def results() -> None:
    """What is said of whole samples, and the work on them."""
    op.create_table(
        "comments",
        key("sample_id", sa.Integer, "samples.id"),
        key("finding", sa.String(40)),
        must("grade", sa.String(20)),
    )
    op.create_table(
        "readings",
        key("sample_id", sa.Integer, "samples.id"),
        key("turn", sa.Integer),
        must("user_id", sa.Integer, "users.id"),
        may("done", WHEN),
    )
    op.create_table(
        "reports",
        key("id", sa.Integer),
        must("sample_id", sa.Integer, "samples.id", index=True),
        must("version", sa.Integer),
        must("status", sa.String(10)),
        must("signed_by", sa.Integer, "users.id"),
        must("signed_at", WHEN),
        may("reopened_why", sa.Text),
        must("trail_hash", SHA256),
        must("document", JSON),
        sa.UniqueConstraint("sample_id", "version"),
    )
    op.create_table(
        "jobs",
        key("id", sa.Integer),
        must("kind", sa.String(20)),
        must("state", sa.String(10)),
        may("sample_id", sa.Integer, "samples.id", index=True),
        may("field_id", sa.Integer, "fields.id", index=True),
        must("request", JSON),
        may("result", JSON),
        may("problem", sa.Text),
        must("attempts", sa.Integer),
        must("created", WHEN),
        may("ended", WHEN),
    )
    op.create_index("ix_jobs_state_id", "jobs", ["state", "id"])


def key(name: str, kind: Any, refers_to: str | None = None) -> sa.Column[Any]:
    """A column of the primary key."""
    return _column(name, kind, refers_to, primary_key=True)


def must(name: str, kind: Any, refers_to: str | None = None, **options: bool) -> sa.Column[Any]:
    """A column that every row fills."""
    return _column(name, kind, refers_to, nullable=False, **options)


def may(name: str, kind: Any, refers_to: str | None = None, **options: bool) -> sa.Column[Any]:
    """A column that may stay empty."""
    return _column(name, kind, refers_to, nullable=True, **options)


def _column(name: str, kind: Any, refers_to: str | None, **options: bool) -> sa.Column[Any]:
    reference = [sa.ForeignKey(refers_to)] if refers_to else []
    return sa.Column(name, kind, *reference, **options)  # type: ignore[arg-type]
