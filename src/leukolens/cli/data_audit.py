"""``leukolens data audit``: leaks, copies, lost cells and doubtful labels of a data set."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from leukolens.cli.results import make, write
from leukolens.errors import DataError

if TYPE_CHECKING:
    from leukolens.datasets.base import CellDataset
    from leukolens.evaluation.audit import Audit
    from leukolens.evaluation.predictions import Predictions

LEAKS = 1

Item = TypeVar("Item")


def audit(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A data set's name, or a folder of class folders, or of one such folder a split.",
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder that holds the data sets; LEUKOLENS_DATA, else ./data, by default."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for audit.html and audit.json.")] = Path(
        "leukolens-audit"
    ),
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="held_out.json of a training run with --cross-fit; shows which labels are doubtful.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 where there is a leak.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Looks for leaks between splits, copies, images without a cell, and doubtful labels."""
    import cv2

    from leukolens.datasets.base import data_root
    from leukolens.evaluation.audit import audit as look_through
    from leukolens.evaluation.audit_document import to_json
    from leukolens.evaluation.audit_page import page

    root = data_root(data)
    parts = _open(name, root)
    asked = _predictions(predictions) if predictions else None
    originals = root / "bccd" / "JPEGImages" if name == "blood-cells" else None
    # Images are small; OpenCV's threads would wait for one another.
    cv2.setNumThreads(1)
    found = look_through(
        name,
        parts,
        originals=originals if originals and originals.is_dir() else None,
        predictions=asked,
        watch=_watch,
    )
    make(out)
    text = to_json(found)
    write(out / "audit.json", text)
    write(out / "audit.html", page(found, root))
    if json:
        sys.stdout.write(text)
    else:
        _show(found, out)
    if strict and found.leaks:
        raise typer.Exit(LEAKS)


def _watch(items: Iterable[Item], total: int, noun: str) -> Iterator[Item]:
    from leukolens.cli.progress import watched

    return watched(items, total, noun=noun)


def _open(name: str, root: Path) -> list[CellDataset]:
    """The named set, a folder of class folders, or a folder with one of those a split."""
    from leukolens.datasets.catalogue import NAMES, open_dataset
    from leukolens.datasets.folder import Folder
    from leukolens.datasets.labels import class_called

    folder = Path(name)
    if name in NAMES or not folder.is_dir():
        return [open_dataset(name, root)]
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if inside and all(class_called(path.name) is None for path in inside):
        return [Folder(path) for path in inside]
    return [Folder(folder)]


def _predictions(path: Path) -> Predictions:
    from leukolens.evaluation.predictions import Predictions

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error})",
            "Name the held_out.json of a run that was trained with --cross-fit",
        ) from error
    return Predictions.from_json(text)


def _show(found: Audit, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from leukolens.evaluation.audit_words import class_word, findings

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    table = Table(title=f"{found.name}: {found.images:,} images", title_justify="left")
    for heading in ("split", "class", "images", "photographs"):
        table.add_column(heading, justify="left" if heading in {"split", "class"} else "right")
    for split in found.splits:
        rows = [count for count in found.counts if count.split == split]
        for count in rows:
            table.add_row(split, class_word(count.label), f"{count.images:,}", f"{count.photographs:,}")
        table.add_row(
            split,
            "all",
            f"{sum(count.images for count in rows):,}",
            f"{sum(count.photographs for count in rows):,}",
            style="bold",
            end_section=True,
        )
    console.print(table)
    judged = Table(title="what was found", title_justify="left", show_header=False)
    judged.add_column()
    judged.add_column(justify="right")
    judged.add_column(overflow="fold")
    for finding in findings(found):
        style = "bold red" if finding.leak else None
        judged.add_row("leak" if finding.leak else "", finding.number, finding.text, style=style)
    console.print(judged)
    console.print(f"{out / 'audit.html'}", soft_wrap=True, markup=False)
