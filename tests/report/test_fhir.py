"""The FHIR document is R4B to the letter, and its file is the same for the same report and for no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir_parts import Resource, resources

from leukolens.errors import ReportError
from leukolens.report.fhir import document, write_fhir
from leukolens.report.sample import SampleReport

DRAWN = datetime(2026, 3, 1, 8, 30, tzinfo=timezone(timedelta(hours=1)))
VARIANTS = ("full", "told", "empty", "nothing")


class TestIsFhir:
    @pytest.mark.parametrize("name", VARIANTS)
    def test_r4b_reads_it_and_gives_it_back_unchanged(
        self, name: str, fhir_documents: dict[str, Resource]
    ) -> None:
        text = json.dumps(fhir_documents[name])
        again = json.loads(Bundle.model_validate_json(text).model_dump_json())
        assert again == json.loads(text)

    def test_the_oracle_sees_a_fault(self, fhir_documents: dict[str, Resource]) -> None:
        broken = json.loads(json.dumps(fhir_documents["full"]))
        broken["entry"][0]["resource"]["colour"] = "red"
        with pytest.raises(ValueError, match="colour"):
            Bundle.model_validate_json(json.dumps(broken))

    @pytest.mark.parametrize("name", VARIANTS)
    def test_every_reference_leads_somewhere(self, name: str, fhir_documents: dict[str, Resource]) -> None:
        content = fhir_documents[name]
        addresses = [entry["fullUrl"] for entry in content["entry"]]
        assert len(set(addresses)) == len(addresses)
        for entry in content["entry"]:
            assert entry["fullUrl"] == f"urn:uuid:{UUID(entry['resource']['id'])}"
        pointed = references(content)
        assert pointed - {"Patient/7"} <= set(addresses)

    @pytest.mark.parametrize("name", VARIANTS)
    def test_everything_is_preliminary(self, name: str, fhir_documents: dict[str, Resource]) -> None:
        kinds = ("Observation", "DiagnosticReport")
        judged = [resource for kind in kinds for resource in resources(fhir_documents[name], kind)]
        assert judged
        assert {resource["status"] for resource in judged} == {"preliminary"}

    @pytest.mark.parametrize("name", VARIANTS)
    def test_an_observation_has_a_value_or_says_why_not(
        self, name: str, fhir_documents: dict[str, Resource]
    ) -> None:
        for observation in resources(fhir_documents[name], "Observation"):
            values = [key for key in observation if key.startswith("value")]
            assert len(values) + ("dataAbsentReason" in observation) == 1

    def test_nothing_is_an_extension(self, fhir_documents: dict[str, Resource]) -> None:
        assert all("xtension" not in json.dumps(content) for content in fhir_documents.values())

    def test_the_report_lists_every_observation_once(self, fhir_documents: dict[str, Resource]) -> None:
        (report,) = resources(fhir_documents["full"], "DiagnosticReport")
        observations = [
            f"urn:uuid:{found['id']}" for found in resources(fhir_documents["full"], "Observation")
        ]
        assert [result["reference"] for result in report["result"]] == observations


def references(node: object) -> set[str]:
    if isinstance(node, dict):
        own = {node["reference"]} if isinstance(node.get("reference"), str) else set()
        return own.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


class TestFile:
    def test_equal_reports_give_equal_bytes(self, tmp_path: Path, counted_smear: SampleReport) -> None:
        for name in ("a.json", "b.json"):
            write_fhir(counted_smear, tmp_path / name, effective=DRAWN)
        assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
        assert json.loads((tmp_path / "a.json").read_text()) == document(counted_smear, effective=DRAWN)

    @pytest.mark.parametrize(
        "changed",
        [
            lambda report: replace(report, name="S-2"),
            lambda report: replace(report, fields=report.fields[:1]),
            lambda report: replace(report, flags=()),
            lambda report: replace(
                report, differential=replace(report.differential, nucleated_red_cells=3.0)
            ),
        ],
        ids=["name", "fields", "flags", "figures"],
    )
    def test_another_report_has_other_ids(
        self,
        changed: Callable[[SampleReport], SampleReport],
        counted_smear: SampleReport,
        fhir_documents: dict[str, Resource],
    ) -> None:
        ids = {entry["fullUrl"] for entry in fhir_documents["full"]["entry"]}
        assert ids.isdisjoint(entry["fullUrl"] for entry in document(changed(counted_smear))["entry"])

    @pytest.mark.parametrize(
        "name", ["../../up", 'quo"te', "new\nline", "caf\udce9", "\x00", "<script>", "   "]
    )
    def test_a_hostile_name_is_words(self, tmp_path: Path, name: str, counted_smear: SampleReport) -> None:
        write_fhir(replace(counted_smear, name=name), tmp_path / "fhir.json")
        text = (tmp_path / "fhir.json").read_text(encoding="ascii")
        Bundle.model_validate_json(text)
        (specimen,) = resources(json.loads(text), "Specimen")
        assert all(part["value"].isprintable() for part in specimen.get("identifier", []))
        assert [path.name for path in tmp_path.iterdir()] == ["fhir.json"]

    def test_a_file_that_cannot_be_written_says_so(self, tmp_path: Path, counted_smear: SampleReport) -> None:
        with pytest.raises(ReportError, match=r"fhir\.json cannot be written"):
            write_fhir(counted_smear, tmp_path / "nowhere" / "fhir.json")

    def test_times_in_utc_are_instants_too(self, counted_smear: SampleReport) -> None:
        content = document(counted_smear, issued=datetime(2026, 3, 1, tzinfo=UTC))
        assert resources(content, "DiagnosticReport")[0]["issued"] == "2026-03-01T00:00:00+00:00"
        Bundle.model_validate_json(json.dumps(content))
