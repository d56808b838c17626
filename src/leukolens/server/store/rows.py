"""Rows to JSON lines and back, by the tables as the database itself has them.

What Leukolens' own classes say of the tables plays no part: a backup of an older version's database is read into
tables of that version, and upgraded then.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, BinaryIO

from sqlalchemy import JSON, Connection, LargeBinary, MetaData, Table, exists, func, insert, select, text

REVISIONS = "alembic_version"
AT_ONCE = 500


def tables(connection: Connection) -> list[Table]:
    """Every table but Alembic's own, those first that others refer to."""
    metadata = MetaData()
    metadata.reflect(connection)
    found = [table for table in metadata.sorted_tables if table.name != REVISIONS]
    for table in found:
        for column in table.columns:
            if isinstance(column.type, JSON):
                column.type.none_as_null = True
    return found


def empty(connection: Connection, found: Iterable[Table]) -> bool:
    """Whether none of these tables has a row."""
    return not any(connection.execute(select(exists().select_from(table))).scalar() for table in found)


def write(connection: Connection, table: Table, stream: BinaryIO) -> int:
    """Writes every row as a line, in the order of the primary key.

    Returns:
        How many there were.
    """
    rows = connection.execute(
        select(table).order_by(*table.primary_key.columns), execution_options={"yield_per": AT_ONCE}
    )
    count = 0
    for row in rows.mappings():
        document = {name: _out(value) for name, value in row.items()}
        stream.write(json.dumps(document, separators=(",", ":")).encode() + b"\n")
        count += 1
    return count


def read(connection: Connection, table: Table, lines: Iterable[bytes]) -> int:
    """Puts the rows of `write` into the table, and lets PostgreSQL count on from the last of them.

    Returns:
        How many there were.

    Raises:
        ValueError: Where a line is no row of this table.
    """
    binary = {column.name for column in table.columns if isinstance(column.type, LargeBinary)}
    rows = (_row(table, binary, line) for line in lines)
    count = 0
    while some := list(islice(rows, AT_ONCE)):
        connection.execute(insert(table), some)
        count += len(some)
    _count_on(connection, table)
    return count


def _out(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes | memoryview) else value


def _row(table: Table, binary: set[str], line: bytes) -> Mapping[str, Any]:
    row = json.loads(line)
    if not isinstance(row, dict) or set(row) != set(table.columns.keys()):
        raise ValueError(f"a line is no row of {table.name}")
    for name in binary:
        if row[name] is not None:
            row[name] = base64.b64decode(row[name], validate=True)
    return row


def _count_on(connection: Connection, table: Table) -> None:
    if connection.dialect.name != "postgresql":
        return  # SQLite looks at the rows themselves
    for column in table.primary_key.columns:
        sequence = connection.execute(
            text("SELECT pg_get_serial_sequence(:table, :column)"),
            {"table": table.name, "column": column.name},
        ).scalar()
        last = connection.execute(select(func.max(column))).scalar() if sequence else None
        if last is not None:
            connection.execute(text("SELECT setval(:sequence, :last)"), {"sequence": sequence, "last": last})


def digests(connection: Connection, table: Table) -> Iterator[str]:
    """The ``sha256`` of every row, in order."""
    column = table.columns["sha256"]
    yield from connection.scalars(select(column).order_by(column))
