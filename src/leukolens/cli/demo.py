"""`leukolens demo`: draws a sample with a known differential, reads it, and shows drawn against found."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leukolens.cli.results import make
from leukolens.errors import BundleError, ReportError

if TYPE_CHECKING:
    import numpy as np

    from leukolens.cli.read_fields import Reads
    from leukolens.datasets.synthetic import DrawnField
    from leukolens.report.drawn_and_found import Compared
    from leukolens.report.sample import SampleReport

SCHEMA = "leukolens.demo/2"
PICTURE, FIELDS, SAMPLE = "demo.png", "fields", "drawn"
WIDTH, HEIGHT, CELLS_A_FIELD = 640, 480, 4
# About an adult's, less one-sided, so that a small sample has some of each.
USUAL = {"neutrophil": 9.0, "lymphocyte": 6.0, "monocyte": 3.0, "eosinophil": 3.0, "basophil": 2.0}
NOTE = (
    "This shows the way it works, not how good it is: the cells are drawn, and no shipped model learned "
    "from drawn cells."
)


def demo(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the report, the picture and the drawn fields.")
    ] = Path("leukolens-demo"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other cells.")] = 1,
    count: Annotated[int, typer.Option(min=1, max=400, help="How many white cells to draw.")] = 40,
    bundle: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A bundle to use instead of the shipped one.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Draws the fields of a smear, reads them, and shows the differential drawn against the one found.

    Needs no data. It shows the way it works, not how good it is: the cells are drawn.
    """
    import numpy as np

    from leukolens.cli import read
    from leukolens.cli.read_outputs import PAGE
    from leukolens.report.drawn_and_found import compare

    reader = read.open_reader(bundle)
    rng = np.random.default_rng(seed)
    fields = _drawn(rng, _labels(reader, rng, count))
    paths = _written(fields, out / FIELDS)
    report, folder = _read(reader, paths, out)
    compared = [compare(field, reading) for field, reading in zip(fields, report.fields, strict=True)]
    title = f"{count} drawn cells in {len(fields)} fields, seed {seed} · bundle {report.origin.bundle}"
    _save_picture(compared, report, title, out / PICTURE)
    if json:
        document = _document(compared, report, seed, out / PICTURE, folder / PAGE)
        typer.echo(json_format.dumps(document, indent=1))
        return
    _show(compared, report, out, folder / PAGE)


def _labels(reader: Reads, rng: np.random.Generator, count: int) -> list[str]:
    """The sample's cells by class, in random order; only classes that the bundle can name, each at least once."""
    from leukolens.datasets.synthetic import DRAWN_CLASSES

    card = reader.bundle.card
    known = [label for label in DRAWN_CLASSES if label in card.classes]
    if not known:
        raise BundleError(
            f"bundle {card.name} knows none of the drawn classes ({', '.join(DRAWN_CLASSES)})",
            "Use the shipped bundle, or try this one on fields of your own with `leukolens read`",
        )
    shares = rng.dirichlet([USUAL[label] for label in known])
    rest = rng.multinomial(max(count - len(known), 0), shares)
    labels = [label for label, more in zip(known, rest, strict=True) for _ in range(1 + int(more))]
    return [labels[place] for place in rng.permutation(len(labels))][:count]


def _drawn(rng: np.random.Generator, labels: Sequence[str]) -> list[DrawnField]:
    """One smear: every field in the same stain, through the same camera."""
    from leukolens.datasets.synthetic import Camera, draw_field, mix_stain

    stain, camera = mix_stain(rng), Camera.sample(rng)
    return [
        draw_field(rng, WIDTH, HEIGHT, labels[start : start + CELLS_A_FIELD], stain=stain, camera=camera)
        for start in range(0, len(labels), CELLS_A_FIELD)
    ]


def _written(fields: Sequence[DrawnField], folder: Path) -> list[Path]:
    from PIL import Image

    make(folder)
    paths = [folder / f"drawn-{number:03d}.png" for number in range(1, len(fields) + 1)]
    try:
        for field, path in zip(fields, paths, strict=True):
            Image.fromarray(field.rgb).save(path, compress_level=1)
        # Those of an earlier, larger sample would be taken for this one's.
        for path in set(folder.glob("drawn-*.png")) - set(paths):
            path.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error
    return paths


def _read(reader: Reads, paths: Sequence[Path], out: Path) -> tuple[SampleReport, Path]:
    """As `leukolens read` reads them."""
    from leukolens.cli.read_fields import made_with
    from leukolens.cli.read_outputs import USUAL as FORMATS
    from leukolens.cli.read_outputs import Outputs
    from leukolens.cli.read_report import Reporter
    from leukolens.cli.read_run import Run
    from leukolens.cli.samples import Sample
    from leukolens.report.counting import Asked
    from leukolens.report.journal import Journal

    with Journal(out, made_with(reader)) as journal:
        run = Run(
            reader, journal, Reporter(reader, Asked()), Outputs(out, FORMATS, names=False), progress=True
        )
        (written,) = run.read([Sample(SAMPLE, tuple(map(str, paths)))])
    return written


def _save_picture(compared: Sequence[Compared], report: SampleReport, subtitle: str, path: Path) -> None:
    from leukolens.report.contact_sheet import contact_sheet

    sheet = contact_sheet(
        compared, report.differential, title="Drawn against found", subtitle=subtitle, note=NOTE
    )
    try:
        sheet.save(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ReportError:
    return ReportError(
        f"{path} cannot be written ({error.strerror})", "Free some space or choose another folder"
    )


def _document(
    compared: Sequence[Compared], report: SampleReport, seed: int, picture: Path, page: Path
) -> dict[str, Any]:
    """The JSON document: the sample as `read` gives it, and what was drawn."""
    from dataclasses import asdict

    from leukolens import __version__
    from leukolens.report.drawn_and_found import drawn_counts, score
    from leukolens.report.read_document import sample_entry

    counts = drawn_counts(compared)
    fields = [
        [
            {"class": cell.label, "box": [cell.box.x0, cell.box.y0, cell.box.x1, cell.box.y1]}
            for cell in item.field.cells
        ]
        for item in compared
    ]
    return {
        "schema": SCHEMA,
        "leukolens": __version__,
        "bundle": {"name": report.origin.bundle, "sha256": report.origin.bundle_sha256},
        "note": NOTE,
        "seed": seed,
        "picture": str(picture),
        "report": str(page),
        "score": asdict(score(compared)),
        "drawn": {
            "classes": {row.key: counts[row.key] for row in report.differential.classes},
            "fields": fields,
        },
        "sample": sample_entry(report),
    }


def _show(compared: Sequence[Compared], report: SampleReport, out: Path, page: Path) -> None:
    """A table on a terminal, lines parted by tabs elsewhere; then what it comes to."""
    from rich.console import Console

    from leukolens.cli import demo_shown
    from leukolens.cli.read_shown import sum_of

    closing = (
        sum_of(report),
        demo_shown.summary(compared),
        NOTE,
        f"Report: {page}",
        f"Picture: {out / PICTURE}",
        f"Drawn fields: {out / FIELDS}",
    )
    console = Console(highlight=False)
    if console.is_terminal:
        demo_shown.table(compared, report, console)
        for sentence in closing:
            console.print(sentence, soft_wrap=True, markup=False)
        return
    demo_shown.lines(compared, report, sys.stdout)
    for sentence in closing:
        typer.echo(sentence)
