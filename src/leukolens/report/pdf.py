"""One sample as a PDF to print and keep: the content of the page, on A4, with its letters inside."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from reportlab import rl_config
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate, Paragraph, Spacer

from leukolens.errors import ReportError
from leukolens.report import pdf_parts as parts
from leukolens.report.listing import listed_in
from leukolens.report.page import ImageSource
from leukolens.report.page_gallery import Cut
from leukolens.report.page_pictures import CROP_SIDE, crop
from leukolens.report.pdf_fonts import REGULAR, known, legible
from leukolens.report.pdf_gallery import gallery
from leukolens.report.review_words import DISCLAIMER, NOT_CERTIFIED, status_word
from leukolens.report.sample import SampleReport

# Pictures as they are, not as letters: that costs seconds, and no program of these days wants it.
rl_config.useA85 = 0

MARGIN, BOTTOM = 14 * mm, 18 * mm
LONGEST_NAME = 60  # characters of the sample's name at the foot


def write_pdf(report: SampleReport, path: Path, *, images: ImageSource, names: bool = False) -> None:
    """Writes the PDF. The arguments are those of `pdf`.

    Raises:
        ReportError: Where it cannot be written.
    """
    content = pdf(report, images=images, names=names)
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise ReportError(
            f"{path} cannot be written ({error.strerror})", "Free some space or choose another folder"
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def pdf(report: SampleReport, *, images: ImageSource, names: bool = False) -> bytes:
    """The PDF; equal reports and images give equal bytes.

    One field's image is in memory at a time, and every cell's crop as a small JPEG.

    Args:
        report: The sample.
        images: Gives a field's image as it was read, uint8 (h, w, 3), or None where it is not there any
            more; asked once for each field that did not fail, in order.
        names: Whether fields are told with their paths; without, no file name is in it.
    """
    known()
    cuts, missing = _cuts(report, images)
    story: list[Flowable] = [
        *parts.head(report),
        *parts.to_review(report, missing),
        *parts.differential_table(report),
        *parts.persons(report),
        *gallery(cuts),
        *parts.how_read(report, names=names),
        Spacer(0, 8),
        Paragraph(DISCLAIMER, parts.QUIET),
    ]
    buffer = BytesIO()
    document = BaseDocTemplate(
        buffer,
        pagesize=A4,
        title=f"{legible(report.name)}: differential count",
        author="Leukolens",
        subject="Differential count of a blood smear",
        creator=f"Leukolens {legible(report.origin.leukolens)}",
        lang="en",
        invariant=1,
    )
    frame = Frame(
        MARGIN, BOTTOM, A4[0] - 2 * MARGIN, A4[1] - MARGIN - BOTTOM, 0, 0, 0, 0, id="whole"
    )  # no padding: the parts count on the whole width
    document.addPageTemplates([PageTemplate("page", [frame])])
    document.build(story, canvasmaker=_numbered(report))
    return buffer.getvalue()


def _cuts(report: SampleReport, images: ImageSource) -> tuple[list[Cut], int]:
    """Every cell with its crop, and how many fields' pictures were missing."""
    cuts: list[Cut] = []
    missing = 0
    for place, field in enumerate(report.fields, start=1):
        if field.status == "failed":
            continue
        rgb = images(field)
        if rgb is not None and rgb.shape != (field.height, field.width, 3):
            rgb = None  # another image by now: its boxes would lie
        missing += rgb is None
        cuts += [
            Cut(item, None if rgb is None else crop(rgb, item.cell.box, CROP_SIDE))
            for item in listed_in(report, place, field)
        ]
    return cuts, missing


def _numbered(report: SampleReport) -> Callable[..., Canvas]:
    """A canvas that knows, when a page's foot is drawn, how many pages there are."""
    review = report.review
    version = f", version {review.version}" if review and review.version else ""
    name = report.name if len(report.name) <= LONGEST_NAME else f"{report.name[:LONGEST_NAME]}…"
    left = legible(f"{name} · {status_word(report)}{version}")

    class Numbered(Canvas):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._pages: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 - reportlab's name
            self._pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            pages = self._pages
            for number, page in enumerate(pages, start=1):
                self.__dict__.update(page)
                self._foot(number, len(pages))
                super().showPage()
            super().save()

        def _foot(self, number: int, last: int) -> None:
            self.setFont(REGULAR, 6.8)
            self.setFillColor(parts.MUTED)
            self.drawString(MARGIN, 11 * mm, left)
            self.drawRightString(A4[0] - MARGIN, 11 * mm, f"{number} / {last}")
            self.drawString(MARGIN, 7.5 * mm, NOT_CERTIFIED)

    return Numbered
