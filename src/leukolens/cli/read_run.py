"""One run of `leukolens read`: sample after sample, or a folder that fills, each to its report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from leukolens.cli.paths import find_images
from leukolens.cli.read_fields import SampleReading, unlisted
from leukolens.cli.read_progress import ReadProgress
from leukolens.cli.read_shown import counted
from leukolens.cli.watch import Arrivals, Stopping
from leukolens.errors import ImageError, LeukolensError
from leukolens.imaging.decode import SUFFIXES, decode
from leukolens.report.tables import printable

if TYPE_CHECKING:
    from leukolens.cli.read_fields import Reads
    from leukolens.cli.read_outputs import Outputs
    from leukolens.cli.read_report import Reporter
    from leukolens.cli.samples import Sample
    from leukolens.reading.cell import FieldReading
    from leukolens.report.journal import Journal
    from leukolens.report.sample import SampleReport

Written = tuple["SampleReport", Path]


@dataclass(slots=True)
class Run:
    """Reads samples and writes their reports; holds one sample's readings at a time, and no pixels.

    Attributes:
        reader: Reads the fields.
        journal: Knows which are done.
        reporter: Makes a sample's report.
        outputs: Writes its files.
        progress: Whether bars may show.
        log: Whether a line on standard error tells of each field that came while watching.
        total: Fields to read, as far as is known.
        done: Fields that are read.
        failed: Those of them that could not be.
        copies: Images that were passed over, as copies of another field of their sample.
    """

    reader: Reads
    journal: Journal
    reporter: Reporter
    outputs: Outputs
    progress: bool = False
    log: bool = False
    total: int = 0
    done: int = 0
    failed: int = 0
    copies: int = 0
    _bars: ReadProgress = field(default_factory=lambda: ReadProgress(None, shown=False))

    def read(self, samples: Sequence[Sample]) -> Iterator[Written]:
        """Each sample's report, and the folder that its files are in.

        Raises:
            BundleError: Where the bundle's graphs cannot run.
            ReportError: Where journal or report cannot be written.
        """
        self.total = sum(map(len, samples))
        self._bars = ReadProgress(self.total, shown=self.progress)
        try:
            for sample in samples:
                fields = SampleReading(self.reader, self.journal)
                readings = list(self._counted(fields.read(sample.images)))
                readings += self._counted(unlisted(*folder) for folder in sample.unreadable)
                self.copies += len(fields.copies)
                yield self._written(sample.name, readings)
        finally:
            self._bars.close()

    def watch(self, sample: Sample, folder: Path, recursive: bool) -> Iterator[Written]:
        """The report of a folder that fills, once somebody has pressed Ctrl-C.

        Its fields stand in the order of a folder that is read when it is full.

        Raises:
            BundleError: Where the bundle's graphs cannot run.
            LeukolensError: Where no field came.
            ReportError: Where journal or report cannot be written.
        """

        def listed() -> list[str]:
            return images_now(folder, recursive)

        fields = SampleReading(self.reader, self.journal)
        readings: list[FieldReading] = []
        with Stopping() as stopping:
            self._say(f"Watching {printable(str(folder))}. Ctrl-C ends it and writes the report.")
            for images in Arrivals(listed, lambda: stopping.wanted, decodes):
                self.total += len(images)
                for reading in self._counted(fields.read(images)):
                    readings.append(reading)
                    self._say(f"{len(readings)}\t{said_of(reading)}")
        if not readings:
            raise LeukolensError(
                f"no field came into {folder}", f"Name the folder that the camera saves to ({_suffixes()})"
            )
        self.copies = len(fields.copies)
        places = {image: place for place, image in enumerate(listed())}
        readings.sort(key=lambda reading: (places.get(str(reading.path), len(places)), reading.path))
        self._bars = ReadProgress(None, shown=self.progress)
        try:
            yield self._written(sample.name, readings)
        finally:
            self._bars.close()

    def _counted(self, readings: Iterable[FieldReading]) -> Iterator[FieldReading]:
        for reading in readings:
            self.done += 1
            self.failed += reading.status == "failed"
            yield reading
            self._bars.read()

    def _written(self, name: str, readings: list[FieldReading]) -> Written:
        report = self.reporter.report(name, readings)
        return report, self.outputs.write(report, self._bars.written)

    def _say(self, line: str) -> None:
        if self.log:
            typer.echo(line, err=True)


def images_now(folder: Path, recursive: bool) -> list[str]:
    """The images that a folder holds now; none where it is empty, or away for the moment."""
    try:
        listed = find_images([folder], SUFFIXES, recursive=recursive).images
    except LeukolensError:
        return []
    # A folder that is away would be taken for a file.
    return [image for image in listed if image != str(folder)]


def decodes(path: Path) -> bool:
    """Whether an image is whole."""
    try:
        decode(path)
    except ImageError:
        return False
    return True


def said_of(reading: FieldReading) -> str:
    """A field in one line."""
    found = (
        counted(len(reading.cells), "white cell")
        if reading.status != "failed"
        else f"not read: {printable(reading.reason or '')}"
    )
    return f"{printable(reading.path.name)}\t{found}"


def _suffixes() -> str:
    return ", ".join(sorted(SUFFIXES))
