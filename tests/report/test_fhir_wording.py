"""What the FHIR document says in codes and words, which the manual has, and of nobody whom it was not told of."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from fhir_parts import Resource, components, resources

from leukolens.errors import ReportError
from leukolens.report.fhir import document
from leukolens.report.fhir_codes import (
    CONCENTRATIONS,
    DIFFERENTIAL_PANEL,
    FRACTIONS,
    LEUKOCYTES,
    NUCLEATED_RED_CELLS,
    STATEMENT,
)
from leukolens.report.sample import SampleReport
from leukolens.taxonomy import CLASSES

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "interchange.md"
CODES = (
    *FRACTIONS.values(),
    *CONCENTRATIONS.values(),
    LEUKOCYTES,
    NUCLEATED_RED_CELLS,
    DIFFERENTIAL_PANEL,
)
DRAWN = datetime(2026, 3, 1, 8, 30, tzinfo=timezone(timedelta(hours=1)))
KEYS = [kind.key for kind in CLASSES if kind.leukocyte]


@pytest.fixture(scope="module")
def content(fhir_documents: dict[str, Resource]) -> Resource:
    return fhir_documents["full"]


class TestCodes:
    def test_every_leukocyte_has_a_code_of_its_own(self) -> None:
        assert list(FRACTIONS) == list(CONCENTRATIONS) == KEYS
        assert len({*FRACTIONS.values(), *CONCENTRATIONS.values()}) == 2 * len(KEYS)

    def test_codes_have_loincs_check_digit(self) -> None:
        # LOINC Users' Guide, appendix "Calculating Mod 10 check digits": Luhn's.
        for code in CODES:
            number, digit = code.split("-")
            doubled = "".join(
                str(int(figure) * (2 if place % 2 == 0 else 1)) for place, figure in enumerate(number[::-1])
            )
            assert (10 - sum(map(int, doubled)) % 10) % 10 == int(digit), code

    def test_each_is_in_the_manuals_table_with_where_it_was_looked_up(self) -> None:
        rows = re.findall(
            r"^\| `(\d+-\d)` \|[^|]+\|[^|]+\| [1-6][^|]* \|$",
            MANUAL.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        assert sorted(rows) == sorted(CODES)

    def test_the_manual_lists_every_component_and_what_has_no_code(self, content: Resource) -> None:
        manual = MANUAL.read_text(encoding="utf-8")
        observations = resources(content, "Observation")
        words = {words for found in observations for words in components(found)}
        words |= {found["code"]["text"] for found in observations if "coding" not in found["code"]}
        assert {text for text in words if f"`{text}`" not in manual} == set()


class TestFlags:
    def test_every_message_and_warning_is_in_the_conclusion(
        self, counted_smear: SampleReport, content: Resource
    ) -> None:
        (report,) = resources(content, "DiagnosticReport")
        for words in (
            *(flag.message for flag in counted_smear.flags),
            *counted_smear.differential.warnings,
            STATEMENT,
        ):
            assert words in report["conclusion"].splitlines()


class TestWhoAndWith:
    def test_nobody_is_named_and_no_time_told_unasked(self, content: Resource) -> None:
        text = json.dumps(content)
        for word in ("Patient", '"subject"', "effectiveDateTime", "issued"):
            assert word not in text

    def test_who_and_when_stand_everywhere_where_given(self, fhir_documents: dict[str, Resource]) -> None:
        kinds = ("Observation", "DiagnosticReport", "Specimen")
        told = [resource for kind in kinds for resource in resources(fhir_documents["told"], kind)]
        assert {resource["subject"]["reference"] for resource in told} == {"Patient/7"}
        timed = [resource for resource in told if resource["resourceType"] != "Specimen"]
        assert {resource["effectiveDateTime"] for resource in timed} == {"2026-03-01T08:30:00+01:00"}
        assert {resource["issued"] for resource in timed} == {"2026-03-01T08:30:00+01:00"}

    def test_a_time_without_a_zone_is_refused(self, counted_smear: SampleReport) -> None:
        with pytest.raises(ReportError, match="no time zone"):
            document(counted_smear, issued=DRAWN.replace(tzinfo=None))

    def test_the_device_is_the_software_and_its_bundle(self, content: Resource) -> None:
        (device,) = resources(content, "Device")
        assert {part["type"]["text"]: part["value"] for part in device["version"]} == {
            "software": "0.1.0",
            "bundle": "tiny",
            "bundle sha256": "d" * 64,
            "engine": "onnxruntime 1.27.0",
        }
        for observation in resources(content, "Observation"):
            assert observation["device"]["reference"] == f"urn:uuid:{device['id']}"
            assert "tiny" in observation["method"]["text"]

    def test_each_says_that_it_is_for_research(self, content: Resource) -> None:
        for kind in ("Observation", "Device"):
            assert all(STATEMENT in found["note"][0]["text"] for found in resources(content, kind))

    def test_the_specimen_has_the_samples_name(
        self, content: Resource, fhir_documents: dict[str, Resource]
    ) -> None:
        assert resources(content, "Specimen")[0]["identifier"] == [{"value": "S-1"}]
        assert "identifier" not in resources(fhir_documents["nothing"], "Specimen")[0]

    def test_no_file_name_leaves_unasked(self, content: Resource, counted_smear: SampleReport) -> None:
        mark = counted_smear.fields[0].path.parent.name
        assert mark not in json.dumps(content)

    def test_it_leaves_where_asked(
        self, counted_smear: SampleReport, fhir_documents: dict[str, Resource]
    ) -> None:
        notes = [note["text"] for note in resources(fhir_documents["told"], "Specimen")[0]["note"]]
        assert notes == [
            f"field-00{place}: {field.path}" for place, field in enumerate(counted_smear.fields, start=1)
        ]
