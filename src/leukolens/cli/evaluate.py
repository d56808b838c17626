"""`leukolens evaluate`: the honest figures of a bundle on a data set."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from leukolens.cli.evaluate_shown import show
from leukolens.cli.results import make, write


class Protocol(StrEnum):
    """What trains and measures on its own."""

    LEAVE_ONE_LAB_OUT = "leave-one-lab-out"


def evaluate(
    subject: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE_OR_RUN",
            help="A bundle, or a training run to export and evaluate; with --protocol a recipe's name or file.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder for the page and the JSON; with --protocol for the runs, too."
        ),
    ],
    dataset: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATASET...",
            help="A data set's name, or a folder of class folders; with --protocol more recipes, if any.",
        ),
    ] = None,
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
    protocol: Annotated[
        Protocol | None,
        typer.Option(metavar="NAME", help="leave-one-lab-out: train without each lab in turn, and ask it."),
    ] = None,
    inner: Annotated[
        str | None,
        typer.Option(metavar="LAB", help="Rotate among the other labs only, to choose methods by."),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="N,N", help="Seeds to train with; the recipe's own by default.")
    ] = None,
    detectors: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of a bundle a rotation, LAB.leukolens, whose detector frames."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="To train on: auto (the default), cpu, cuda or mps.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processor threads of the training; torch's choice by default."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that keeps framed crops for next time.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measures a bundle on labelled images: figures with intervals, plots, and the worst mistakes.

    A look at blood-cells TEST or TEST_SIMPLE, or at a laboratory that the bundle did not learn from, is
    entered in the ledger. With --protocol, recipes are trained and measured on laboratories that they never saw.
    """
    given = dataset or []
    if protocol is not None:
        _refuse({"--split": split}, "without --protocol")
        from leukolens.cli.leave_one_lab_out import Options, leave_one_lab_out

        leave_one_lab_out(
            [str(subject), *given],
            Options(out, data, ledger, inner, seeds, detectors, device or "auto", threads, cache),
            as_json=json,
        )
        return
    _refuse(
        {"--inner": inner, "--seeds": seeds, "--detectors": detectors, "--device": device, "--threads": threads,
         "--cache": cache},
        "with --protocol",
    )  # fmt: skip
    if len(given) != 1:
        raise typer.BadParameter("one data set is wanted", param_hint="DATASET")
    from leukolens.cli.progress import watched
    from leukolens.datasets.base import data_root
    from leukolens.datasets.catalogue import open_dataset
    from leukolens.evaluation.document import to_json
    from leukolens.evaluation.evaluate import evaluate as measure
    from leukolens.evaluation.ledger import default_ledger
    from leukolens.evaluation.page import page
    from leukolens.reading.choice import REFERENCE
    from leukolens.reading.reader import Reader

    root = data_root(data)
    opened = open_dataset(given[0], root)
    part = split or ("test" if "test" in opened.splits else "all")
    make(out)
    with _bundle(subject, root) as bundle:
        evaluation = measure(
            Reader(bundle, engine=REFERENCE),
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
        show(evaluation, out)


def _refuse(options: dict[str, object], where: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise typer.BadParameter(f"it is used {where} only", param_hint=name)


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
