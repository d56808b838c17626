"""The files of a report: each from what was kept when it was signed, whatever became of the sample since."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from leukolens.errors import ImageError, Missing
from leukolens.reading.cell import FieldReading
from leukolens.report.page import ImageSource
from leukolens.report.sample import SampleReport
from leukolens.server.signing.document import report_of
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Report

Writer = Callable[[SampleReport, Path, ImageSource, str | None], None]
"""Writes a report into a file; the last argument is whose blood it is, where that was asked for."""


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file that a report comes as.

    Attributes:
        media_type: As HTTP names it.
        file_name: The end of its name, after the sample's key.
        write: Writes it.
    """

    media_type: str
    file_name: str
    write: Writer


def written(report: SampleReport, name: str, files: Files, *, identifier: str | None = None) -> bytes:
    """A report's file, signed or not.

    Args:
        report: The report, which names its sample by the key.
        name: One of `FORMATS`.
        files: Where the images lie; those that are gone are missing from the file, which says so.
        identifier: Whose blood it is, where it was asked that it stands in the file.

    Raises:
        Missing: Where there is no such format.
        ReportError: Where it cannot be written, or an HL7 message is asked for that nobody signed.
    """
    kind = FORMATS.get(name)
    if kind is None:
        raise Missing(f"there is no format {name!r}", f"Ask for one of {', '.join(FORMATS)}")
    if identifier is not None and name != "hl7":  # which has places of its own for both
        report = replace(report, name=identifier)
    with TemporaryDirectory(prefix="leukolens-report-") as folder:
        path = Path(folder) / "report"
        kind.write(report, path, lambda field: pixels(files, field), identifier)
        return path.read_bytes()


def write(signed: Report, name: str, files: Files, *, identifier: str | None = None) -> bytes:
    """A signed version's file, as it was signed. Arguments and errors are those of `written`.

    Raises:
        ServerError: Where what was kept is damaged.
    """
    return written(report_of(signed.document), name, files, identifier=identifier)


def file_name(signed: Report, name: str) -> str:
    """What a signed version's file is called: by the sample's key, never by whose blood it is.

    Raises:
        Missing: Where there is no such format.
    """
    if name not in FORMATS:
        raise Missing(f"there is no format {name!r}", f"Ask for one of {', '.join(FORMATS)}")
    return f"{signed.document['report']['name']}-v{signed.version}-{FORMATS[name].file_name}"


def pixels(files: Files, field: FieldReading) -> NDArray[np.uint8] | None:
    """A field's image as it was read; None where it is gone, or damaged."""
    from leukolens.imaging.decode import content_of, decode

    if not files.has(field.sha256):
        return None
    try:
        content = content_of(files.path(field.sha256))
        return decode(content) if hashlib.sha256(content).hexdigest() == field.sha256 else None
    except ImageError:
        return None


def _html(report: SampleReport, path: Path, images: ImageSource, identifier: str | None) -> None:
    from leukolens.report.page import write_page

    write_page(report, path, images=images)


def _pdf(report: SampleReport, path: Path, images: ImageSource, identifier: str | None) -> None:
    from leukolens.report.pdf import write_pdf

    write_pdf(report, path, images=images)


def _cells(report: SampleReport, path: Path, images: ImageSource, identifier: str | None) -> None:
    from leukolens.report.read_tables import write_cells

    write_cells(report, path)


def _differential(report: SampleReport, path: Path, images: ImageSource, identifier: str | None) -> None:
    from leukolens.report.read_tables import write_differential

    write_differential(report, path)


def _json(report: SampleReport, path: Path, images: ImageSource, identifier: str | None) -> None:
    from leukolens.report.read_document import write_document

    write_document([report], path)


def _fhir(report: SampleReport, path: Path, images: ImageSource, identifier: str | None) -> None:
    from leukolens.report.fhir import write_fhir

    write_fhir(report, path)


def _hl7(report: SampleReport, path: Path, images: ImageSource, identifier: str | None) -> None:
    from leukolens.report.hl7 import write_hl7

    write_hl7(report, path, identifier=identifier)


FORMATS: Mapping[str, Format] = {
    "html": Format("text/html; charset=utf-8", "report.html", _html),
    "pdf": Format("application/pdf", "report.pdf", _pdf),
    "cells": Format("text/csv; charset=utf-8", "cells.csv", _cells),
    "differential": Format("text/csv; charset=utf-8", "differential.csv", _differential),
    "json": Format("application/json", "report.json", _json),
    "fhir": Format("application/fhir+json", "fhir.json", _fhir),
    "hl7": Format("x-application/hl7-v2+er7; charset=utf-8", "oru.hl7", _hl7),
}
"""Format to what it is, in the order that a person is offered them."""
