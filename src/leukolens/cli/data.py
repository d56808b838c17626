"""``leukolens data``: the data sets that are known, where they are, and how to get them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leukolens.cli.data_audit import audit

if TYPE_CHECKING:
    from leukolens.datasets.base import CellDataset

app = typer.Typer(help="The known data sets: list them, fetch them, audit them.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.command("list")
def list_sets(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Folder that holds the data sets; LEUKOLENS_DATA, else ./data, by default.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The data sets that Leukolens knows: what they hold, under which licence, and whether they are here."""
    from leukolens.datasets.base import data_root
    from leukolens.datasets.catalogue import NAMES, dataset_class

    root = data_root(data)
    described = [_describe(dataset_class(name), root) for name in NAMES]
    if as_json:
        _print_json({"schema": "leukolens.data.list/1", "root": str(root), "sets": described})
        return
    _print_table(described, root)


@app.command("get")
def get(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A data set's name, as `leukolens data list` has it.")
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DIR",
            help="Folder or ZIP archive that has the files, instead of the publisher.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder to put the data set's folder in; LEUKOLENS_DATA, else ./data, by default.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetches a data set, shows its licence, and checks every file against the manifest."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from leukolens.datasets.base import data_root
    from leukolens.datasets.catalogue import dataset_class
    from leukolens.datasets.fetch import fetch

    kind = dataset_class(name)
    publication = kind.publication
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(
        f"{kind.name}: {publication.title}\nlicence: {publication.licence} ({publication.source})",
        markup=False,
    )
    if source is None and publication.download and not publication.verified:
        console.print(
            f"{publication.download} is unverified: its bytes were never compared with the manifest. "
            "Every file is compared now.",
            markup=False,
        )
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        fetched = fetch(
            kind,
            data_root(out),
            source,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        _print_json(
            {
                "schema": "leukolens.data.get/1",
                **_published(kind),
                "folder": str(fetched.folder),
                "files": fetched.files,
                "bytes": fetched.size,
                "fetched": fetched.fetched,
                "left_out": list(fetched.left_out),
            }
        )
        return
    did = f"{fetched.fetched} of them new" if fetched.fetched else "all of them here already"
    typer.echo(f"{fetched.folder}: {fetched.files} files as the manifest has them, {did}")
    if fetched.left_out:
        typer.echo(f"not there, and not needed: {', '.join(fetched.left_out)}")


def _published(kind: type[CellDataset]) -> dict[str, Any]:
    publication = kind.publication
    return {
        "name": kind.name,
        "title": publication.title,
        "lab": kind.lab,
        "source": publication.source,
        "licence": publication.licence,
        "permissive": publication.permissive,
        "address": publication.download,
        "address_verified": publication.verified if publication.download else None,
        "steps": publication.steps or None,
    }


def _describe(kind: type[CellDataset], root: Path) -> dict[str, Any]:
    from collections import Counter

    from leukolens.datasets.fetch import presence

    folder = root / kind.name
    here = presence(kind, folder)
    counts: dict[str, dict[str, int]] = {}
    if here.state == "present":
        found = Counter((sample.split, sample.label) for sample in kind(folder).samples())
        for split in kind.splits:
            counts[split] = {key: found[split, key] for key in kind.classes if found[split, key]}
    return {
        **_published(kind),
        "classes": list(kind.classes),
        "splits": list(kind.splits),
        "folder": str(folder),
        "state": here.state,
        "files": here.there,
        "files_listed": here.listed,
        "counts": counts or None,
    }


def _print_table(described: list[dict[str, Any]], root: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from leukolens.taxonomy import cell_class

    table = Table(title=f"data sets at {root}", title_justify="left")
    for heading in ("name", "what", "licence", "classes", "images", "here", "from"):
        table.add_column(heading, overflow="fold")
    for row in described:
        classes = " ".join(cell_class(key).abbreviation for key in row["classes"])
        images = (
            "\n".join(f"{split} {sum(counts.values())}" for split, counts in row["counts"].items())
            if row["counts"]
            else f"{row['files_listed']} files"
        )
        state = (
            row["state"] if row["state"] != "incomplete" else f"{row['files']} of {row['files_listed']} files"
        )
        origin = "publisher (unverified)" if row["address"] and not row["address_verified"] else "publisher"
        table.add_row(
            row["name"],
            row["title"],
            row["licence"],
            classes,
            images,
            state,
            origin if row["address"] else "by hand: see `data get`",
        )
    Console(highlight=False).print(table)


def _print_json(document: dict[str, Any]) -> None:
    from leukolens import __version__

    schema = document.pop("schema")
    typer.echo(json.dumps({"schema": schema, "leukolens": __version__, **document}, indent=2))


app.command("audit")(audit)
