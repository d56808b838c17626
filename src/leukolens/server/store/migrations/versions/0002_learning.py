"""What a laboratory's bundle learns from: sets of reviewed cells, adaptations, and which bundle was active when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"

WHEN = sa.String(32)
SHA256 = sa.String(64)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Makes the tables; which bundle was active before is not known."""
    op.create_table(
        "learning_sets",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("made", WHEN, nullable=False),
        sa.Column("made_by", sa.Integer, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("signed_only", sa.Boolean, nullable=False),
        sa.Column("left_out", JSON, nullable=False),
    )
    op.create_table(
        "learning_cells",
        sa.Column("set_id", sa.Integer, sa.ForeignKey("learning_sets.id"), primary_key=True),
        sa.Column("cell_id", sa.Integer, sa.ForeignKey("cells.id"), primary_key=True),
        sa.Column("sample_id", sa.Integer, sa.ForeignKey("samples.id"), nullable=False),
        sa.Column("image_sha256", SHA256, nullable=False),
        sa.Column("label", sa.String(40), nullable=False),
        sa.Column("grouped", sa.Boolean, nullable=False),
    )
    op.create_table(
        "adaptations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("set_id", sa.Integer, sa.ForeignKey("learning_sets.id"), nullable=False, index=True),
        sa.Column("parent_sha256", SHA256, sa.ForeignKey("bundles.sha256"), nullable=False),
        sa.Column("fine_tune", sa.Boolean, nullable=False),
        sa.Column("asked", WHEN, nullable=False),
        sa.Column("asked_by", sa.Integer, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("job_id", sa.Integer, sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("progress", JSON, nullable=True),
        sa.Column("grouped_by", sa.String(10), nullable=True),
        sa.Column("bundle_sha256", SHA256, sa.ForeignKey("bundles.sha256"), nullable=True),
        sa.Column("document", JSON, nullable=True),
        sa.Column("refusal", sa.Text, nullable=True),
    )
    op.create_table(
        "activations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", WHEN, nullable=False),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("bundle_sha256", SHA256, sa.ForeignKey("bundles.sha256"), nullable=False),
        sa.Column("replaced_sha256", SHA256, sa.ForeignKey("bundles.sha256"), nullable=True),
    )
