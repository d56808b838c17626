"""The Observations of a differential count: each class's percentage, its number in blood, and what else was counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from leukolens.differential.counts import ClassCount, Concentration, Flag, Share
from leukolens.report import fhir_codes as codes
from leukolens.report.fhir_codes import (
    GIGA_PER_LITRE,
    PERCENT,
    Resource,
    Unit,
    concept,
    filled,
    quantity,
)
from leukolens.report.review_words import machine_rows, statement
from leukolens.report.sample import SampleReport
from leukolens.report.tables import printable
from leukolens.taxonomy import cell_class

# The words that components are told apart by; the manual lists them, so they stay.
LIMITS = "95 % limits"
CORRECTED = "Corrected for the classifier's known confusion"
CORRECTED_LIMITS = "95 % limits, corrected"
CELLS = "Cells counted"
MACHINE = "By the software alone, before review"
MACHINE_CELLS = "Cells counted by the software alone, before review"


@dataclass(frozen=True, slots=True)
class Context:
    """What every resource is written from.

    Attributes:
        report: The sample.
        subject: Reference to whose blood it is.
        effective: When the blood was drawn, as FHIR writes it.
        issued: When the report was made, as FHIR writes it.
        names: Whether the images' paths are told.
        reference: Turns a resource's key into what the others point at.
    """

    report: SampleReport
    subject: str | None
    effective: str | None
    issued: str | None
    names: bool
    reference: Callable[[str], str]

    def link(self, key: str) -> Resource:
        """A Reference to another resource of the Bundle."""
        return {"reference": self.reference(key)}

    @property
    def status(self) -> str:
        """*preliminary*, *final* or *amended*: the same words in every resource that has a status."""
        return self.report.review.status if self.report.review else "preliminary"

    def about(self) -> Resource:
        """Whom, when and by whom, in those resources that can say so."""
        subject = {"reference": self.subject} if self.subject else None
        reviewer = printable(self.report.review.reviewer).strip() if self.report.review else ""
        return {
            "subject": subject,
            "effectiveDateTime": self.effective,
            "issued": self.issued,
            "performer": [{"display": reviewer}] if reviewer else [],
        }


def observations(context: Context) -> dict[str, Resource]:
    """The sample's Observations: key to resource, in the order of the report."""
    differential = context.report.differential
    found = {"counted": _counted(context), **_white_counts(context)}
    total = [key for key in found if key.startswith("leukocytes")][-1:]
    for row in differential.classes:
        found[f"fraction-{row.key}"] = _fraction(context, row)
        if row.concentration is not None:
            sources = [f"fraction-{row.key}", *total]
            found[f"concentration-{row.key}"] = _concentration(context, row, row.concentration, sources)
    if differential.unsure is not None:
        code = concept("White cells left without a name, percent of named and unnamed together")
        parts = [*_limits(LIMITS, differential.unsure, PERCENT), _number(CELLS, differential.tally.unsure)]
        found["unsure"] = _observation(context, code, _value(differential.unsure.percent, PERCENT), parts)
    if differential.nucleated_red_cells is not None:
        code = concept("Nucleated red cells per 100 leukocytes", codes.NUCLEATED_RED_CELLS)
        value = _value(differential.nucleated_red_cells, codes.PER_HUNDRED_LEUKOCYTES)
        counted = differential.tally.nucleated_red_cells
        parts = [] if counted is None else [_number(CELLS, counted)]
        found["nucleated-red-cells"] = _observation(context, code, value, parts, note="Counted by a person.")
    comments = context.report.review.comments if context.report.review else ()
    for place, (finding, grade) in enumerate(comments, start=1):
        said = {"valueString": printable(grade)}
        found[f"comment-{place}"] = _observation(
            context, concept(printable(finding)), said, note="Seen by a person."
        )
    return found


def _counted(context: Context) -> Resource:
    report, tally = context.report, context.report.differential.tally
    failed = sum(field.status == "failed" for field in report.fields)
    parts = {
        "White cells left without a name": tally.unsure,
        "White cells left out because a field's edge cuts them": tally.at_edge,
        "Objects that are no leukocyte": tally.not_leukocyte,
        "Fields read": len(report.fields) - failed,
        "Fields that could not be read": failed,
    }
    code = concept("Leukocytes named, which percentages are over")
    components = [_number(text, count) for text, count in parts.items()]
    return _observation(context, code, {"valueInteger": tally.denominator}, components)


def _white_counts(context: Context) -> dict[str, Resource]:
    """The total as given, and as corrected where that differs; what is flagged is the corrected one."""
    count = context.report.differential.white_count
    if count is None:
        return {}
    flag = codes.flag_of(context.report.flags, codes.TOTAL, "absolute")
    corrected = count.corrected != count.given
    given = _observation(
        context,
        concept("Leukocytes, number in blood", codes.LEUKOCYTES),
        _value(count.given, GIGA_PER_LITRE),
        flag=None if corrected else flag,
        unit=GIGA_PER_LITRE,
        note="As given to the program, which does not measure it.",
    )
    if not corrected:
        return {"leukocytes": given}
    code = concept("Leukocytes, number in blood, corrected for nucleated red cells")
    value = _value(count.corrected, GIGA_PER_LITRE)
    derived = {"derivedFrom": [context.link("leukocytes")]}
    return {
        "leukocytes": given,
        "leukocytes-corrected": _observation(context, code, value, flag=flag, unit=GIGA_PER_LITRE) | derived,
    }


def _fraction(context: Context, row: ClassCount) -> Resource:
    differential = context.report.differential
    code = concept(fraction_words(row.key), codes.fraction_code(row.key, differential))
    parts = [_number(CELLS, row.count)]
    machine = machine_rows(context.report.review).get(row.key)
    if machine is not None:
        parts.append(_number(MACHINE_CELLS, machine.count))
        parts.append({"code": concept(MACHINE), **_value(machine.share.percent, PERCENT)})
    note = ""
    if differential.denominator == 0:
        return _observation(context, code, {}, parts)
    parts += _limits(LIMITS, row.share, PERCENT)
    if row.corrected is not None:
        parts.append({"code": concept(CORRECTED), **_value(row.corrected.percent, PERCENT)})
        parts += _limits(CORRECTED_LIMITS, row.corrected, PERCENT)
        note = (
            f"The confusion was measured on: {printable(differential.confusion_from)}. Slides of one laboratory "
            "alone may be confused otherwise."
        )
    flag = codes.flag_on(context.report, row.key, "relative")
    return _observation(
        context, code, _value(row.share.percent, PERCENT), parts, flag=flag, unit=PERCENT, note=note
    )


def _concentration(
    context: Context, row: ClassCount, concentration: Concentration, sources: list[str]
) -> Resource:
    code = concept(
        concentration_words(row.key), codes.concentration_code(row.key, context.report.differential)
    )
    counted = context.report.differential.denominator > 0
    value = _value(concentration.value, GIGA_PER_LITRE) if counted else {}
    parts = _limits(LIMITS, concentration, GIGA_PER_LITRE) if counted else []
    flag = codes.flag_on(context.report, row.key, "absolute")
    made = _observation(context, code, value, parts, flag=flag, unit=GIGA_PER_LITRE)
    return made | {"derivedFrom": [context.link(key) for key in sources]}


def fraction_words(key: str) -> str:
    """What a class's percentage is called."""
    return f"{cell_class(key).name}s, percent of leukocytes"


def concentration_words(key: str) -> str:
    """What a class's number in blood is called."""
    return f"{cell_class(key).name}s, number in blood"


def method(report: SampleReport) -> str:
    """How a figure came about, in words."""
    origin = report.origin
    told = (
        "White cells found and named by software in images of a stained smear "
        f"(Leukolens {origin.leukolens}, bundle {origin.bundle})"
    )
    return f"{told}, reviewed by a person" if report.review else told


def _observation(
    context: Context,
    code: Resource,
    value: Resource,
    components: list[Resource] | None = None,
    *,
    flag: Flag | None = None,
    unit: Unit = PERCENT,
    note: str = "",
) -> Resource:
    absent = concept("No leukocyte was counted", "unknown", f"{codes.TERMINOLOGY}/data-absent-reason")
    ends = codes.reference_range(flag, unit) if flag else {}
    return filled(
        {
            "resourceType": "Observation",
            "status": context.status,
            "category": [concept("Laboratory", "laboratory", f"{codes.TERMINOLOGY}/observation-category")],
            "code": code,
            **context.about(),
            **value,
            "dataAbsentReason": None if value else absent,
            "interpretation": [codes.interpretation(flag)] if flag else [],
            "note": [{"text": " ".join(filter(None, (note, statement(context.report))))}],
            "method": concept(method(context.report)),
            "specimen": context.link("specimen"),
            "device": context.link("device"),
            "referenceRange": [ends] if ends else [],
            "component": components or [],
        }
    )


def _value(value: float, unit: Unit) -> Resource:
    """The value as a Quantity; nothing where it is no number, which FHIR cannot write."""
    return {"valueQuantity": quantity(value, unit)} if math.isfinite(value) else {}


def _limits(text: str, of: Share | Concentration, unit: Unit) -> list[Resource]:
    if not (math.isfinite(of.low) and math.isfinite(of.high)):
        return []
    ends = {"low": quantity(of.low, unit), "high": quantity(of.high, unit)}
    return [{"code": concept(text), "valueRange": ends}]


def _number(text: str, count: int) -> Resource:
    return {"code": concept(text), "valueInteger": count}
