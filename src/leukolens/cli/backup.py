"""``leukolens backup`` and ``leukolens restore``: all that the review page remembers, in one file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from leukolens.cli.server_place import FOLDER, DatabaseOption, FolderOption, opened, there

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup to write.")],
    folder: FolderOption = FOLDER,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Writes everything that the review page remembers into one file, while it runs."""
    from leukolens.errors import ServerError
    from leukolens.server.store.backup import backup as write
    from leukolens.server.store.files import Files

    if not folder.is_dir():
        raise ServerError(
            f"there is no folder {folder}", "Name the one that `leukolens serve` was started with"
        )
    with there(folder, database) as found, _bar(file.name) as progress:
        done = write(found, Files(folder), file, progress)
    if as_json:
        _print("leukolens.backup/1", {**asdict(done), "path": str(done.path)})
    else:
        typer.echo(f"{file}: {done.rows} rows, {done.files} files, {done.bytes / 2**20:.1f} MiB")
    if done.lost:
        raise ServerError(
            f"the backup was written, but lacks {len(done.lost)} files that are missing from {folder} or damaged "
            f"(first: {done.lost[0]})",
            "Restore them from an earlier backup, and keep that one",
        )


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup to read.")],
    folder: FolderOption = FOLDER,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Puts a backup into a new folder and an empty database, and checks the audit trail."""
    from leukolens.errors import ServerError
    from leukolens.server.store.files import Files
    from leukolens.server.store.restore import restore as read

    files = Files(folder)
    with opened(folder, database) as found, _bar(file.name) as progress:
        done = read(file, found, files, progress)
    if as_json:
        _print("leukolens.restore/1", asdict(done))
    else:
        held = "" if done.trail.problems else f"; the audit trail holds, newest hash {done.trail.newest}"
        typer.echo(f"{folder}: {done.rows} rows, {done.files} files of {done.made}{held}")
    wrong = [*done.trail.problems, *(f"{name} is not in the backup" for name in done.lost)]
    if wrong:
        raise ServerError(
            f"the backup was restored, but not all of it is sound ({len(wrong)} found; first: {wrong[0]})",
            "Compare it with another backup",
        )


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, highlight=False)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print(schema: str, document: dict[str, Any]) -> None:
    from leukolens import __version__

    typer.echo(json.dumps({"schema": schema, "leukolens": __version__, **document}, indent=2))
