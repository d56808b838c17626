"""`leukolens read`: the fields of smears into differentials and reports."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leukolens.cli.endings import complain

if TYPE_CHECKING:
    from leukolens.cli.read_fields import Reads
    from leukolens.cli.samples import Sample
    from leukolens.report.sample import SampleReport

HIGHEST_WHITE_COUNT = 1000.0
HIGHEST_AGE = 130.0
ENGINE_HELP = "What runs the network: auto, onnxruntime, int8, openvino, cuda, coreml or directml."


class Sex(StrEnum):
    """What reference ranges may depend on."""

    female = "female"
    male = "male"


def _white_count(value: float | None) -> float | None:
    if value is not None and not 0 < value <= HIGHEST_WHITE_COUNT:
        raise typer.BadParameter(f"{value:g} is no count in 10^9/L; 7200 per microlitre are 7.2")
    return value


def _age(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and 0 <= value <= HIGHEST_AGE):
        raise typer.BadParameter(f"{value:g} is no age in years")
    return value


def _formats(words: list[str]) -> list[str]:
    from leukolens.cli.read_outputs import formats

    try:
        return list(formats(words))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def read(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Fields, or folders of fields: a folder is a sample."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the reports, a folder for each sample in it.")
    ] = Path("leukolens-read"),
    formats: Annotated[
        list[str],
        typer.Option(
            "--format", metavar="NAMES", callback=_formats, help="html, csv, json, geojson, coco, fhir."
        ),
    ] = ["html,csv,json"],  # noqa: B006 - typer copies it
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The sample's name, where there is one sample.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A bundle to use instead of the shipped one.")
    ] = None,
    wbc: Annotated[
        float | None,
        typer.Option(metavar="X", callback=_white_count, help="Total white cell count, 10^9/L."),
    ] = None,
    nrbc: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Nucleated red cells that a person counted along.")
    ] = None,
    age: Annotated[
        float | None, typer.Option(metavar="YEARS", callback=_age, help="Age, for the reference ranges.")
    ] = None,
    sex: Annotated[Sex | None, typer.Option(help="Sex, for the reference ranges.")] = None,
    ranges: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The laboratory's own reference ranges, TOML.")
    ] = None,
    count_edges: Annotated[
        bool, typer.Option("--count-edges", help="Count cells cut by a field's edge like others.")
    ] = False,
    names: Annotated[
        bool, typer.Option("--names", help="Let the written files hold the images' names.")
    ] = False,
    recursive: Annotated[bool, typer.Option("--recursive", help="Go into the folders of a folder.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="PATH is a folder that fills: read what comes until Ctrl-C.")
    ] = False,
    engine: Annotated[str, typer.Option(metavar="NAME", help=ENGINE_HELP)] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print no table and no progress.")] = False,
) -> None:
    """Finds the white cells in fields of a smear, names each, and reports a differential.

    What is done is kept in DIR: after Ctrl-C or a crash the same command goes on where it stopped. The
    exit code is 1 where a field could not be read, after everything else is written.
    """
    from leukolens.cli.read_fields import made_with
    from leukolens.cli.read_outputs import Outputs
    from leukolens.cli.read_report import Reporter
    from leukolens.cli.read_run import Run
    from leukolens.cli.read_shown import counted
    from leukolens.cli.results import make
    from leukolens.report.counting import Asked
    from leukolens.report.journal import Journal

    samples = _samples(paths, recursive=recursive, name=name, watch=watch)
    if len(samples) > 1 and (wbc is not None or nrbc is not None):
        raise typer.BadParameter(f"--wbc and --nrbc belong to one sample, and here are {len(samples)}")
    reader = open_reader(bundle, engine)
    asked = Asked(wbc, nrbc, age, sex.value if sex else None, ranges, count_edges)
    reporter, outputs = Reporter(reader, asked), Outputs(out, formats, names=names)
    make(out)
    with Journal(out, made_with(reader)) as journal:
        # A bar between lines on the same terminal would spoil both.
        bar = not quiet and not (json and sys.stdout.isatty())
        run = Run(reader, journal, reporter, outputs, progress=bar, log=not quiet)
        written = run.watch(samples[0], paths[0], recursive) if watch else run.read(samples)
        try:
            _show(written, formats, json=json, quiet=quiet)
        except KeyboardInterrupt:
            complain(f"{run.done} of {run.total} fields are done; the same command goes on from there.")
            raise
    if run.copies:
        complain(f"{counted(run.copies, 'field')} left out: copies of another one of the same sample.")
    if run.failed:
        complain(f"{run.failed} of {counted(run.total, 'field')} could not be read; the report says why.")
        raise typer.Exit(1)


def open_reader(bundle: Path | None, engine: str = "auto") -> Reads:
    """What reads fields with this bundle, or the shipped one; says where the engine is not what was asked for."""
    from leukolens.reading.fields import FieldReader

    reader = FieldReader(bundle, engine=engine)
    if reader.classifier.choice.note:
        complain(reader.classifier.choice.note)
    return reader


def _samples(paths: list[Path], *, recursive: bool, name: str | None, watch: bool) -> list[Sample]:
    from leukolens.cli.samples import Sample, file_name, find_samples
    from leukolens.imaging.decode import SUFFIXES
    from leukolens.report.journal import JOURNAL, LOCK

    if not watch:
        return find_samples(paths, SUFFIXES, recursive=recursive, name=name, taken=(JOURNAL, LOCK))
    if len(paths) != 1 or not paths[0].is_dir():
        raise typer.BadParameter("--watch takes one folder")
    return [Sample(file_name(name or paths[0].resolve().name), ())]


def _show(
    written: Iterator[tuple[SampleReport, Path]], formats: list[str], *, json: bool, quiet: bool
) -> None:
    """Drives the run; prints its document as it comes, or its tables."""
    from rich.console import Console

    from leukolens.cli import read_shown
    from leukolens.cli.read_outputs import PAGE
    from leukolens.report.read_document import document

    if json:
        sys.stdout.writelines(document(report for report, _ in written))
        return
    console = Console(highlight=False)
    page = PAGE if "html" in formats else ""
    if console.is_terminal and not quiet:
        # After the bar, which has the terminal to itself.
        for sample in [read_shown.shown(report, folder / page) for report, folder in written]:
            sample.print(console)
        return
    if not quiet:
        typer.echo("\t".join(read_shown.COLUMNS))
    for report, folder in written:
        if not quiet:
            read_shown.lines(report, folder / page, sys.stdout)
