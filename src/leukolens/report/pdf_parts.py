"""The parts of a PDF, in the order of the page: what to review, the differential, what persons did, how it was read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Paragraph, Table

from leukolens.differential.counts import ClassCount, Concentration, Differential, Share
from leukolens.report.listing import field_name, nameless_reason
from leukolens.report.markup import NOTHING, counted, letter
from leukolens.report.overlay import GREY, ink_on
from leukolens.report.pdf_fonts import BOLD, REGULAR, legible, markup
from leukolens.report.read_document import rounded
from leukolens.report.review_words import facts, machine_rows, status_sentence, status_word
from leukolens.report.sample import SampleReport
from leukolens.taxonomy import UNSURE, cell_class

WIDTH = 182 * mm
MOST_COLUMNS = 9  # of the differential, that have room in letters of the usual size
INK, MUTED, RULE, ALERT = HexColor("#1d252d"), HexColor("#5b6773"), HexColor("#dfe4e9"), HexColor("#d57f1e")
TEXT = ParagraphStyle("text", fontName=REGULAR, fontSize=8.5, leading=11.5, textColor=INK)
QUIET = ParagraphStyle("quiet", TEXT, fontSize=7.2, leading=9.6, textColor=MUTED)
SMALL = ParagraphStyle("small", TEXT, fontSize=7.6, leading=10)
TITLE = ParagraphStyle("title", TEXT, fontName=BOLD, fontSize=16, leading=20, spaceAfter=3)
TO_SIGN = ParagraphStyle("to sign", SMALL, spaceBefore=18, spaceAfter=6)
HEADING = ParagraphStyle(
    "heading", TEXT, fontName=BOLD, fontSize=11, leading=14, spaceBefore=9, spaceAfter=4, keepWithNext=1
)
HINT = ParagraphStyle("hint", QUIET, spaceAfter=3, keepWithNext=1)
BESIDE = ParagraphStyle(
    "beside",
    TEXT,
    leftIndent=5,
    rightIndent=5,
    spaceBefore=10,
    spaceAfter=10,
    borderColor=RULE,
    borderWidth=0.5,
    borderPadding=3.5,
)
FLAG = ParagraphStyle("flag", BESIDE, borderColor=ALERT)


def head(report: SampleReport) -> Iterator[Flowable]:
    """The sample, the status and what it means."""
    origin, cells = report.origin, sum(len(field.cells) for field in report.fields)
    yield Paragraph("Leukolens · differential count of a blood smear", QUIET)
    yield Paragraph(markup(report.name) or NOTHING, TITLE)
    yield Paragraph(
        markup(
            f"{counted(cells, 'white cell')} found in {counted(len(report.fields), 'field')} · "
            f"{counted(report.differential.denominator, 'leukocyte')} named · bundle {origin.bundle} "
            f"{origin.bundle_sha256[:12]} · Leukolens {origin.leukolens}"
        ),
        ParagraphStyle("lede", QUIET, spaceAfter=6),
    )
    yield Paragraph(f"<b>{status_word(report)}.</b> {markup(status_sentence(report))}", BESIDE)


def to_review(report: SampleReport, missing: int) -> Iterator[Flowable]:
    """What is flagged, what must be known, and what was counted.

    Args:
        report: The sample.
        missing: Fields that were read but whose picture could not be shown.
    """
    yield Paragraph("To review", HEADING)
    for flag in report.flags:
        yield Paragraph(markup(flag.message), FLAG)
    if not report.flags:
        yield Paragraph("Nothing is flagged.", QUIET)
    failed = sum(field.status == "failed" for field in report.fields)
    own = [f"{failed} of {counted(len(report.fields), 'field')} could not be read; the reasons stand below."]
    lost = [f"The pictures of {counted(missing, 'field')} are missing from this report."]
    for warning in (*report.warnings, *(own if failed else ()), *(lost if missing else ())):
        yield Paragraph(markup(warning), BESIDE)
    yield pairs(_key_figures(report))


def _key_figures(report: SampleReport) -> list[tuple[str, str]]:
    differential, tally = report.differential, report.differential.tally
    read = sum(field.status != "failed" for field in report.fields)
    told = [
        ("Leukocytes named", f"{tally.denominator:,} (the percentages are over these)"),
        ("Unsure", f"{tally.unsure:,} (in no class, widen the limits)"),
        ("Left out", f"at the edge {tally.at_edge:,}, not leukocytes {tally.not_leukocyte:,}"),
        ("Fields read", f"{read:,} of {len(report.fields):,}"),
    ]
    if tally.nucleated_red_cells is not None:
        per_hundred = figure(differential.nucleated_red_cells)
        told.append(
            ("Nucleated red cells", f"{tally.nucleated_red_cells:,}, {per_hundred} per 100 leukocytes")
        )
    if differential.white_count:
        count = differential.white_count
        told.append(
            ("White cells, 10^9/L", f"{figure(count.corrected, 2)} (given as {figure(count.given, 2)})")
        )
    return told


def differential_table(report: SampleReport) -> Iterator[Flowable]:
    """One row a class: reviewed figures with limits, and the machine's beside them where there is a review."""
    differential, review = report.differential, report.review
    corrected = any(row.corrected for row in differential.classes)
    absolute = any(row.concentration for row in differential.classes)
    header = [
        "",
        "class",
        "cells",
        "%",
        "95 % limits",
        *(["corrected %", "95 % limits"] if corrected else ()),
    ]
    header += [
        *(["10^9/L", "95 % limits"] if absolute else ()),
        *(["machine cells", "machine %"] if review else ()),
    ]
    machine = machine_rows(review)
    rows = [header]
    rows += [
        [
            letter(row.key),
            cell_class(row.key).name,
            f"{row.count:,}",
            *measure(row.share),
            *(measure(row.corrected) if corrected else ()),
            *(measure(row.concentration) if absolute else ()),
            *(_machine(machine.get(row.key)) if review else ()),
        ]
        for row in differential.classes
    ]
    rows.append(_unsure(differential, len(header)))
    if review:
        rows[-1][-2:] = [f"{review.machine.tally.unsure:,}", measure(review.machine.unsure)[0]]
    keys = [*(row.key for row in differential.classes), UNSURE]
    yield Paragraph("Differential", HEADING)
    table = Table([[legible(cell) for cell in row] for row in rows], repeatRows=1, hAlign="LEFT")
    style = [*_badges(keys), ("ALIGN", (2, 0), (-1, -1), "RIGHT")]
    if len(header) > MOST_COLUMNS:
        style += [("FONTSIZE", (0, 0), (-1, -1), 6.2), ("LEFTPADDING", (0, 0), (-1, -1), 3)]
    table.setStyle(_ruled(style))
    yield table
    yield Paragraph(markup(_note(report)), QUIET)


def _unsure(differential: Differential, width: int) -> list[str]:
    shown = [letter(UNSURE), "Unsure, of named and unsure", f"{differential.tally.unsure:,}"]
    shown += measure(differential.unsure)
    return [*shown, *[""] * (width - len(shown))]


def _machine(row: ClassCount | None) -> list[str]:
    return [f"{row.count:,}", measure(row.share)[0]] if row else [NOTHING, NOTHING]


def _note(report: SampleReport) -> str:
    told = [
        "Percentages are over the named leukocytes. Limits are exact (Clopper-Pearson) and allow for the unsure cells."
    ]
    if report.differential.confusion_from:
        told.append(
            "Corrected figures allow for the confusion of classes that was measured on "
            f"{report.differential.confusion_from}, all together."
        )
    if report.review:
        told.append("The machine's own figures are those before persons reviewed its answers.")
    return " ".join(told)


def persons(report: SampleReport) -> Iterator[Flowable]:
    """What persons did, what they say of red cells and platelets; the lines to sign on where nobody has."""
    review = report.review
    if review is None or review.signed is None:
        line = "_" * 24
        yield Paragraph(f"Reviewed by {line} &nbsp; Signature {line} &nbsp; Date {'_' * 12}", TO_SIGN)
    if review is None:
        return
    yield Paragraph("Review by persons", HEADING)
    yield pairs(facts(review))
    yield Paragraph("Red cells and platelets", HEADING)
    if review.comments:
        yield pairs(review.comments)
    else:
        yield Paragraph("Nothing is said of them.", QUIET)


def how_read(report: SampleReport, *, names: bool) -> Iterator[Flowable]:
    """The fields that failed, the settings, and every image's checksum."""
    failed = [(place, field) for place, field in enumerate(report.fields, 1) if field.status == "failed"]
    if failed:
        yield Paragraph("Fields that could not be read", HEADING)
        yield pairs(
            [
                (field_name(place), (field.reason if names else nameless_reason(field)) or NOTHING)
                for place, field in failed
            ]
        )
    origin = report.origin
    yield Paragraph("How it was read", HEADING)
    yield pairs(
        [
            ("Leukolens", origin.leukolens),
            ("Bundle", origin.bundle),
            ("Bundle sha256", origin.bundle_sha256),
            ("Engine", origin.engine),
            *origin.settings,
        ]
    )
    rows = [["field", "white cells", "red cells", "platelets", "sha256 of the image"]]
    for place, field in enumerate(report.fields, start=1):
        shown = f"{field_name(place)} {field.path}" if names else field_name(place)
        counts = [len(field.cells), field.red_cells, field.platelets]
        rows.append([legible(shown), *(f"{count:,}" for count in counts), field.sha256 or NOTHING])
    table = Table(rows, repeatRows=1, hAlign="LEFT")
    table.setStyle(_ruled([("ALIGN", (1, 0), (3, -1), "RIGHT"), ("FONTSIZE", (0, 0), (-1, -1), 6.4)]))
    yield table


def pairs(told: Sequence[tuple[str, str]]) -> Flowable:
    """Names and values in two columns; long values fold."""
    rows = [[Paragraph(markup(name), QUIET), Paragraph(markup(value), SMALL)] for name, value in told]
    table = Table(rows or [["", ""]], colWidths=[46 * mm, WIDTH - 46 * mm], hAlign="LEFT")
    table.setStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (0, -1), 0), *_tight()])
    return table


def measure(of: Share | Concentration | None) -> list[str]:
    """A measure and its limits."""
    if of is None:
        return [NOTHING, ""]
    value, places = (of.percent, 1) if isinstance(of, Share) else (of.value, 2)
    return [figure(value, places), f"{figure(of.low, places)} to {figure(of.high, places)}"]


def figure(value: float | None, places: int = 1) -> str:
    """A number as a person reads it."""
    exact = rounded(value)
    return NOTHING if exact is None else f"{exact:.{places}f}"


def colour_of(key: str) -> tuple[Color, Color]:
    """A class's colour, and the ink that can be read on it."""
    rgb = GREY if key == UNSURE else cell_class(key).rgb
    return Color(*(level / 255 for level in rgb)), Color(*(level / 255 for level in ink_on(rgb)))


def _badges(keys: Sequence[str]) -> list[Any]:
    style: list[Any] = [("ALIGN", (0, 0), (0, -1), "CENTER")]
    for row, key in enumerate(keys, start=1):
        ground, ink = colour_of(key)
        style += [("BACKGROUND", (0, row), (0, row), ground), ("TEXTCOLOR", (0, row), (0, row), ink)]
    return style


def _ruled(more: Sequence[Any]) -> list[Any]:
    return [
        ("FONT", (0, 0), (-1, -1), REGULAR, 7.6),
        ("TEXTCOLOR", (0, 0), (-1, 0), MUTED),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, RULE),
        *_tight(),
        *more,
    ]


def _tight() -> list[Any]:
    return [("TOPPADDING", (0, 0), (-1, -1), 1.6), ("BOTTOMPADDING", (0, 0), (-1, -1), 1.6)]
