"""`leukolens identify`: images that hold one white cell each."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from leukolens.cli.endings import complain
from leukolens.cli.paths import find_images
from leukolens.cli.progress import watched
from leukolens.cli.read import ENGINE_HELP
from leukolens.errors import ReportError

if TYPE_CHECKING:
    from leukolens.reading.cell import ImageReading
    from leukolens.reading.reader import Reader
    from leukolens.report.terminal import Tally, TerminalTable


class _Sink(Protocol):
    def add(self, reading: ImageReading) -> None:
        """Takes one reading."""


def identify(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Images, or folders of images.")],
    bundle: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A bundle to use instead of the shipped one.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a CSV table to this file.")] = None,
    explain: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write pictures of what spoke for each answer to this folder."),
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", help="Go into the folders of a folder.")] = False,
    engine: Annotated[str, typer.Option(metavar="NAME", help=ENGINE_HELP)] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="Print no table and no progress.")] = False,
) -> None:
    """Names the white cell in each image, with its probabilities and whether to trust the answer.

    Every image gets a row; one that cannot be read, or shows no cell, says why. The exit code is 1 where
    an image could not be read, after all the others are done.
    """
    from leukolens.imaging.decode import SUFFIXES
    from leukolens.reading.batch_check import check
    from leukolens.reading.cell import ImageReading
    from leukolens.reading.processor import processors
    from leukolens.reading.reader import Reader
    from leukolens.report.tables import CsvTable, document
    from leukolens.report.terminal import Lines, Tally, TerminalTable

    found = find_images(paths, SUFFIXES, recursive=recursive)
    reader = Reader(bundle, engine=engine, processes=processors())
    unlisted = (
        ImageReading(Path(folder), "failed", f"the folder cannot be listed ({why})")
        for folder, why in found.unreadable
    )
    tally, together, table = Tally(), _Together(), None
    sinks: list[_Sink] = [tally, together]
    with ExitStack() as stack:
        stack.callback(reader.close)
        if csv:
            sinks.append(stack.enter_context(CsvTable(csv, reader.classifier.classes)))
        if explain:
            sinks.append(_Pictures(reader, explain))
        if not json and not quiet:
            if sys.stdout.isatty():
                table = TerminalTable()
            sinks.append(table or Lines(sys.stdout))
        # A bar between lines on the same terminal would spoil both.
        shown = not quiet and not (json and sys.stdout.isatty())
        readings = watched(reader.identify(found.images), len(found.images), shown=shown)
        passed = _into(sinks, chain(readings, unlisted))
        if json:
            sys.stdout.writelines(document(passed, reader.bundle))
        else:
            for _ in passed:
                pass
    if table:
        _show(table, tally)
    batch = check(together.distances, reader.bundle.card.judgement)
    if batch and batch.unlike and not quiet:
        complain(batch.message)
    if reader.note and not quiet:
        complain(reader.note)
    if reader.bundle.card.caution and not quiet:
        complain(reader.bundle.card.caution)
    if tally.failed:
        complain(tally.complaint())
        raise typer.Exit(1)


def _into(sinks: list[_Sink], readings: Iterable[ImageReading]) -> Iterator[ImageReading]:
    for reading in readings:
        for sink in sinks:
            sink.add(reading)
        yield reading


class _Together:
    """Keeps of each cell what the check of all of them together asks."""

    def __init__(self) -> None:
        self.distances: list[float] = []

    def add(self, reading: ImageReading) -> None:
        from leukolens.reading.batch_check import asked_of

        self.distances += asked_of(reading.cells)


class _Pictures:
    """Writes one picture a cell: ``00017-name.png`` for the seventeenth image."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        reader.classifier.check_activation()
        self._reader, self._folder, self._number = reader, folder, 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(folder, error) from error

    def add(self, reading: ImageReading) -> None:
        from leukolens.imaging.decode import decode
        from leukolens.reading.explain import explain, picture
        from leukolens.report.tables import printable

        self._number += 1
        for cell in reading.cells:
            rgb = decode(reading.path)
            explanation = explain(self._reader, rgb, cell.label)
            if explanation is None:
                continue
            stem = printable(reading.path.stem).replace("\\", "_")[:60]
            path = self._folder / f"{self._number:05d}-{stem}.png"
            try:
                picture(rgb, explanation, cell).save(path)
            except OSError as error:
                path.unlink(missing_ok=True)
                raise self._unwritable(path, error) from error

    def _unwritable(self, path: Path, error: OSError) -> ReportError:
        return ReportError(
            f"{path} cannot be written ({error.strerror})", "Free some space or choose another folder"
        )


def _show(table: TerminalTable, tally: Tally) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    table.print(console)
    console.print(tally.summary())
