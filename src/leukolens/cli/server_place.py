"""Where a server's memory is, for the commands that look after it: options and the way to open it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from leukolens.server.store.database import Database

FOLDER = Path("leukolens-server")

FolderOption = Annotated[
    Path,
    typer.Option(
        "--folder",
        metavar="DIR",
        help=f"The server's folder, as `leukolens serve` has it; {FOLDER} by default.",
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database", metavar="URL", help="SQLAlchemy URL of its database; SQLite in the folder by default."
    ),
]


@contextmanager
def there(folder: Path, database: str | None) -> Iterator[Database]:
    """The database of a server that has been started, for one command.

    Raises:
        ServerError: Where there is none.
    """
    from sqlalchemy.exc import DBAPIError

    from leukolens.errors import ServerError
    from leukolens.server.store.revisions import first_line, revision

    with opened(folder, database) as found:
        file = found.engine.url.database
        try:
            # SQLite makes a file where there is none, and a mistyped name must not.
            missing = found.engine.dialect.name == "sqlite" and not (file and Path(file).is_file())
            if not missing:
                with found.engine.connect() as connection:
                    missing = revision(connection) is None
        except DBAPIError as error:
            raise ServerError(
                f"the database cannot be read ({first_line(error)})", "Check that it can be reached"
            ) from error
        if missing:
            raise ServerError(
                f"there is no server's database at {found.engine.url.render_as_string(hide_password=True)}",
                "Name the --folder and --database that `leukolens serve` was started with",
            )
        yield found


@contextmanager
def opened(folder: Path, database: str | None) -> Iterator[Database]:
    """A server's database, there or to be made."""
    from leukolens.server.settings import Settings
    from leukolens.server.store.database import Database

    found = Database(Settings(folder, database).url)
    try:
        yield found
    finally:
        found.close()
