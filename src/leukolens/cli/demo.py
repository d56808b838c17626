"""`leukolens demo`: draws cells, identifies them, and shows drawn against found."""

from __future__ import annotations

import json as json_format
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leukolens.errors import BundleError, ReportError

if TYPE_CHECKING:
    from rich.table import Table

    from leukolens.bundle import Bundle
    from leukolens.datasets.synthetic import DrawnField
    from leukolens.reading.cell import ImageReading
    from leukolens.report.contact_sheet import Compared

SCHEMA = "leukolens.demo/1"
PICTURE = "demo.png"
CELLS = "cells"
COLUMNS = ("number", "drawn", "found", "probability", "decision", "same")
NOTE = (
    "This shows the way it works, not how good it is: the cells are drawn, and no shipped model learned "
    "from drawn cells."
)


def demo(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the picture and the drawn images.")
    ] = Path("leukolens-demo"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other cells.")] = 1,
    count: Annotated[int, typer.Option(min=1, max=60, help="How many cells to draw.")] = 10,
    bundle: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A bundle to use instead of the shipped one.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Draws white cells, identifies them, and shows what was drawn against what was found.

    Needs no data. It shows the way it works, not how good it is: the cells are drawn.
    """
    from leukolens.reading.reader import Reader

    reader = Reader(bundle)
    fields = _drawn(reader.bundle, seed, count)
    paths = _written(fields, out / CELLS)
    compared = _compared(fields, reader.identify(paths))
    _save_picture(
        compared, out / PICTURE, f"{count} drawn cells, seed {seed} · bundle {reader.bundle.card.name}"
    )
    if json:
        typer.echo(json_format.dumps(_document(compared, fields, reader.bundle, seed, out), indent=1))
        return
    _show(compared, out)


def _drawn(bundle: Bundle, seed: int, count: int) -> list[DrawnField]:
    """Fields with one cell each, the classes in turn; only those that the bundle can name."""
    import numpy as np

    from leukolens.datasets.synthetic import DRAWN_CLASSES, draw_single

    labels = [label for label in DRAWN_CLASSES if label in bundle.card.classes]
    if not labels:
        raise BundleError(
            f"bundle {bundle.card.name} knows none of the drawn classes ({', '.join(DRAWN_CLASSES)})",
            "Use the shipped bundle, or try this one on images of your own with `leukolens identify`",
        )
    rng = np.random.default_rng(seed)
    return [draw_single(rng, labels[number % len(labels)]) for number in range(count)]


def _written(fields: list[DrawnField], folder: Path) -> list[Path]:
    from PIL import Image

    paths = [
        folder / f"{number:02d}-{field.cells[0].label}.png" for number, field in enumerate(fields, start=1)
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for field, path in zip(fields, paths, strict=True):
            Image.fromarray(field.rgb).save(path)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return paths


def _compared(fields: list[DrawnField], readings: Iterable[ImageReading]) -> list[Compared]:
    from leukolens.report.contact_sheet import Compared

    return [
        Compared(field.rgb, field.cells[0].label, reading)
        for field, reading in zip(fields, readings, strict=True)
    ]


def _save_picture(compared: list[Compared], path: Path, subtitle: str) -> None:
    from leukolens.report.contact_sheet import contact_sheet

    sheet = contact_sheet(compared, title="Drawn against found", subtitle=subtitle, note=NOTE)
    try:
        sheet.save(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ReportError:
    return ReportError(
        f"{path} cannot be written ({error.strerror})", "Free some space or choose another folder"
    )


def _document(
    compared: list[Compared], fields: list[DrawnField], bundle: Bundle, seed: int, out: Path
) -> dict[str, Any]:
    """The JSON document: identify's images, each with what was drawn."""
    from leukolens import __version__
    from leukolens.report.tables import image_entry

    images = []
    for item, field in zip(compared, fields, strict=True):
        box = field.cells[0].box
        drawn = {"class": item.label, "box": [box.x0, box.y0, box.x1, box.y1]}
        images.append({**image_entry(item.reading), "drawn": drawn})
    return {
        "schema": SCHEMA,
        "leukolens": __version__,
        "bundle": {"name": bundle.card.name, "sha256": bundle.sha256},
        "note": NOTE,
        "seed": seed,
        "picture": str(out / PICTURE),
        "found_as_drawn": sum(item.agrees for item in compared),
        "images": images,
    }


def _show(compared: list[Compared], out: Path) -> None:
    """A table on a terminal, lines parted by tabs elsewhere; then what it comes to."""
    from rich.console import Console
    from rich.text import Text

    from leukolens.report.terminal import STYLES
    from leukolens.taxonomy import CLASSES

    rows = [(str(number), *_row(item)) for number, item in enumerate(compared, start=1)]
    agreeing = sum(item.agrees for item in compared)
    closing = (
        f"{agreeing} of {len(compared)} found as drawn. {NOTE}",
        f"Picture: {out / PICTURE}. Drawn images: {out / CELLS}.",
    )
    console = Console(highlight=False)
    if not console.is_terminal:
        for line in (COLUMNS, *rows):
            typer.echo("\t".join(line))
        for sentence in closing:
            typer.echo(sentence)
        return
    styles = {**STYLES, "yes": "green", "no": "red", **{cell.name: cell.colour for cell in CLASSES}}
    table = _table()
    for row in rows:
        table.add_row(*(Text(entry, style=styles.get(entry, "")) for entry in row))
    console.print(table)
    for sentence in closing:
        console.print(Text(sentence))


def _row(item: Compared) -> tuple[str, str, str, str, str]:
    from leukolens.reading.trust import percent
    from leukolens.taxonomy import cell_class

    drawn, same, found = cell_class(item.label).name, "yes" if item.agrees else "no", item.found
    if found is None:
        return drawn, "no cell" if item.reading.status == "no_cell" else "not read", "", "", same
    probability = percent(found.probabilities[found.label])
    return drawn, cell_class(found.label).name, probability, found.decision, same


def _table() -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for column in COLUMNS:
        right = column in {"number", "probability"}
        table.add_column(
            column if column != "number" else "", justify="right" if right else "left", no_wrap=True
        )
    return table
