"""The database: SQLite in a file or PostgreSQL, and the two ways of using it, reading and writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from leukolens.errors import ServerError

BUSY_MILLISECONDS = 15_000


class Database:
    """Where the server's tables are.

    Args:
        url: SQLAlchemy URL.

    Raises:
        ServerError: Where the URL is none, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            self.engine = (
                _sqlite(url)
                if url.startswith("sqlite")
                else create_engine(url, pool_pre_ping=True, hide_parameters=True)
            )
        except (
            ArgumentError,
            ImportError,
            ValueError,
        ) as error:  # no URL, no driver, a port that is no number
            raise ServerError(
                f"the database {_without_password(url)} cannot be used ({error})",
                "Give --database a URL such as postgresql+psycopg://user@host/name",
            ) from error
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that looks and changes nothing, at one moment; what it does change is dropped."""
        # Closing rolls back, and lets go of what was read first, so that it can be looked at afterwards.
        with self._sessions() as session:
            if self.engine.dialect.name == "postgresql":  # where each query would see a moment of its own
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session whose changes are all kept when the block ends, or none where it raises.

        Raises:
            ServerError: Where the database cannot be written: a full disk, a lock that is never let go.
        """
        with self._sessions() as session:
            try:
                _begin(session)
                yield session
                session.commit()
            except OperationalError as error:
                session.rollback()
                raise ServerError(
                    f"the database cannot be written ({error.orig})", "Free some space, or try again"
                ) from error
            except BaseException:
                session.rollback()
                raise

    def close(self) -> None:
        """Lets go of every connection."""
        self.engine.dispose()


def one_at_a_time(session: Session, lock: int) -> None:
    """Waits until no other transaction that asked for the same lock is under way; SQLite has one writer anyway.

    Args:
        session: In a writing transaction, which keeps the lock until it ends.
        lock: A number of its own for whatever must not happen twice at once.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})


def _sqlite(url: str) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"timeout": BUSY_MILLISECONDS / 1000, "check_same_thread": False},
    )

    # pysqlite begins transactions when it likes; SQLAlchemy's documented way is to begin them ourselves.
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        # SQLite's own knows ASCII alone: MÜLLER would not find Müller.
        connection.create_function("lower", 1, lambda words: words and words.lower(), deterministic=True)

    @event.listens_for(engine, "begin")
    def _begins(connection: Any) -> None:
        # A writer takes the lock at once: one that read first and wrote later would be refused, not made to wait.
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


def _begin(session: Session) -> None:
    session.connection(execution_options={"begin": "BEGIN IMMEDIATE"})


def _without_password(url: str) -> str:
    from sqlalchemy.engine import make_url

    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return "that was named"
