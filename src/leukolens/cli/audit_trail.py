"""``leukolens audit-trail``: whether anybody has altered who changed what."""

from __future__ import annotations

from typing import Annotated

import typer

from leukolens.cli.server_place import FOLDER, DatabaseOption, FolderOption, there

app = typer.Typer(help="The audit trail of the review page.", no_args_is_help=True)


@app.command("verify")
def verify(
    folder: FolderOption = FOLDER,
    database: DatabaseOption = None,
    hashes: Annotated[
        list[str] | None,
        typer.Option(
            "--hash",
            metavar="HASH",
            help="A hash that stands on a printed report; may be given several times.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Checks every entry of the audit trail, that what signed reports say of it is there, and those reports."""
    import json
    from dataclasses import asdict, replace

    from leukolens import __version__
    from leukolens.errors import ServerError
    from leukolens.server.signing.sign import altered
    from leukolens.server.store import trail
    from leukolens.server.store.known import on_reports

    printed = tuple((f"a printed report ({given})", _plain(given)) for given in hashes or ())
    with there(folder, database) as found, found.reading() as session:
        signed = on_reports(session)
        verified = trail.verify(session, (*signed, *printed))
        verified = replace(verified, problems=(*verified.problems, *altered(session)))
    if as_json:
        document = {"schema": "leukolens.trail/1", "leukolens": __version__, **asdict(verified)}
        typer.echo(json.dumps({**document, "reports": len(signed) + len(printed)}, indent=2))
    elif not verified.problems:
        typer.echo(
            f"{verified.entries} entries, unbroken; what {len(signed) + len(printed)} reports say of them is there. "
            f"Newest hash: {verified.newest}"
        )
    else:
        for problem in verified.problems:
            typer.echo(problem)
    if verified.problems:
        raise ServerError(
            f"the audit trail does not hold ({len(verified.problems)} found; first: {verified.problems[0]})",
            "Keep this database as it is, and compare it with a backup",
        )


def _plain(given: str) -> str:
    import re

    found = re.sub(r"[\s:-]", "", given).lower()
    if not re.fullmatch("[0-9a-f]{64}", found):
        raise typer.BadParameter(f"{given!r} is not 64 hexadecimal digits", param_hint="--hash")
    return found
