"""``leukolens serve``: the review page, in one process."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leukolens.cli.server_place import FOLDER, DatabaseOption, FolderOption

if TYPE_CHECKING:
    from fastapi import FastAPI

    from leukolens.server.settings import Settings

PORT = 8000
SECRET = "LEUKOLENS_WEBHOOK_SECRET"
BACKLOG = 2048
BLIND = 0.05
ENDS_WITHIN = 10
"""Seconds that requests in hand have when the server is to end."""


def serve(
    folder: FolderOption = FOLDER,
    database: DatabaseOption = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="Bundle to begin with; else the shipped one."),
    ] = None,
    host: Annotated[
        str,
        typer.Option("--host", metavar="ADDRESS", help="Address to bind to; this machine alone by default."),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option("--port", metavar="N", min=0, max=65535, help=f"{PORT} by default; 0 for any free one."),
    ] = PORT,
    secure: Annotated[
        bool, typer.Option("--secure", help="Browsers come by TLS, through a proxy on this machine.")
    ] = False,
    watch: Annotated[
        Path | None,
        typer.Option(
            "--watch",
            metavar="DIR",
            help="Folders in this one become samples, by barcode.txt or a label's photograph in them, or by name.",
        ),
    ] = None,
    keep_days: Annotated[
        int | None,
        typer.Option(
            "--keep-days",
            metavar="N",
            min=1,
            help="Delete samples that were created, and last signed, so many days ago; none by default.",
        ),
    ] = None,
    blind: Annotated[
        float,
        typer.Option(
            "--blind",
            metavar="SHARE",
            min=0,
            max=0.5,
            help="Share of the cells that are named with the machine's answer hidden; 0 for none.",
        ),
    ] = BLIND,
    webhook: Annotated[
        str | None,
        typer.Option(
            "--webhook",
            metavar="URL",
            help=f"Tell this address of signed reports; {SECRET} holds the secret that signs it.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on standard output once it answers.")
    ] = False,
) -> None:
    """Starts the review page, and ends on Ctrl-C."""
    from leukolens.server.settings import Settings
    from leukolens.server.web.app import create_app
    from leukolens.server.web.context import opened

    settings = Settings(
        folder,
        database,
        bundle,
        host,
        port,
        secure,
        watch=watch,
        keep_days=keep_days,
        blind=blind,
        webhook_url=webhook,
        webhook_secret=os.environ.get(SECRET),
    )
    with bound(host, port) as listening:
        for line in missing(settings):
            typer.secho(line, fg="yellow", err=True)
        with opened(settings) as context:
            with context.database.reading() as session:
                from leukolens.server.people import users

                code = None if users.anybody(session) else context.first.text
            open_at = _Open(address_of(listening, settings), code)
            _run(
                create_app(settings, context=context),
                settings,
                listening,
                lambda: _say(open_at, as_json=as_json),
            )
    if not as_json:
        typer.echo("Ended.", err=True)


@dataclass(frozen=True, slots=True)
class _Open:
    address: str
    code: str | None  # where nobody can sign in yet


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ServerError: Where the address cannot be had.
    """
    import errno

    from leukolens.errors import ServerError

    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except socket.gaierror as error:
        raise ServerError(
            f"{host} is no address of a network ({error.strerror})", "Give --host another"
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ServerError(
                f"port {port} of {host} is taken", "Give another with --port, or end what has it"
            ) from error
        raise ServerError(
            f"port {port} of {host} cannot be had ({error.strerror})", "Give others with --host and --port"
        ) from error


def missing(settings: Settings) -> tuple[str, ...]:
    """What a server lacks that others can reach, one sentence each."""
    from leukolens.server.web.gate import is_loopback

    if is_loopback(settings.host):
        return ()
    if settings.secure:
        return (
            f"Whoever reaches {settings.host} goes around the TLS proxy.",
            "Bind to 127.0.0.1, or let a firewall keep them off.",
        )
    return (
        "There is no encryption: passwords and images can be read on the way.",
        "Put a TLS proxy before it, bind to 127.0.0.1 and give --secure.",
    )


def address_of(listening: socket.socket, settings: Settings) -> str:
    """Where a browser on this machine finds it."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    if settings.host.lower() == "localhost":
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _say(open_at: _Open, *, as_json: bool) -> None:
    if as_json:
        from leukolens import __version__

        document = {"schema": "leukolens.serve/1", "leukolens": __version__}
        typer.echo(json.dumps({**document, "address": open_at.address, "code": open_at.code}))
    else:
        typer.echo(f"Leukolens answers at {open_at.address} until Ctrl-C.")
        if open_at.code is not None:
            typer.echo(f"Nobody can sign in yet: open {open_at.address}/first with the code {open_at.code}")
    sys.stdout.flush()


def _run(app: FastAPI, settings: Settings, listening: socket.socket, answers: Callable[[], None]) -> None:
    """Answers requests until a signal ends it."""
    import logging

    import uvicorn

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            answers()

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # addresses hold what people search for
        proxy_headers=settings.secure,  # without a proxy, a client would name its address itself
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=ENDS_WITHIN,
    )
    try:
        Announcing(config).run(sockets=[listening])
    except KeyboardInterrupt:  # uvicorn ended in order, and hands the signal on
        return
