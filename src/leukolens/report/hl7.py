"""A sample's differential count as an HL7 v2.5.1 message, ORU^R01: one result a class, with limits and flags.

HL7 Messaging Standard Version 2.5.1, chapters 2 (control), 3 (PID) and 7 (OBR, OBX). Codes are those of the FHIR
document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from math import isfinite
from pathlib import Path

from leukolens.differential.counts import ClassCount, Concentration, Flag, Share
from leukolens.errors import ReportError
from leukolens.report import fhir_codes as codes
from leukolens.report.fhir_codes import GIGA_PER_LITRE, PER_HUNDRED_LEUKOCYTES, PERCENT, Unit
from leukolens.report.fhir_observations import concentration_words, fraction_words, method
from leukolens.report.read_document import rounded
from leukolens.report.review_words import machine_rows, review_lines, statement
from leukolens.report.sample import SampleReport
from leukolens.report.writing import whole_file

END = "\r"
RESULT_STATUS = {"preliminary": "P", "final": "F", "amended": "C"}
"""HL7 table 0085 and 0123: preliminary, final, and a correction that replaces a final one."""
ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}
LOCAL = "99LKL"
"""The coding system of what LOINC has no verified term for: Leukolens' own class keys."""


def write_hl7(
    report: SampleReport, path: Path, *, identifier: str | None = None, at: datetime | None = None
) -> None:
    """Writes the message. The arguments are those of `message`.

    Raises:
        ReportError: Where it cannot be written, or has no time.
    """
    content = message(report, identifier=identifier, at=at)
    with whole_file(path) as stream:
        stream.write(content)


def message(report: SampleReport, *, identifier: str | None = None, at: datetime | None = None) -> str:
    """The message: segments that end in a carriage return, to be sent as UTF-8.

    It holds no clock's time, and its control id is a digest of the content, so equal input gives an equal message.

    Args:
        report: The sample; its name is the filler's order number.
        identifier: Whose blood it is; None leaves the patient's segment out.
        at: When it was made, with a time zone; None for when the report was signed.

    Raises:
        ReportError: Where it has no time, which HL7 requires, or one without a time zone.
    """
    time = _time(report, at)
    body = list(_body(report, identifier, time))
    control = sha256(END.join(body).encode("utf-8", "surrogatepass")).hexdigest()[:20]
    head = segment(
        "MSH", "^~\\&", "Leukolens", "", "", "", time, "", "ORU^R01^ORU_R01", control, "P", "2.5.1",
        "", "", "", "", "", "UNICODE UTF-8",
    )  # fmt: skip
    return "".join(f"{line}{END}" for line in (head, *body))


def _body(report: SampleReport, identifier: str | None, time: str) -> Iterator[str]:
    if identifier is not None and identifier.strip():
        # A name is required and not known: name type U, unspecified (table 0200).
        yield segment("PID", "1", "", escaped(identifier.strip()), "", "^^^^^^U")
    status = RESULT_STATUS[report.review.status if report.review else "preliminary"]
    reviewer = escaped(report.review.reviewer) if report.review else ""
    panel = f"{codes.DIFFERENTIAL_PANEL}^White blood cell differential from images^LN"
    interpreter = f"&{reviewer}" if reviewer else ""
    yield segment(
        "OBR", "1", "", escaped(report.name), panel, *[""] * 17, time, "", "HM", status, *[""] * 6,
        interpreter,
    )  # fmt: skip
    said = [*review_lines(report), *(flag.message for flag in report.flags), *report.warnings]
    yield from _notes((*said, statement(report)))
    how, responsible = f"^{escaped(method(report))}", f"^{reviewer}" if reviewer else ""
    for place, result in enumerate(_results(report), start=1):
        yield result.segment(place, status, responsible, how)
        yield from _notes(result.notes)


@dataclass(frozen=True, slots=True)
class Result:
    """One OBX.

    Attributes:
        code: LOINC's, or Leukolens' own word for it.
        words: What it is.
        value: A number, or words.
        unit: Of a number.
        flag: What was flagged of it.
        notes: What stands below it.
        system: What the code is of.
    """

    code: str
    words: str
    value: float | str | None
    unit: Unit | None = None
    flag: Flag | None = None
    notes: tuple[str, ...] = ()
    system: str = "LN"

    def segment(self, place: int, status: str, reviewer: str, how: str) -> str:
        """The segment; one without a value says that there is none (status X, table 0085)."""
        words = isinstance(self.value, str)
        shown = self.value if isinstance(self.value, str) else _number(self.value)
        unit = "" if self.unit is None else f"{escaped(self.unit.code)}^{escaped(self.unit.text)}^UCUM"
        flagged = codes.interpretation(self.flag)["coding"][0]["code"] if self.flag else ""
        return segment(
            "OBX", str(place), "ST" if words else "NM",
            f"{escaped(self.code)}^{escaped(self.words)}^{self.system}", "", escaped(shown), unit,
            _range(self.flag), flagged, "", "", status if shown else "X", "", "", "", "", reviewer, how,
        )  # fmt: skip


def _results(report: SampleReport) -> Iterator[Result]:
    differential = report.differential
    yield _own(
        "leukocytes_named", "Leukocytes named, which percentages are over", differential.tally.denominator
    )
    white_count = differential.white_count
    if white_count is not None:
        flag = codes.flag_of(report.flags, codes.TOTAL, "absolute")
        words, value = "Leukocytes, number in blood", white_count.corrected
        notes: tuple[str, ...] = ("As given to the program, which does not measure it.",)
        if white_count.corrected != white_count.given:
            given = _number(white_count.given)
            notes = (f"Corrected for nucleated red cells; given as {given} {GIGA_PER_LITRE.text}.",)
        yield Result(codes.LEUKOCYTES, words, value, GIGA_PER_LITRE, flag, notes)
    machine = machine_rows(report.review)
    for row in differential.classes:
        yield _fraction(report, row, machine.get(row.key))
        if row.concentration is not None:
            yield _concentration(report, row, row.concentration)
    if differential.unsure is not None:
        words = "White cells left without a name, percent of named and unnamed together"
        notes = _limits(differential.unsure, PERCENT)
        yield Result("unsure", words, differential.unsure.percent, PERCENT, None, notes, LOCAL)
    if differential.nucleated_red_cells is not None:
        words = "Nucleated red cells per 100 leukocytes"
        value = differential.nucleated_red_cells
        yield Result(codes.NUCLEATED_RED_CELLS, words, value, PER_HUNDRED_LEUKOCYTES)
    for finding, grade in report.review.comments if report.review else ():
        key = re.sub(r"\W+", "_", finding.lower()).strip("_")
        yield Result(key, finding, grade, system=LOCAL)


def _own(code: str, words: str, value: float) -> Result:
    return Result(code, words, value, system=LOCAL)


def _fraction(report: SampleReport, row: ClassCount, machine: ClassCount | None) -> Result:
    code = codes.fraction_code(row.key, report.differential)
    counted = report.differential.denominator > 0
    notes = [f"Cells counted: {row.count}", *(_limits(row.share, PERCENT) if counted else ())]
    if row.corrected is not None and counted:
        notes.append(f"Corrected for the classifier's known confusion: {_number(row.corrected.percent)} %")
    if machine is not None:
        percent = _number(machine.share.percent)
        notes.append(f"By the software alone, before review: {percent} %, cells counted: {machine.count}")
    return Result(
        code or f"{row.key}_percent",
        fraction_words(row.key),
        row.share.percent if counted else None,
        PERCENT,
        codes.flag_on(report, row.key, "relative"),
        tuple(notes),
        "LN" if code else LOCAL,
    )


def _concentration(report: SampleReport, row: ClassCount, found: Concentration) -> Result:
    code = codes.concentration_code(row.key, report.differential)
    return Result(
        code or f"{row.key}_number",
        concentration_words(row.key),
        found.value,
        GIGA_PER_LITRE,
        codes.flag_on(report, row.key, "absolute"),
        _limits(found, GIGA_PER_LITRE),
        "LN" if code else LOCAL,
    )


def _limits(of: Share | Concentration, unit: Unit) -> tuple[str, ...]:
    if not (isfinite(of.low) and isfinite(of.high)):
        return ()
    return (f"95 % limits: {_number(of.low)} to {_number(of.high)} {unit.text}",)


def _range(flag: Flag | None) -> str:
    """The range that a flag was judged by: ``2-10``, ``>2``, ``<10``, as OBX-7 wants it."""
    if flag is None or (flag.low is None and flag.high is None):
        return ""
    if flag.low is None:
        return f"<{_number(flag.high)}" if flag.high else "0"
    return f">{_number(flag.low)}" if flag.high is None else f"{_number(flag.low)}-{_number(flag.high)}"


def _notes(lines: Sequence[str]) -> Iterator[str]:
    for place, line in enumerate(lines, start=1):
        yield segment("NTE", str(place), "L", escaped(line))


def _number(value: float | None) -> str:
    """A number as type NM has it: digits and a point, no exponent; empty where there is none."""
    exact = rounded(value)
    return "" if exact is None else f"{exact:.4f}".rstrip("0").rstrip(".")


def _time(report: SampleReport, at: datetime | None) -> str:
    moment = report.review.signed if at is None and report.review else at
    if moment is None:
        raise ReportError("the report is not signed, and HL7 requires a time", "Give when it was made")
    if moment.tzinfo is None:
        raise ReportError(f"{moment.isoformat()} has no time zone", "Give one, e.g. +00:00")
    return f"{moment.astimezone(UTC):%Y%m%d%H%M%S}+0000"


def segment(name: str, *fields: str) -> str:
    """A segment of fields that are escaped already, without the empty ones at its end."""
    return "|".join((name, *fields)).rstrip("|")


def escaped(text: str) -> str:
    r"""Text in which nothing parts fields, components or segments (chapter 2.7).

    Delimiters become their escapes, ends of lines ``\.br\``, other control characters their code as ``\X0B\``, and
    what no UTF-8 can hold a question mark.
    """
    words = text.encode("utf-8", "replace").decode("utf-8")
    words = words.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(map(_escape, words))


def _escape(character: str) -> str:
    if character == "\n":
        return "\\.br\\"
    if ord(character) < 32 or ord(character) == 127:
        return f"\\X{ord(character):02X}\\"
    return ESCAPES.get(character, character)
