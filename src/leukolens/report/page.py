"""One sample as one HTML page that needs nothing beside it: no file, no network, no script."""

from __future__ import annotations

import re
import shutil
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from importlib import resources
from pathlib import Path
from tempfile import TemporaryFile
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from leukolens.reading.cell import FieldReading
from leukolens.report import page_review, page_summary
from leukolens.report.listing import listed_in
from leukolens.report.markup import colours, counted, text
from leukolens.report.page_chart import chart
from leukolens.report.page_fields import failed_fields, field_figure, field_index
from leukolens.report.page_gallery import Cut, crop_side, gallery
from leukolens.report.page_pictures import crop, field_picture, longest_side
from leukolens.report.review_words import DISCLAIMER
from leukolens.report.sample import SampleReport
from leukolens.report.writing import whole_file
from leukolens.taxonomy import ALL_CLASSES, CLASSES

ImageSource = Callable[[FieldReading], NDArray[np.uint8] | None]
Passing = Callable[[Sequence[FieldReading]], Iterable[FieldReading]]


def write_page(
    report: SampleReport, path: Path, *, images: ImageSource, names: bool = False, passing: Passing = iter
) -> None:
    """Writes the page; equal reports and images give equal bytes.

    One field's image is in memory at a time, and every cell's crop as a small JPEG.

    Args:
        report: The sample.
        path: Where to write.
        images: Gives a field's image as it was read, uint8 (h, w, 3), or None where it is not there any
            more; asked once for each field that did not fail, in order.
        names: Whether fields are told with their paths; without, no file name is on the page.
        passing: Passes the fields on, each when the one before is written: whoever shows how far it is
            counts them there.

    Raises:
        ReportError: Where it cannot be written.
    """
    # The gallery stands before the fields but is known after them, so these wait in a file without a name.
    with whole_file(path) as stream, _waiting(path.parent) as fields:
        cuts, missing = _write_fields(report, passing(report.fields), fields, images, names)
        fields.seek(0)
        parts = _parts(report, cuts, missing, names)
        template = _resource("page.html")
        for number, piece in enumerate(re.split(r"\$(\w+)", template)):
            if piece == "fields" and number % 2:
                shutil.copyfileobj(fields, stream)
            else:
                stream.writelines(parts[piece] if number % 2 else [piece])


def _waiting(folder: Path) -> TextIO:
    # On the page's own disk: elsewhere the system's folder for such files may lie in memory.
    return TemporaryFile("w+", encoding="utf-8", newline="", dir=folder)


def _write_fields(
    report: SampleReport, fields: Iterable[FieldReading], stream: TextIO, images: ImageSource, names: bool
) -> tuple[list[Cut], int]:
    """Writes the fields' figures; gives every cell with its crop, and how many pictures were missing."""
    cuts: list[Cut] = []
    missing = 0
    longest = longest_side(len(report.fields))
    for place, field in enumerate(fields, start=1):
        if field.status == "failed":
            continue
        rgb = images(field)
        if rgb is not None and rgb.shape != (field.height, field.width, 3):
            rgb = None  # another image by now: its boxes would lie
        missing += rgb is None
        cells = list(listed_in(report, place, field))
        jpeg = None if rgb is None else field_picture(rgb, longest)
        cuts += [
            Cut(item, None if rgb is None else crop(rgb, item.cell.box, crop_side(item))) for item in cells
        ]
        stream.write(field_figure(field, place, cells, jpeg, names=names))
    return cuts, missing


def _parts(report: SampleReport, cuts: list[Cut], missing: int, names: bool) -> dict[str, Iterable[str]]:
    style = _style(report)
    differential, origin = report.differential, report.origin
    cells = sum(len(field.cells) for field in report.fields)
    return {
        "style_hash": [b64encode(sha256(style.encode()).digest()).decode()],
        "style": [style],
        "sample": [text(report.name)],
        "lede": [
            f"{counted(cells, 'white cell')} found in {counted(len(report.fields), 'field')} · "
            f"{counted(differential.denominator, 'leukocyte')} named · bundle {text(origin.bundle)} "
            f"{text(origin.bundle_sha256[:12])} · Leukolens {text(origin.leukolens)}"
        ],
        "status": [page_review.status(report)],
        "review_link": [page_review.link(report)],
        "review": page_review.section(report),
        "signature": [page_review.signature(report)],
        "disclaimer": [text(DISCLAIMER)],
        "flags": page_summary.flags(report),
        "warnings": page_summary.warnings(report, missing),
        "key_figures": page_summary.key_figures(report),
        "differential": page_summary.differential_table(differential, report.review),
        "chart": [chart(differential)],
        "differential_note": [page_summary.differential_note(differential, report.review)],
        "gallery": gallery(cuts),
        "failed": failed_fields(report, names=names),
        "settings": _settings(report),
        "index": field_index(report, names=names),
    }


def _settings(report: SampleReport) -> Iterator[str]:
    origin = report.origin
    pairs = (
        ("Leukolens", origin.leukolens),
        ("Bundle", origin.bundle),
        ("Bundle sha256", origin.bundle_sha256),
        ("Engine", origin.engine),
        *origin.settings,
    )
    for name, value in pairs:
        yield f"<dt>{text(name)}</dt><dd>{text(value)}</dd>"


def _style(report: SampleReport) -> str:
    """The page's only style sheet; the sample's name stands at the foot of every printed page."""
    foot = "".join(f"\\{ord(character):x} " for character in report.name[:80] if character.isprintable())
    known = CLASSES if report.review is None else ALL_CLASSES
    sheet = _resource("page.css").replace("$colours", colours(known)).replace("$foot", foot)
    return sheet if report.review is None else sheet + _resource("page_review.css")


def _resource(name: str) -> str:
    return resources.files("leukolens.report").joinpath(name).read_text(encoding="utf-8")
