"""`leukolens evaluate`: the honest figures of a bundle on a data set."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from leukolens.cli.results import make, write

if TYPE_CHECKING:
    from leukolens.evaluation.evaluate import Evaluation
    from leukolens.evaluation.measures import Measure


def evaluate(
    subject: Annotated[
        Path,
        typer.Argument(metavar="BUNDLE_OR_RUN", help="A bundle, or a training run to export and evaluate."),
    ],
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="A data set's name, or a folder of class folders.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for evaluation.html and evaluation.json.")],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder that holds the data sets; LEUKOLENS_DATA, else ./data, by default."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="SPLIT", help="Which part; test where there is one, else all, by default."),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where a look at held-out data is entered; benchmarks/ledger.csv where there is one, "
            "else ledger.csv in --out, by default.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measures a bundle on labelled images: figures with intervals, plots, and the worst mistakes.

    A look at blood-cells TEST or TEST_SIMPLE, or at a laboratory that the bundle did not learn from, is
    entered in the ledger.
    """
    from leukolens.cli.progress import watched
    from leukolens.datasets.base import data_root
    from leukolens.datasets.catalogue import open_dataset
    from leukolens.evaluation.document import to_json
    from leukolens.evaluation.evaluate import evaluate as measure
    from leukolens.evaluation.ledger import default_ledger
    from leukolens.evaluation.page import page
    from leukolens.reading.reader import Reader

    root = data_root(data)
    opened = open_dataset(dataset, root)
    part = split or ("test" if "test" in opened.splits else "all")
    make(out)
    with _bundle(subject, root) as bundle:
        evaluation = measure(
            Reader(bundle),
            opened,
            part,
            command=shlex.join(["leukolens", *sys.argv[1:]]),
            ledger_path=ledger or default_ledger(out),
            watch=watched,
        )
    text = to_json(evaluation)
    write(out / "evaluation.json", text)
    write(out / "evaluation.html", page(evaluation, opened.root))
    if json:
        sys.stdout.write(text)
    else:
        _show(evaluation, out)


@contextmanager
def _bundle(subject: Path, root: Path) -> Iterator[Path]:
    """The bundle's file; of a run, one that is there for as long as it is needed."""
    if not subject.is_dir():
        yield subject
        return
    from leukolens.training.export import export_run

    with TemporaryDirectory(prefix="leukolens-") as folder:
        file = Path(folder) / f"{subject.resolve().name}.leukolens"
        export_run(subject, file, root=root)
        yield file


def _show(evaluation: Evaluation, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from leukolens.taxonomy import cell_class

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    figures = Table(
        title=f"{evaluation.card.name} on {evaluation.dataset} {evaluation.split}", title_justify="left"
    )
    for heading in ("", "images", "photographs", "accuracy", "balanced accuracy", "photograph accuracy"):
        figures.add_column(heading, justify="left" if not heading else "right")
    rows = [(variant.name, variant.headline) for variant in evaluation.variants] or [
        ("all", evaluation.headline)
    ]
    if evaluation.unrestricted:
        rows.append((f"all, {len(evaluation.card.classes)} classes open", evaluation.unrestricted))
    for name, line in rows:
        figures.add_row(
            name,
            str(line.images),
            str(line.groups),
            _text(line.accuracy),
            _text(line.balanced_accuracy),
            _text(line.photograph_accuracy),
        )
    console.print(figures)
    classes = Table()
    for heading in ("class", "images", "photographs", "precision", "recall", "F1"):
        classes.add_column(heading, justify="left" if heading == "class" else "right")
    for measures in evaluation.classes:
        shares = [_text(measure) for measure in (measures.precision, measures.recall, measures.f1)]
        classes.add_row(cell_class(measures.key).name, str(measures.images), str(measures.groups), *shares)
    console.print(classes)
    if evaluation.unrestricted:
        console.print(
            f"The bundle's probabilities were restricted to {len(evaluation.asked)} classes and renormalised."
        )
    if evaluation.learned_from:
        console.print("The bundle learned from these very images.")
    if evaluation.looks:
        console.print(
            f"Look {evaluation.looks.all} at held-out data, {evaluation.looks.here} of them at this set."
        )
    console.print(f"{out / 'evaluation.html'}", soft_wrap=True, markup=False)


def _text(measure: Measure) -> str:
    if measure.value != measure.value:
        return "–"
    value = f"{100 * measure.value:.1f} %"
    interval = measure.interval
    return f"{value} ({100 * interval.low:.1f} to {100 * interval.high:.1f})" if interval else value
