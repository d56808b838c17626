"""The files that `leukolens read` writes for a sample: which there are, and where they lie."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from leukolens.cli.results import make
from leukolens.errors import ReportError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from leukolens.reading.cell import FieldReading
    from leukolens.report.page import Passing
    from leukolens.report.sample import SampleReport

    Writer = Callable[[SampleReport, Path, Passing], None]

FORMATS = ("html", "csv", "json", "geojson", "coco", "fhir")
USUAL = ("html", "csv", "json")
PAGE = "report.html"


def formats(words: Iterable[str]) -> tuple[str, ...]:
    """The formats that these words name, by commas or one by one, in the order of `FORMATS`.

    Raises:
        ValueError: Where a word names none, or there are none at all.
    """
    wanted = [part.strip().lower() for word in words for part in word.split(",") if part.strip()]
    unknown = [part for part in wanted if part not in FORMATS]
    if unknown or not wanted:
        what = f"{unknown[0]!r} is no format" if unknown else "no format is named"
        raise ValueError(f"{what}; there are {', '.join(FORMATS)}")
    return tuple(name for name in FORMATS if name in wanted)


class Outputs:
    """Writes a sample's files, each as a whole, in a folder of the sample's name.

    Args:
        folder: The folder that the samples' folders lie in.
        wanted: Some of `FORMATS`.
        names: Whether the files may hold the images' names and paths.
    """

    def __init__(self, folder: Path, wanted: Iterable[str], *, names: bool) -> None:
        self._folder = folder
        # What is missing must be known before hours of reading, not after.
        self._writers = [_writer(name, names) for name in wanted]

    def write(self, report: SampleReport, passing: Passing = iter) -> Path:
        """Writes the sample's files, and gives the folder that they lie in.

        Args:
            report: The sample.
            passing: What a page's fields pass through as they are written; the other files take no time.

        Raises:
            ReportError: Where one cannot be written.
        """
        folder = self._folder / report.name
        make(folder)
        for write in self._writers:
            write(report, folder, passing)
        return folder


def _writer(name: str, names: bool) -> Writer:
    if name == "html":
        from leukolens.report.page import write_page

        return lambda report, folder, passing: write_page(
            report, folder / PAGE, images=pixels, names=names, passing=passing
        )
    if name == "csv":
        return _csv(names)
    if name == "json":
        from leukolens.report.read_document import write_document

        return lambda report, folder, _: write_document([report], folder / "report.json", paths=names)
    if name == "geojson":
        return _geojson(names)
    if name == "coco":
        from leukolens.report.coco import write_coco

        return lambda report, folder, _: write_coco(report, folder / "coco.json", names=names)
    from leukolens.report.fhir import write_fhir

    return lambda report, folder, _: write_fhir(report, folder / "fhir.json")


def _csv(names: bool) -> Writer:
    from leukolens.report.read_tables import write_cells, write_differential

    def write(report: SampleReport, folder: Path, _: Passing) -> None:
        write_cells(report, folder / "cells.csv", names=names)
        write_differential(report, folder / "differential.csv")

    return write


def _geojson(names: bool) -> Writer:
    from leukolens.report.geojson import write_geojson

    def write(report: SampleReport, folder: Path, _: Passing) -> None:
        place = folder / "geojson"
        written = write_geojson(report, place, names=names)
        # A field that an earlier run had and this one has not would be taken for one of the sample's.
        try:
            for path in set(place.glob("field-*.geojson")) - set(written):
                path.unlink()
        except OSError as error:
            raise ReportError(
                f"{error.filename} cannot be removed ({error.strerror})", "Remove it"
            ) from error

    return write


def pixels(reading: FieldReading) -> NDArray[np.uint8] | None:
    """The pixels that a reading was made from; None where the file is gone or holds something else by now."""
    from leukolens.errors import ImageError
    from leukolens.imaging.decode import content_of, decode

    try:
        content = content_of(reading.path)
        return decode(content) if hashlib.sha256(content).hexdigest() == reading.sha256 else None
    except ImageError:
        return None
