"""The FHIR document says what the report says, in R4B's own terms, and of nobody whom it was not told of."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
from fhir.resources.R4B.bundle import Bundle

from leukolens.differential.counts import (
    ClassCount,
    Concentration,
    Differential,
    Flag,
    Share,
    Tally,
    WhiteCount,
)
from leukolens.differential.flags import NAMES, flags
from leukolens.differential.percentages import differential
from leukolens.differential.ranges import Range, Ranges
from leukolens.errors import ReportError
from leukolens.reading.cell import FieldReading
from leukolens.report.fhir import document, write_fhir
from leukolens.report.fhir_codes import (
    CONCENTRATIONS,
    DIFFERENTIAL_PANEL,
    FLAGGED,
    FRACTIONS,
    LEUKOCYTES,
    NUCLEATED_RED_CELLS,
    STATEMENT,
    TOTAL,
    flag_of,
)
from leukolens.report.sample import Origin, SampleReport
from leukolens.taxonomy import CLASSES

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "interchange.md"
CODES = (
    *FRACTIONS.values(),
    *CONCENTRATIONS.values(),
    LEUKOCYTES,
    NUCLEATED_RED_CELLS,
    DIFFERENTIAL_PANEL,
)
MARK = "Jane-Doe-1962"
DRAWN = datetime(2026, 3, 1, 8, 30, tzinfo=timezone(timedelta(hours=1)))
KEYS = [kind.key for kind in CLASSES if kind.leukocyte]
COUNTS = dict(zip(KEYS, (120, 8, 1, 40, 29, 2), strict=True))


def row(key: str, count: int, *, corrected: bool = True, white_count: float | None = 8.0) -> ClassCount:
    percent = 100 * count / sum(COUNTS.values())
    share = Share(percent, percent / 2, percent + (100 - percent) / 7)
    return ClassCount(
        key,
        count,
        share,
        Share(percent * 0.9, percent / 3, percent + (100 - percent) / 5) if corrected else None,
        white_count
        and Concentration(*(white_count * p / 100 for p in (share.percent, share.low, share.high))),
        321,
    )


DIFFERENTIAL = Differential(
    Tally(COUNTS, unsure=7, at_edge=5, not_leukocyte=3, nucleated_red_cells=4),
    tuple(row(key, count) for key, count in COUNTS.items()),
    Share(100 * 7 / 207, 1.25, 6.5),
    2.0,
    WhiteCount(8.16, 8.0),
    "three groups of one lab",
    ("Fewer than 400 cells were counted.",),
)
FLAGS = (
    Flag("monocytosis", "Monocytes are above their range: review.", "absolute", 1.16, "10^9/L", 0.2, 1.0),
    Flag("relative_lymphopenia", "Lymphocytes are few: review.", "relative", 20.0, "%", 22.5, 45.0),
    Flag(
        "immature_granulocytes", "Immature granulocytes are there: review.", "relative", 1.0, "%", None, None
    ),
)
FIELDS = (
    FieldReading(Path(MARK) / f"{MARK}.1.png", "ok", None, "a" * 64, 640, 480),
    FieldReading(Path(MARK) / f"{MARK}.2.png", "failed", f"{MARK}.2.png is empty", "b" * 64, 0, 0),
)
ORIGIN = Origin("0.1.0", "tiny", "d" * 64, "onnxruntime 1.27.0", (("ranges", f"/home/{MARK}/ranges.toml"),))
REPORT = SampleReport("S-1", FIELDS, DIFFERENTIAL, FLAGS, ORIGIN)

EMPTY = Differential(
    Tally(dict.fromkeys(KEYS, 0)),
    tuple(
        ClassCount(key, 0, Share(math.nan, 0, 100), None, Concentration(math.nan, 0, 8), 0) for key in KEYS
    ),
    None,
    None,
    WhiteCount(8.0, 8.0),
    "",
    (),
)

Resource = dict[str, Any]


def resources(content: Resource, kind: str) -> list[Resource]:
    found = [entry["resource"] for entry in content["entry"]]
    return [resource for resource in found if resource["resourceType"] == kind]


def by_code(content: Resource) -> dict[str, Resource]:
    """Observation by its LOINC code, or by its words where it has none."""
    return {
        observation["code"].get("coding", [{"code": observation["code"]["text"]}])[0]["code"]: observation
        for observation in resources(content, "Observation")
    }


def components(observation: Resource) -> dict[str, Any]:
    """A component's value by its words; empty where it has none."""
    return {
        part["code"]["text"]: next(value for key, value in part.items() if key.startswith("value"))
        for part in observation.get("component", [])
    }


def interpreted(observation: Resource) -> str:
    (concept,) = observation["interpretation"]
    assert concept["coding"][0]["system"].endswith("/v3-ObservationInterpretation")
    return str(concept["coding"][0]["code"])


CONTENT = document(REPORT)
OBSERVED = by_code(CONTENT)
VARIANTS = {
    "full": document(REPORT),
    "told": document(REPORT, subject="Patient/7", effective=DRAWN, issued=DRAWN, names=True),
    "empty": document(replace(REPORT, differential=EMPTY, flags=())),
    "nothing": document(SampleReport("", (), replace(EMPTY, classes=(), white_count=None), (), ORIGIN)),
}


class TestIsFhir:
    @pytest.mark.parametrize("name", VARIANTS)
    def test_r4b_reads_it_and_gives_it_back_unchanged(self, name: str) -> None:
        text = json.dumps(VARIANTS[name])
        again = json.loads(Bundle.model_validate_json(text).model_dump_json())
        assert again == json.loads(text)

    def test_the_oracle_sees_a_fault(self) -> None:
        broken = json.loads(json.dumps(CONTENT))
        broken["entry"][0]["resource"]["colour"] = "red"
        with pytest.raises(ValueError, match="colour"):
            Bundle.model_validate_json(json.dumps(broken))

    @pytest.mark.parametrize("name", VARIANTS)
    def test_every_reference_leads_somewhere(self, name: str) -> None:
        content = VARIANTS[name]
        addresses = [entry["fullUrl"] for entry in content["entry"]]
        assert len(set(addresses)) == len(addresses)
        for entry in content["entry"]:
            assert entry["fullUrl"] == f"urn:uuid:{UUID(entry['resource']['id'])}"
        pointed = references(content)
        assert pointed - {"Patient/7"} <= set(addresses)

    @pytest.mark.parametrize("name", VARIANTS)
    def test_everything_is_preliminary(self, name: str) -> None:
        kinds = ("Observation", "DiagnosticReport")
        judged = [resource for kind in kinds for resource in resources(VARIANTS[name], kind)]
        assert judged
        assert {resource["status"] for resource in judged} == {"preliminary"}

    @pytest.mark.parametrize("name", VARIANTS)
    def test_an_observation_has_a_value_or_says_why_not(self, name: str) -> None:
        for observation in resources(VARIANTS[name], "Observation"):
            values = [key for key in observation if key.startswith("value")]
            assert len(values) + ("dataAbsentReason" in observation) == 1

    def test_nothing_is_an_extension(self) -> None:
        assert all("xtension" not in json.dumps(content) for content in VARIANTS.values())

    def test_the_report_lists_every_observation_once(self) -> None:
        (report,) = resources(CONTENT, "DiagnosticReport")
        observations = [f"urn:uuid:{found['id']}" for found in resources(CONTENT, "Observation")]
        assert [result["reference"] for result in report["result"]] == observations


def references(node: object) -> set[str]:
    if isinstance(node, dict):
        own = {node["reference"]} if isinstance(node.get("reference"), str) else set()
        return own.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


class TestFigures:
    @pytest.mark.parametrize("found", DIFFERENTIAL.classes, ids=KEYS)
    def test_percentages_and_limits_are_the_reports(self, found: ClassCount) -> None:
        observation = OBSERVED[FRACTIONS[found.key]]
        parts = components(observation)
        assert observation["valueQuantity"] == {
            "value": pytest.approx(found.share.percent, abs=5e-5),
            "unit": "%",
            "system": "http://unitsofmeasure.org",
            "code": "%",
        }
        assert parts["Cells counted"] == found.count
        assert found.corrected is not None
        for words, share in (("95 % limits", found.share), ("95 % limits, corrected", found.corrected)):
            assert parts[words]["low"]["value"] == pytest.approx(share.low, abs=5e-5)
            assert parts[words]["high"]["value"] == pytest.approx(share.high, abs=5e-5)
        corrected = parts["Corrected for the classifier's known confusion"]
        assert corrected["value"] == pytest.approx(found.corrected.percent, abs=5e-5)
        assert "three groups of one lab" in observation["note"][0]["text"]

    @pytest.mark.parametrize("found", DIFFERENTIAL.classes, ids=KEYS)
    def test_numbers_in_blood_are_the_reports(self, found: ClassCount) -> None:
        observation = OBSERVED[CONCENTRATIONS[found.key]]
        assert found.concentration is not None
        assert observation["valueQuantity"] == {
            "value": pytest.approx(found.concentration.value, abs=5e-5),
            "unit": "10^9/L",
            "system": "http://unitsofmeasure.org",
            "code": "10*9/L",
        }
        limits = components(observation)["95 % limits"]
        assert limits["low"]["value"] == pytest.approx(found.concentration.low, abs=5e-5)
        assert limits["high"]["value"] == pytest.approx(found.concentration.high, abs=5e-5)

    def test_a_number_in_blood_says_what_it_was_worked_out_from(self) -> None:
        pointed = [source["reference"] for source in OBSERVED[CONCENTRATIONS["monocyte"]]["derivedFrom"]]
        total = OBSERVED["Leukocytes, number in blood, corrected for nucleated red cells"]
        assert pointed == [f"urn:uuid:{found['id']}" for found in (OBSERVED[FRACTIONS["monocyte"]], total)]

    def test_the_total_is_given_and_corrected(self) -> None:
        assert OBSERVED["26464-8"]["valueQuantity"]["value"] == 8.16
        corrected = OBSERVED["Leukocytes, number in blood, corrected for nucleated red cells"]
        assert corrected["valueQuantity"]["value"] == 8.0

    def test_nucleated_red_cells_are_per_hundred_leukocytes(self) -> None:
        observation = OBSERVED["19048-8"]
        assert observation["valueQuantity"]["value"] == 2.0
        assert observation["valueQuantity"]["code"] == "/100{WBCs}"
        assert components(observation) == {"Cells counted": 4}

    def test_what_was_left_out_is_told(self) -> None:
        observation = OBSERVED["Leukocytes named, which percentages are over"]
        assert observation["valueInteger"] == 200
        assert list(components(observation).values()) == [7, 5, 3, 1, 1]

    def test_unsure_cells_have_their_own_observation(self) -> None:
        observation = OBSERVED["White cells left without a name, percent of named and unnamed together"]
        assert observation["valueQuantity"]["value"] == pytest.approx(100 * 7 / 207, abs=5e-5)
        limits = components(observation)["95 % limits"]
        assert (limits["low"]["value"], limits["high"]["value"]) == (1.25, 6.5)

    def test_what_was_not_given_is_not_there(self) -> None:
        rows = tuple(row(key, count, corrected=False, white_count=None) for key, count in COUNTS.items())
        bare = replace(DIFFERENTIAL, classes=rows, unsure=None, nucleated_red_cells=None, white_count=None)
        observed = by_code(document(replace(REPORT, differential=bare, flags=())))
        assert set(observed) == {*FRACTIONS.values(), "Leukocytes named, which percentages are over"}
        assert list(components(observed[FRACTIONS["monocyte"]])) == ["Cells counted", "95 % limits"]

    def test_where_nothing_was_counted_it_says_so(self) -> None:
        observed = by_code(VARIANTS["empty"])
        for code in (*FRACTIONS.values(), *CONCENTRATIONS.values()):
            absent = observed[code]["dataAbsentReason"]
            assert absent["coding"][0]["code"] == "unknown"
            assert absent["text"] == "No leukocyte was counted"
        assert components(observed[FRACTIONS["monocyte"]]) == {"Cells counted": 0}


class TestFlags:
    def test_high_and_low_stand_on_what_was_flagged_with_its_range(self) -> None:
        monocytes = OBSERVED[CONCENTRATIONS["monocyte"]]
        assert interpreted(monocytes) == "H"
        (ends,) = monocytes["referenceRange"]
        assert (ends["low"]["value"], ends["high"]["value"], ends["high"]["code"]) == (0.2, 1.0, "10*9/L")
        lymphocytes = OBSERVED[FRACTIONS["lymphocyte"]]
        assert interpreted(lymphocytes) == "L"
        assert lymphocytes["referenceRange"][0]["low"]["value"] == 22.5

    def test_what_has_no_range_is_abnormal_at_most(self) -> None:
        immature = OBSERVED[FRACTIONS["immature_granulocyte"]]
        assert interpreted(immature) == "A"
        assert "referenceRange" not in immature

    def test_nothing_else_is_interpreted(self) -> None:
        flagged = {code for code, found in OBSERVED.items() if "interpretation" in found}
        assert flagged == {
            CONCENTRATIONS["monocyte"],
            FRACTIONS["lymphocyte"],
            FRACTIONS["immature_granulocyte"],
        }

    def test_every_flag_that_can_be_raised_is_on_the_class_that_raised_it(self) -> None:
        """Each class below and above a range of its own, all others within theirs, on either basis."""
        anything, narrow = Range(low=0, high=100), Range(low=5, high=15)
        raised = {}
        for white_count in (None, 1.0, 10.0, 50.0):
            for about in KEYS:
                spans = {key: narrow if key == about else anything for key in KEYS}
                ranges = Ranges("made up", Range(low=5, high=15), spans, spans)
                for count in (0, 10, 90):
                    counts = Tally({**dict.fromkeys(KEYS, (100 - count) // 5), about: count})
                    for flag in flags(differential(counts, white_count=white_count), ranges):
                        total = flag.key in ("leukopenia", "leukocytosis")
                        raised[flag.key] = TOTAL if total else about
        names = {name for pair in NAMES.values() for name in pair if name}
        assert {key.removeprefix("relative_") for key in raised} == names | {"leukopenia", "leukocytosis"}
        assert {key.removeprefix("relative_"): about for key, about in raised.items()} == FLAGGED
        for key, about in raised.items():
            basis: Literal["absolute", "relative"] = "relative" if key.startswith("relative_") else "absolute"
            flag = Flag(key, "Review.", basis, 1.0, "%", None, None)
            assert flag_of((flag,), about, basis) is flag

    @pytest.mark.parametrize(
        ("key", "value", "code"), [("leukopenia", 2.0, "L"), ("leukocytosis", 30.0, "H")]
    )
    def test_the_total_that_was_judged_is_flagged(self, key: str, value: float, code: str) -> None:
        flag = Flag(key, "The total: review.", "absolute", value, "10^9/L", 4.0, 10.0)
        observed = by_code(document(replace(REPORT, flags=(flag,))))
        corrected = "Leukocytes, number in blood, corrected for nucleated red cells"
        assert interpreted(observed[corrected]) == code
        assert "interpretation" not in observed["26464-8"]
        plain = replace(DIFFERENTIAL, white_count=WhiteCount(value, value))
        observed = by_code(document(replace(REPORT, differential=plain, flags=(flag,))))
        assert interpreted(observed["26464-8"]) == code
        assert corrected not in observed

    def test_every_message_and_warning_is_in_the_conclusion(self) -> None:
        (report,) = resources(CONTENT, "DiagnosticReport")
        for words in (*(flag.message for flag in FLAGS), *DIFFERENTIAL.warnings, STATEMENT):
            assert words in report["conclusion"].splitlines()


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

    def test_the_manual_lists_every_component_and_what_has_no_code(self) -> None:
        manual = MANUAL.read_text(encoding="utf-8")
        words = {words for found in OBSERVED.values() for words in components(found)}
        words |= {found["code"]["text"] for found in OBSERVED.values() if "coding" not in found["code"]}
        assert {text for text in words if f"`{text}`" not in manual} == set()


class TestWhoAndWith:
    def test_nobody_is_named_and_no_time_told_unasked(self) -> None:
        text = json.dumps(CONTENT)
        for word in ("Patient", '"subject"', "effectiveDateTime", "issued"):
            assert word not in text

    def test_who_and_when_stand_everywhere_where_given(self) -> None:
        kinds = ("Observation", "DiagnosticReport", "Specimen")
        told = [resource for kind in kinds for resource in resources(VARIANTS["told"], kind)]
        assert {resource["subject"]["reference"] for resource in told} == {"Patient/7"}
        timed = [resource for resource in told if resource["resourceType"] != "Specimen"]
        assert {resource["effectiveDateTime"] for resource in timed} == {"2026-03-01T08:30:00+01:00"}
        assert {resource["issued"] for resource in timed} == {"2026-03-01T08:30:00+01:00"}

    def test_a_time_without_a_zone_is_refused(self) -> None:
        with pytest.raises(ReportError, match="no time zone"):
            document(REPORT, issued=DRAWN.replace(tzinfo=None))

    def test_the_device_is_the_software_and_its_bundle(self) -> None:
        (device,) = resources(CONTENT, "Device")
        assert {part["type"]["text"]: part["value"] for part in device["version"]} == {
            "software": "0.1.0",
            "bundle": "tiny",
            "bundle sha256": "d" * 64,
            "engine": "onnxruntime 1.27.0",
        }
        for observation in resources(CONTENT, "Observation"):
            assert observation["device"]["reference"] == f"urn:uuid:{device['id']}"
            assert "tiny" in observation["method"]["text"]

    def test_each_says_that_it_is_for_research(self) -> None:
        for kind in ("Observation", "Device"):
            assert all(STATEMENT in found["note"][0]["text"] for found in resources(CONTENT, kind))

    def test_the_specimen_has_the_samples_name(self) -> None:
        assert resources(CONTENT, "Specimen")[0]["identifier"] == [{"value": "S-1"}]
        assert "identifier" not in resources(VARIANTS["nothing"], "Specimen")[0]

    def test_no_file_name_leaves_unasked(self) -> None:
        assert MARK not in json.dumps(CONTENT)

    def test_it_leaves_where_asked(self) -> None:
        notes = [note["text"] for note in resources(VARIANTS["told"], "Specimen")[0]["note"]]
        assert notes == [f"field-00{place}: {field.path}" for place, field in enumerate(FIELDS, start=1)]


class TestFile:
    def test_equal_reports_give_equal_bytes(self, tmp_path: Path) -> None:
        for name in ("a.json", "b.json"):
            write_fhir(REPORT, tmp_path / name, effective=DRAWN)
        assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
        assert json.loads((tmp_path / "a.json").read_text()) == document(REPORT, effective=DRAWN)

    @pytest.mark.parametrize(
        "other",
        [
            replace(REPORT, name="S-2"),
            replace(REPORT, fields=FIELDS[:1]),
            replace(REPORT, flags=()),
            replace(REPORT, differential=replace(DIFFERENTIAL, nucleated_red_cells=3.0)),
        ],
        ids=["name", "fields", "flags", "figures"],
    )
    def test_another_report_has_other_ids(self, other: SampleReport) -> None:
        ids = {entry["fullUrl"] for entry in CONTENT["entry"]}
        assert ids.isdisjoint(entry["fullUrl"] for entry in document(other)["entry"])

    @pytest.mark.parametrize(
        "name", ["../../up", 'quo"te', "new\nline", "caf\udce9", "\x00", "<script>", "   "]
    )
    def test_a_hostile_name_is_words(self, tmp_path: Path, name: str) -> None:
        write_fhir(replace(REPORT, name=name), tmp_path / "fhir.json")
        text = (tmp_path / "fhir.json").read_text(encoding="ascii")
        Bundle.model_validate_json(text)
        (specimen,) = resources(json.loads(text), "Specimen")
        assert all(part["value"].isprintable() for part in specimen.get("identifier", []))
        assert [path.name for path in tmp_path.iterdir()] == ["fhir.json"]

    def test_a_file_that_cannot_be_written_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(ReportError, match=r"fhir\.json cannot be written"):
            write_fhir(REPORT, tmp_path / "nowhere" / "fhir.json")

    def test_times_in_utc_are_instants_too(self) -> None:
        content = document(REPORT, issued=datetime(2026, 3, 1, tzinfo=UTC))
        assert resources(content, "DiagnosticReport")[0]["issued"] == "2026-03-01T00:00:00+00:00"
        Bundle.model_validate_json(json.dumps(content))
