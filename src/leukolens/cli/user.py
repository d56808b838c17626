"""``leukolens user``: people who may sign in, from the machine that the server runs on."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leukolens.cli.server_place import FOLDER, DatabaseOption, FolderOption, opened, there

if TYPE_CHECKING:
    from leukolens.server.actor import Actor
    from leukolens.server.store.database import Database
    from leukolens.server.store.tables import User

app = typer.Typer(help="The people of the review page.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What the person signs in with.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.command("add")
def add(
    name: NameArgument,
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="reader, reviewer or administrator.")
    ] = "reader",
    full_name: Annotated[
        str | None,
        typer.Option("--full-name", metavar="TEXT", help="As it stands on reports; NAME if absent."),
    ] = None,
    folder: FolderOption = FOLDER,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lets a person in; asks for the password, or takes the first line of standard input."""
    from leukolens.server.people import users

    password = _password()
    with _made(folder, database) as found, found.writing() as session:
        user = users.create(session, _terminal(), name, full_name or name, role, password)
    _say(user, "may sign in", as_json=as_json)


@app.command("password")
def password(
    name: NameArgument,
    folder: FolderOption = FOLDER,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Gives a person a new password, and lets a disabled one in again."""
    from sqlalchemy import select

    from leukolens.errors import Missing
    from leukolens.server.people import users
    from leukolens.server.store.tables import User

    with there(folder, database) as found:
        with found.reading() as session:
            user_id = session.scalar(select(User.id).where(User.name == users.known_as(name)))
        if user_id is None:
            raise Missing(f"there is no {name}", "Add the person with `leukolens user add`")
        given = _password()
        with found.writing() as session:
            user = users.give_password(session, _terminal(), user_id, given)
            users.enable(session, _terminal(), user_id)
    _say(user, "has a new password", as_json=as_json)


@contextmanager
def _made(folder: Path, database: str | None) -> Iterator[Database]:
    """The database, made where there is none yet: the first person may be there before the first start."""
    from leukolens.errors import ServerError
    from leukolens.server.store.migrate import migrate

    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ServerError(f"{folder} cannot be made ({error.strerror})", "Choose another folder") from error
    with opened(folder, database) as found:
        migrate(found, folder)
        yield found


def _password() -> str:
    if sys.stdin.isatty():
        given: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return given
    return sys.stdin.readline().rstrip("\r\n")


def _terminal() -> Actor:
    from leukolens.server.actor import Actor

    return Actor(None, "terminal", "administrator")


def _say(user: User, what: str, *, as_json: bool) -> None:
    if as_json:
        from leukolens import __version__

        said = {"schema": "leukolens.user/1", "leukolens": __version__}
        typer.echo(json.dumps({**said, "id": user.id, "name": user.name, "role": user.role}))
    else:
        typer.echo(f"{user.name} ({user.role}) {what}.")
