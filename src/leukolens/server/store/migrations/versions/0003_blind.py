"""Cells that are named with the machine's answer hidden, and what was said of them then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """No cell that is there already is hidden: somebody may have seen what the machine says of it."""
    with op.batch_alter_table("cells") as cells:
        cells.add_column(sa.Column("blind", sa.Boolean, nullable=False, server_default=sa.false()))
    with op.batch_alter_table("cells") as cells:
        cells.alter_column("blind", existing_type=sa.Boolean, server_default=None)
    op.create_table(
        "blind_answers",
        sa.Column("cell_id", sa.Integer, sa.ForeignKey("cells.id"), primary_key=True),
        sa.Column("turn", sa.Integer, primary_key=True),
        sa.Column("label", sa.String(40), nullable=False),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
    )
