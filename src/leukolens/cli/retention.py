"""``leukolens retention``: which samples have been kept for long enough, and their end."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from leukolens.cli.server_place import FOLDER, DatabaseOption, FolderOption, there


def retention(
    older_than: Annotated[
        int,
        typer.Option(
            "--older-than", metavar="DAYS", min=1, help="Age of samples, since created and last signed."
        ),
    ],
    folder: FolderOption = FOLDER,
    database: DatabaseOption = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete them for good; without it they are only listed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Lists the samples that have been kept for long enough, and deletes them where that is asked for."""
    from datetime import timedelta

    from leukolens import __version__
    from leukolens.server.intake.retention import delete_old, due
    from leukolens.server.store.columns import now

    with there(folder, database) as found:
        if delete:
            old = delete_old(found, older_than)
        else:
            with found.reading() as session:
                old = due(session, now() - timedelta(days=older_than))
    if as_json:
        listed = [
            {
                "key": one.key,
                "state": one.state,
                "created": one.created.isoformat(),
                "signed": one.signed and one.signed.isoformat(),
            }
            for one in old
        ]
        document = {"schema": "leukolens.retention/1", "leukolens": __version__, "older_than": older_than}
        typer.echo(json.dumps({**document, "deleted": delete, "samples": listed}, indent=2))
        return
    for one in old:
        signed = f", last signed {one.signed:%Y-%m-%d}" if one.signed else ""
        typer.echo(f"{one.key}  created {one.created:%Y-%m-%d}{signed}")
    samples = "1 sample" if len(old) == 1 else f"{len(old)} samples"
    if delete:
        typer.echo(
            f"{samples} deleted; a running server removes their images, or the next one does.", err=True
        )
    else:
        typer.echo(f"{samples} older than {older_than} days; --delete deletes them.", err=True)
