"""What Alembic runs before the steps: they go through the connection, and in the transaction, of `migrate`."""

from __future__ import annotations

from alembic import context

from leukolens.server.store.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
