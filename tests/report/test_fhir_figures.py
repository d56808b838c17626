"""The FHIR document's figures and flags are the report's, each where it belongs."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from fhir_parts import Resource, components, resources

from leukolens.differential.counts import ClassCount, Flag, Tally, WhiteCount
from leukolens.differential.flags import NAMES, flags
from leukolens.differential.percentages import differential
from leukolens.differential.ranges import Range, Ranges
from leukolens.report.fhir import document
from leukolens.report.fhir_codes import CONCENTRATIONS, FLAGGED, FRACTIONS, TOTAL, flag_of
from leukolens.report.sample import SampleReport
from leukolens.taxonomy import CLASSES

KEYS = [kind.key for kind in CLASSES if kind.leukocyte]


def by_code(content: Resource) -> dict[str, Resource]:
    """Observation by its LOINC code, or by its words where it has none."""
    return {
        observation["code"].get("coding", [{"code": observation["code"]["text"]}])[0]["code"]: observation
        for observation in resources(content, "Observation")
    }


def interpreted(observation: Resource) -> str:
    (concept,) = observation["interpretation"]
    assert concept["coding"][0]["system"].endswith("/v3-ObservationInterpretation")
    return str(concept["coding"][0]["code"])


@pytest.fixture(scope="module")
def observed(fhir_documents: dict[str, Resource]) -> dict[str, Resource]:
    return by_code(fhir_documents["full"])


@pytest.fixture
def found(request: pytest.FixtureRequest, counted_smear: SampleReport) -> ClassCount:
    """The report's row of a class."""
    (row,) = (row for row in counted_smear.differential.classes if row.key == request.param)
    return row


class TestFigures:
    @pytest.mark.parametrize("found", KEYS, indirect=True)
    def test_percentages_and_limits_are_the_reports(
        self, found: ClassCount, observed: dict[str, Resource]
    ) -> None:
        observation = observed[FRACTIONS[found.key]]
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

    @pytest.mark.parametrize("found", KEYS, indirect=True)
    def test_numbers_in_blood_are_the_reports(self, found: ClassCount, observed: dict[str, Resource]) -> None:
        observation = observed[CONCENTRATIONS[found.key]]
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

    def test_a_number_in_blood_says_what_it_was_worked_out_from(self, observed: dict[str, Resource]) -> None:
        pointed = [source["reference"] for source in observed[CONCENTRATIONS["monocyte"]]["derivedFrom"]]
        total = observed["Leukocytes, number in blood, corrected for nucleated red cells"]
        assert pointed == [f"urn:uuid:{found['id']}" for found in (observed[FRACTIONS["monocyte"]], total)]

    def test_the_total_is_given_and_corrected(self, observed: dict[str, Resource]) -> None:
        assert observed["26464-8"]["valueQuantity"]["value"] == 8.16
        corrected = observed["Leukocytes, number in blood, corrected for nucleated red cells"]
        assert corrected["valueQuantity"]["value"] == 8.0

    def test_nucleated_red_cells_are_per_hundred_leukocytes(self, observed: dict[str, Resource]) -> None:
        observation = observed["19048-8"]
        assert observation["valueQuantity"]["value"] == 2.0
        assert observation["valueQuantity"]["code"] == "/100{WBCs}"
        assert components(observation) == {"Cells counted": 4}

    def test_what_was_left_out_is_told(self, observed: dict[str, Resource]) -> None:
        observation = observed["Leukocytes named, which percentages are over"]
        assert observation["valueInteger"] == 200
        assert list(components(observation).values()) == [7, 5, 3, 1, 1]

    def test_unsure_cells_have_their_own_observation(self, observed: dict[str, Resource]) -> None:
        observation = observed["White cells left without a name, percent of named and unnamed together"]
        assert observation["valueQuantity"]["value"] == pytest.approx(100 * 7 / 207, abs=5e-5)
        limits = components(observation)["95 % limits"]
        assert (limits["low"]["value"], limits["high"]["value"]) == (1.25, 6.5)

    def test_what_was_not_given_is_not_there(self, counted_smear: SampleReport) -> None:
        rows = tuple(
            replace(found, corrected=None, concentration=None) for found in counted_smear.differential.classes
        )
        bare = replace(
            counted_smear.differential, classes=rows, unsure=None, nucleated_red_cells=None, white_count=None
        )
        observed = by_code(document(replace(counted_smear, differential=bare, flags=())))
        assert set(observed) == {*FRACTIONS.values(), "Leukocytes named, which percentages are over"}
        assert list(components(observed[FRACTIONS["monocyte"]])) == ["Cells counted", "95 % limits"]

    def test_where_nothing_was_counted_it_says_so(self, fhir_documents: dict[str, Resource]) -> None:
        observed = by_code(fhir_documents["empty"])
        for code in (*FRACTIONS.values(), *CONCENTRATIONS.values()):
            absent = observed[code]["dataAbsentReason"]
            assert absent["coding"][0]["code"] == "unknown"
            assert absent["text"] == "No leukocyte was counted"
        assert components(observed[FRACTIONS["monocyte"]]) == {"Cells counted": 0}


class TestFlags:
    def test_high_and_low_stand_on_what_was_flagged_with_its_range(
        self, observed: dict[str, Resource]
    ) -> None:
        monocytes = observed[CONCENTRATIONS["monocyte"]]
        assert interpreted(monocytes) == "H"
        (ends,) = monocytes["referenceRange"]
        assert (ends["low"]["value"], ends["high"]["value"], ends["high"]["code"]) == (0.2, 1.0, "10*9/L")
        lymphocytes = observed[FRACTIONS["lymphocyte"]]
        assert interpreted(lymphocytes) == "L"
        assert lymphocytes["referenceRange"][0]["low"]["value"] == 22.5

    def test_what_has_no_range_is_abnormal_at_most(self, observed: dict[str, Resource]) -> None:
        immature = observed[FRACTIONS["immature_granulocyte"]]
        assert interpreted(immature) == "A"
        assert "referenceRange" not in immature

    def test_nothing_else_is_interpreted(self, observed: dict[str, Resource]) -> None:
        flagged = {code for code, found in observed.items() if "interpretation" in found}
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
    def test_the_total_that_was_judged_is_flagged(
        self, key: str, value: float, code: str, counted_smear: SampleReport
    ) -> None:
        flag = Flag(key, "The total: review.", "absolute", value, "10^9/L", 4.0, 10.0)
        observed = by_code(document(replace(counted_smear, flags=(flag,))))
        corrected = "Leukocytes, number in blood, corrected for nucleated red cells"
        assert interpreted(observed[corrected]) == code
        assert "interpretation" not in observed["26464-8"]
        plain = replace(counted_smear.differential, white_count=WhiteCount(value, value))
        observed = by_code(document(replace(counted_smear, differential=plain, flags=(flag,))))
        assert interpreted(observed["26464-8"]) == code
        assert corrected not in observed
