"""The codes of a differential count in FHIR. Where each was looked up stands in ``docs/interchange.md``.

LOINC's terms without a method are used throughout: its *automated count* means a haematology analyser, its
*manual count* a person, and a reading by software from images is neither.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from leukolens.differential.counts import Differential, Flag
from leukolens.report.read_document import rounded
from leukolens.report.sample import SampleReport
from leukolens.taxonomy import cell_class

Resource = dict[str, Any]

STATEMENT = "For research and education; not a certified medical device. A person must review it before use."

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"

DIFFERENTIAL_PANEL = "69738-3"
LEUKOCYTES = "26464-8"
NUCLEATED_RED_CELLS = "19048-8"

# Class key to the LOINC code of its share of the leukocytes (a number fraction, %).
FRACTIONS = {
    "neutrophil": "26511-6",
    "eosinophil": "26450-7",
    "basophil": "30180-4",
    "lymphocyte": "26478-8",
    "monocyte": "26485-3",
    "immature_granulocyte": "38518-7",
}

# Class key to the LOINC code of its number in a volume of blood.
CONCENTRATIONS = {
    "neutrophil": "26499-4",
    "eosinophil": "26449-9",
    "basophil": "26444-0",
    "lymphocyte": "26474-7",
    "monocyte": "26484-6",
    "immature_granulocyte": "51584-1",
}

# The same for classes that only a person names.
REVIEW_FRACTIONS = {
    "blast": "26446-5",
    "reactive_lymphocyte": "13046-8",
    "band": "26508-2",
    "metamyelocyte": "28541-1",
    "myelocyte": "26498-6",
    "promyelocyte": "26524-9",
}
REVIEW_CONCENTRATIONS = {
    "blast": "30376-8",
    "reactive_lymphocyte": "26477-0",
    "band": "26507-4",
    "metamyelocyte": "30433-7",
    "myelocyte": "30446-9",
    "promyelocyte": "26523-1",
}

# Where band neutrophils have a row of their own, the neutrophils' row is of segmented ones alone.
SEGMENTED_FRACTION, SEGMENTED_CONCENTRATION = "26505-8", "30451-9"

# What a flag is about, by its key without `relative_`: a class key, or all leukocytes.
TOTAL = "leukocytes"
FLAGGED = {
    "leukopenia": TOTAL,
    "leukocytosis": TOTAL,
    "neutropenia": "neutrophil",
    "neutrophilia": "neutrophil",
    "eosinophilia": "eosinophil",
    "basophilia": "basophil",
    "lymphopenia": "lymphocyte",
    "lymphocytosis": "lymphocyte",
    "monocytosis": "monocyte",
    "immature_granulocytes": "immature_granulocyte",
}
REVIEW_FLAGGED = {"blasts": "blast"}


def fraction_code(key: str, differential: Differential) -> str | None:
    """The LOINC code of a class's share of the leukocytes; None where no verified one is known."""
    if key == "neutrophil" and _has_bands(differential):
        return SEGMENTED_FRACTION
    return FRACTIONS.get(key) or REVIEW_FRACTIONS.get(key)


def concentration_code(key: str, differential: Differential) -> str | None:
    """The LOINC code of a class's number in blood; None where no verified one is known."""
    if key == "neutrophil" and _has_bands(differential):
        return SEGMENTED_CONCENTRATION
    return CONCENTRATIONS.get(key) or REVIEW_CONCENTRATIONS.get(key)


def _has_bands(differential: Differential) -> bool:
    return any(row.key == "band" for row in differential.classes)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measure.

    Attributes:
        text: As a person reads it.
        code: In UCUM.
    """

    text: str
    code: str


PERCENT = Unit("%", "%")
GIGA_PER_LITRE = Unit("10^9/L", "10*9/L")
PER_HUNDRED_LEUKOCYTES = Unit("per 100 leukocytes", "/100{WBCs}")


def concept(text: str, code: str | None = None, system: str = LOINC) -> Resource:
    """A CodeableConcept; the words alone where there is no code.

    LOINC reworded its display names in between (*/100 leukocytes* to */Leukocytes*), and a server refuses
    those of another release, so a coding carries none.
    """
    return {"coding": [{"system": system, "code": code}], "text": text} if code else {"text": text}


def quantity(value: float, unit: Unit) -> Resource:
    """A Quantity, rounded as in every report."""
    return {"value": rounded(value), "unit": unit.text, "system": UCUM, "code": unit.code}


def flag_of(flags: Iterable[Flag], about: str, basis: Literal["absolute", "relative"]) -> Flag | None:
    """The flag on this class, or on `TOTAL`, by this basis; None where none was raised."""
    for flag in flags:
        if flag.basis == basis and _about(flag) == about:
            return flag
    return None


def _about(flag: Flag) -> str | None:
    key = flag.key.removeprefix("relative_")
    return FLAGGED.get(key) or REVIEW_FLAGGED.get(key)


def flag_on(report: SampleReport, key: str, basis: Literal["absolute", "relative"]) -> Flag | None:
    """The flag on a class's row; None where forms of it have rows of their own.

    Such a flag judges all of them together, so it stands among the sentences and on no row.
    """
    if any(cell_class(row.key).form_of == key for row in report.differential.classes):
        return None
    return flag_of(report.flags, key, basis)


def interpretation(flag: Flag) -> Resource:
    """H or L by the flag's range, from v3-ObservationInterpretation; A where it has none to be outside of."""
    code, text = "A", "Abnormal"
    if flag.high is not None and flag.value > flag.high:
        code, text = "H", "High"
    elif flag.low is not None and flag.value < flag.low:
        code, text = "L", "Low"
    return concept(text, code, f"{TERMINOLOGY}/v3-ObservationInterpretation")


def reference_range(flag: Flag, unit: Unit) -> Resource:
    """The range that the flag was judged by; empty where it has no ends."""
    ends = {"low": flag.low, "high": flag.high}
    return {name: quantity(end, unit) for name, end in ends.items() if end is not None}


def filled(resource: Resource) -> Resource:
    """The resource without the elements that say nothing, which FHIR forbids."""
    return {key: value for key, value in resource.items() if value not in (None, "", [], {})}
