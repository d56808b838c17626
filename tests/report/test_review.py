"""A reviewed sample's page, document, tables and FHIR say who reviewed it, what was changed and what it was before."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

from leukolens.report import fhir_codes as codes
from leukolens.report.fhir import document
from leukolens.report.field_entries import field_entry, field_from_entry
from leukolens.report.page import ImageSource, write_page
from leukolens.report.read_document import differential_entry, sample_entry, write_document
from leukolens.report.read_tables import write_cells, write_differential
from leukolens.report.review_words import STATEMENT, facts
from leukolens.report.sample import SampleReport
from leukolens.taxonomy import REVIEW_CLASSES

Parse = Callable[[str], Any]
MANUAL = Path(__file__).resolve().parents[2] / "docs" / "interchange.md"


@pytest.fixture(scope="module")
def page(
    reviewed_smear: SampleReport,
    pictures: ImageSource,
    parsed: Parse,
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(reviewed_smear, path, images=pictures)
    return parsed(path.read_text(encoding="utf-8"))


class TestPage:
    def test_the_status_names_version_reviewer_and_time(self, page: Any) -> None:
        status = page.one("p", class_="status")
        assert status.attributes["data-status"] == "amended"
        assert status.text.startswith("Amended. Version 2, which replaces version 1, reviewed and signed by")
        assert "Dr. Ζωή O'Hara on 2026-03-01 08:30 UTC" in status.text
        assert "not reviewed by a person" not in page.text

    def test_what_was_done_to_cells(self, page: Any) -> None:
        done = {
            part.attributes["data-change"]: part.one("span", class_="big").text
            for part in page.all(data_change=None)
        }
        assert done == {"confirmed": "1", "changed": "1", "drawn": "1", "deleted": "4", "kappa": "0.81"}

    def test_the_comments_the_reasons_and_the_trail(self, page: Any, reviewed_smear: SampleReport) -> None:
        rows = page.one("table", class_="comments").one("tbody").all("tr")
        shown = tuple((row.one("th").text, row.one("td").text) for row in rows)
        assert reviewed_smear.review
        assert shown == reviewed_smear.review.comments
        told = page.one("dl", class_="facts review")
        assert r"a blast was\noverlooked | sorry" in told.text
        assert told.one("code").text == "ab" * 32

    def test_the_machines_figures_stand_beside_the_reviewed_ones(
        self, page: Any, reviewed_smear: SampleReport
    ) -> None:
        assert reviewed_smear.review
        machine = {row.key: row for row in reviewed_smear.review.machine.classes}
        rows = page.one("table", class_="differential").one("tbody").all("tr")
        seen = set()
        for row in rows[:-1]:
            key = row.attributes["data-row"]
            count, percent = row.all("td", class_="machine")
            if key in machine:
                assert count.text == str(machine[key].count)
                assert percent.figures == [round(machine[key].share.percent, 4)]
            else:
                assert (count.text, percent.text) == ("–", "–")
            seen.add(key)
        assert seen == set(machine) | {"blast"}
        assert rows[-1].all("td", class_="machine")[0].text == "2"

    def test_a_cell_is_shown_as_what_a_person_said(self, page: Any) -> None:
        blast = page.one(data_group="blast").one("li", data_cell="1-1")
        assert blast.attributes["data-class"] == "blast"
        assert blast.one("span", class_="by").text == "by a person; machine Neutrophil"
        confirmed = page.one(data_group="monocyte").one("li", data_cell="1-2")
        assert confirmed.one("span", class_="by").text == "confirmed"
        drawn = page.one(data_group="lymphocyte").one("li", data_cell="1-3")
        assert drawn.one("span", class_="by").text == "by a person"
        assert drawn.all("data") == []
        assert ".c-blast {" in page.one("style").text

    def test_who_signed_stands_where_the_lines_to_sign_on_were(self, page: Any) -> None:
        assert "Dr. Ζωή O'Hara" in page.one("div", class_="signature signed").text

    def test_one_that_nobody_signed_says_so(
        self, reviewed_smear: SampleReport, parsed: Parse, tmp_path: Path
    ) -> None:
        assert reviewed_smear.review
        review = replace(
            reviewed_smear.review, status="preliminary", version=0, reviewer="", signed=None, trail_hash=""
        )
        write_page(replace(reviewed_smear, review=review), tmp_path / "page.html", images=lambda _: None)
        page = parsed((tmp_path / "page.html").read_text(encoding="utf-8"))
        assert page.one("p", class_="status").text.startswith("Preliminary. Reviewed by a person in part")
        assert "Signature" in page.one("div", class_="signature").text
        assert "Audit trail" not in page.text

    def test_text_of_persons_does_not_break_out(
        self, reviewed_smear: SampleReport, parsed: Parse, tmp_path: Path
    ) -> None:
        evil = "</dd></div><script>alert(1)</script>\u202e"
        assert reviewed_smear.review
        review = replace(
            reviewed_smear.review, reviewer=evil, comments=((evil, evil),), reopened=(evil,), trail_hash=evil
        )
        write_page(replace(reviewed_smear, review=review), tmp_path / "page.html", images=lambda _: None)
        page = parsed((tmp_path / "page.html").read_text(encoding="utf-8"))
        assert page.all("script") == []
        assert "\u202e" not in page.text


class TestDocument:
    def test_it_gains_a_review(self, reviewed_smear: SampleReport, tmp_path: Path) -> None:
        review = reviewed_smear.review
        assert review
        write_document([reviewed_smear], tmp_path / "report.json")
        sample = json.loads((tmp_path / "report.json").read_text())["samples"][0]
        assert sample["review"] == {
            "status": "amended",
            "version": 2,
            "reviewer": "Dr. Ζωή O'Hara",
            "signed": "2026-03-01T08:30:15+00:00",
            "confirmed": 1,
            "changed": 1,
            "drawn": 1,
            "deleted": 4,
            "machine": differential_entry(review.machine),
            "comments": [
                {"finding": "Anisocytosis", "grade": "2+"},
                {"finding": "Giant platelets", "grade": "few"},
            ],
            "reopened": list(review.reopened),
            "trail_hash": "ab" * 32,
            "kappa": 0.8125,
        }
        cells = sample["fields"][0]["cells"]
        assert [cell["reviewed"] for cell in cells] == ["blast", "monocyte", "lymphocyte"]
        assert [cell["class"] for cell in cells] == ["neutrophil", "monocyte", None]
        assert [cell["counted_as"] for cell in cells] == ["blast", "monocyte", "lymphocyte"]

    def test_without_one_there_is_no_trace_of_it(self, smear: SampleReport) -> None:
        entry = sample_entry(smear)
        assert "review" not in entry
        assert "reviewed" not in entry["fields"][0]["cells"][0]

    def test_a_journal_keeps_what_a_person_said(self, reviewed_smear: SampleReport) -> None:
        for field in reviewed_smear.fields:
            assert field_from_entry(json.loads(json.dumps(field_entry(field)))) == field


class TestTables:
    def test_cells_tell_what_a_person_said(self, reviewed_smear: SampleReport, tmp_path: Path) -> None:
        write_cells(reviewed_smear, tmp_path / "cells.csv")
        rows = read_back(tmp_path / "cells.csv")
        told = [(row["class"], row["reviewed"], row["counted_as"], row["probability"]) for row in rows[:3]]
        assert told == [
            ("neutrophil", "blast", "blast", "0.91"),
            ("monocyte", "monocyte", "monocyte", "0.9995"),
            ("", "lymphocyte", "lymphocyte", ""),
        ]
        assert {row["reviewed"] for row in rows[3:]} == {""}

    def test_the_differential_has_the_machines_figures(
        self, reviewed_smear: SampleReport, tmp_path: Path
    ) -> None:
        assert reviewed_smear.review
        write_differential(reviewed_smear, tmp_path / "differential.csv")
        rows = {row["row"]: row for row in read_back(tmp_path / "differential.csv")}
        for row in reviewed_smear.review.machine.classes:
            assert rows[row.key]["machine_count"] == str(row.count)
            assert float(rows[row.key]["machine_percent"]) == round(row.share.percent, 4)
        assert rows["blast"]["machine_count"] == ""
        assert rows["unsure"]["machine_count"] == "2"
        assert {(row["report_status"], row["report_version"]) for row in rows.values()} == {("amended", "2")}

    def test_without_a_review_they_have_no_such_column(self, smear: SampleReport, tmp_path: Path) -> None:
        write_cells(smear, tmp_path / "cells.csv")
        write_differential(smear, tmp_path / "differential.csv")
        heads = [(tmp_path / name).read_text().splitlines()[0] for name in ("cells.csv", "differential.csv")]
        assert not any(word in head for head in heads for word in ("reviewed", "machine", "report_"))


@pytest.fixture(scope="module")
def found(reviewed_smear: SampleReport) -> dict[str, list[Any]]:
    content = document(reviewed_smear)
    Bundle.model_validate_json(json.dumps(content))
    kinds: dict[str, list[Any]] = {}
    for entry in content["entry"]:
        kinds.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    return kinds


class TestFhir:
    def test_status_performer_and_time_are_the_reviews(self, found: dict[str, list[Any]]) -> None:
        for resource in (*found["DiagnosticReport"], *found["Observation"]):
            assert resource["status"] == "amended"
            assert resource["performer"] == [{"display": "Dr. Ζωή O'Hara"}]
            assert resource["issued"] == "2026-03-01T08:30:15+00:00"

    @pytest.mark.parametrize("status", ["preliminary", "final", "amended"])
    def test_every_status_is_one_of_fhirs(self, reviewed_smear: SampleReport, status: Any) -> None:
        assert reviewed_smear.review
        content = document(replace(reviewed_smear, review=replace(reviewed_smear.review, status=status)))
        told = {entry["resource"].get("status") for entry in content["entry"]}
        assert told == {status, None}

    def test_a_signed_one_asks_for_no_review(self, found: dict[str, list[Any]]) -> None:
        (report,) = found["DiagnosticReport"]
        assert STATEMENT not in report["conclusion"]
        assert "not a certified medical device" in report["conclusion"]
        assert "Audit trail: " + "ab" * 32 in report["conclusion"]
        assert r"Version 1 was opened again: a blast was\noverlooked | sorry" in report["conclusion"]

    def test_a_blast_has_its_code_and_the_machines_figure_a_component(
        self, found: dict[str, list[Any]]
    ) -> None:
        by_code = {
            code["code"]: one for one in found["Observation"] for code in one["code"].get("coding", [])
        }
        assert by_code["26446-5"]["code"]["text"] == "Blasts, percent of leukocytes"
        assert by_code["26446-5"]["interpretation"][0]["coding"][0]["code"] == "H"
        parts = {part["code"]["text"]: part for part in by_code["26511-6"]["component"]}
        assert parts["Cells counted"]["valueInteger"] == 5
        assert parts["Cells counted by the software alone, before review"]["valueInteger"] == 6
        assert parts["By the software alone, before review"]["valueQuantity"]["value"] == 75

    def test_comments_are_observations_in_words(self, found: dict[str, list[Any]]) -> None:
        said = {one["code"]["text"]: one.get("valueString") for one in found["Observation"]}
        assert said["Anisocytosis"] == "2+"
        assert said["Giant platelets"] == "few"

    def test_neutrophils_beside_bands_are_segmented_ones(self, reviewed_smear: SampleReport) -> None:
        rows = reviewed_smear.differential.classes
        with_bands = replace(
            reviewed_smear.differential, classes=(*rows, replace(rows[0], key="band", count=2))
        )
        assert codes.fraction_code("neutrophil", reviewed_smear.differential) == "26511-6"
        assert codes.fraction_code("neutrophil", with_bands) == "26505-8"
        assert codes.concentration_code("neutrophil", with_bands) == "30451-9"
        assert codes.fraction_code("band", with_bands) == "26508-2"

    def test_what_judges_several_rows_together_is_on_none(self, reviewed_smear: SampleReport) -> None:
        rows = reviewed_smear.differential.classes
        with_bands = replace(
            reviewed_smear,
            differential=replace(
                reviewed_smear.differential, classes=(*rows, replace(rows[0], key="band", count=2))
            ),
        )
        assert codes.flag_on(reviewed_smear, "neutrophil", "absolute") is not None
        assert codes.flag_on(with_bands, "neutrophil", "absolute") is None

    def test_the_reviewers_leukocytes_have_verified_codes_and_the_manual_lists_them(self) -> None:
        keys = [kind.key for kind in REVIEW_CLASSES if kind.leukocyte]
        assert list(codes.REVIEW_FRACTIONS) == list(codes.REVIEW_CONCENTRATIONS) == keys
        known = [*codes.REVIEW_FRACTIONS.values(), *codes.REVIEW_CONCENTRATIONS.values()]
        known += [codes.SEGMENTED_FRACTION, codes.SEGMENTED_CONCENTRATION]
        assert len(set(known)) == len(known)
        manual = MANUAL.read_text(encoding="utf-8")
        for code in known:
            assert f"`{code}`" in manual
            number, digit = code.split("-")
            doubled = "".join(
                str(int(figure) * (2 if place % 2 == 0 else 1)) for place, figure in enumerate(number[::-1])
            )
            assert (10 - sum(map(int, doubled)) % 10) % 10 == int(digit), code


def test_the_facts_leave_out_what_is_not_there(reviewed_smear: SampleReport) -> None:
    assert reviewed_smear.review
    plain = replace(
        reviewed_smear.review,
        version=0,
        signed=None,
        kappa=None,
        reopened=(),
        trail_hash="",
        status="preliminary",
    )
    names = [name for name, _ in facts(plain)]
    assert names == ["Status", "Confirmed", "Changed", "Drawn", "Struck out"]


def read_back(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, strict=True))
