"""Which revision of the tables a database has, and which this version of Leukolens knows."""

from __future__ import annotations

from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

STEPS = Path(__file__).with_name("migrations")


def revision(connection: Connection) -> str | None:
    """The database's own; None where it has none."""
    return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """The revision of this version of Leukolens."""
    head = scripts().get_current_head()
    assert head is not None
    return head


def is_known(wanted: str) -> bool:
    """Whether this version has a step of that name."""
    return wanted in {step.revision for step in scripts().walk_revisions()}


def first_line(error: DBAPIError) -> str:
    """What a database says of an error, without the rows that it may quote below that."""
    return (str(error.orig).strip().splitlines() or [type(error).__name__])[0]


def scripts() -> ScriptDirectory:
    """The steps from one revision to the next."""
    return ScriptDirectory(str(STEPS))
