"""The HL7 message says what the report says, parts nothing where it should not, and another's parser agrees."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from leukolens.errors import ReportError
from leukolens.report import fhir_codes as codes
from leukolens.report.hl7 import escaped, message, write_hl7
from leukolens.report.sample import SampleReport

AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
UNESCAPES = {"E": "\\", "F": "|", "S": "^", "T": "&", "R": "~", ".br": "\n"}

Segment = list[list[str]]


def unescaped(text: str) -> str:
    """What escapes stand for, by chapter 2.7."""

    def one(found: re.Match[str]) -> str:
        word = found[1]
        return chr(int(word[1:], 16)) if word.startswith("X") else UNESCAPES[word]

    return re.sub(r"\\([^\\]*)\\", one, text)


def parsed(text: str) -> list[Segment]:
    """Segments of fields of components; a field's place is its number, MSH's too."""
    assert text.endswith("\r")
    found = []
    for line in text.removesuffix("\r").split("\r"):
        fields = line.split("|")
        if fields[0] == "MSH":
            fields.insert(1, "|")
        found.append([[unescaped(part) for part in field.split("^")] for field in fields])
    return found


def all_of(segments: list[Segment], name: str) -> list[Segment]:
    return [one for one in segments if one[0] == [name]]


def observed(segments: list[Segment]) -> dict[str, Segment]:
    return {one[3][0]: one for one in all_of(segments, "OBX")}


def at(segment: Segment, place: int) -> list[str]:
    return segment[place] if place < len(segment) else [""]


@pytest.fixture(scope="module")
def segments(reviewed_smear: SampleReport) -> list[Segment]:
    return parsed(message(reviewed_smear))


class TestHead:
    def test_it_is_an_oru_in_version_2_5_1_as_utf_8(self, segments: list[Segment]) -> None:
        head = segments[0]
        assert head[9] == ["ORU", "R01", "ORU_R01"]
        assert (head[11], head[12], head[18]) == (["P"], ["2.5.1"], ["UNICODE UTF-8"])
        assert head[7] == ["20260301083015+0000"]
        assert re.fullmatch("[0-9a-f]{20}", head[10][0])

    def test_nobody_is_named_unasked(self, reviewed_smear: SampleReport) -> None:
        assert all_of(parsed(message(reviewed_smear)), "PID") == []
        (pid,) = all_of(parsed(message(reviewed_smear, identifier=" 19|62 ")), "PID")
        assert pid[3] == ["19|62"]
        assert at(pid, 5)[6] == "U"

    def test_the_order_is_the_samples(self, segments: list[Segment]) -> None:
        (order,) = all_of(segments, "OBR")
        assert order[3] == ["Smear 7"]
        assert order[4][0] == codes.DIFFERENTIAL_PANEL
        assert order[4][2] == "LN"
        assert (order[22], order[24], order[25]) == (["20260301083015+0000"], ["HM"], ["C"])
        assert order[32] == ["&Dr. Ζωή O'Hara"]

    def test_equal_reports_give_equal_messages_and_others_another_id(
        self, reviewed_smear: SampleReport
    ) -> None:
        assert message(reviewed_smear) == message(reviewed_smear)
        other = parsed(message(replace(reviewed_smear, name="Smear 8")))
        assert other[0][10] != parsed(message(reviewed_smear))[0][10]

    def test_one_without_a_time_is_refused(self, smear: SampleReport) -> None:
        with pytest.raises(ReportError, match="requires a time"):
            message(smear)
        with pytest.raises(ReportError, match="no time zone"):
            message(smear, at=AT.replace(tzinfo=None))
        assert parsed(message(smear, at=AT))[0][7] == ["20260302120000+0000"]


class TestResults:
    def test_each_class_has_its_percentage_and_its_number(
        self, segments: list[Segment], reviewed_smear: SampleReport
    ) -> None:
        found = observed(segments)
        for row in reviewed_smear.differential.classes:
            percent = found[codes.fraction_code(row.key, reviewed_smear.differential) or ""]
            assert percent[2] == ["NM"]
            assert float(percent[5][0]) == round(row.share.percent, 4)
            assert percent[6] == ["%", "%", "UCUM"]
            number = found[codes.concentration_code(row.key, reviewed_smear.differential) or ""]
            assert row.concentration
            assert float(number[5][0]) == round(row.concentration.value, 4)
            assert number[6] == ["10*9/L", "10^9/L", "UCUM"]

    def test_places_count_from_one_without_a_gap(self, segments: list[Segment]) -> None:
        places = [one[1] for one in all_of(segments, "OBX")]
        assert places == [[str(place)] for place in range(1, len(places) + 1)]

    def test_flags_have_range_and_direction(
        self, segments: list[Segment], reviewed_smear: SampleReport
    ) -> None:
        found = observed(segments)
        assert (found["26464-8"][7], found["26464-8"][8]) == (["4-10"], ["H"])
        assert (found["26446-5"][7], found["26446-5"][8]) == (["0"], ["H"])
        assert (at(found["26450-7"], 7), at(found["26450-7"], 8)) == ([""], [""])

    @pytest.mark.parametrize(("status", "letter"), [("preliminary", "P"), ("final", "F"), ("amended", "C")])
    def test_the_status_is_the_reports(self, reviewed_smear: SampleReport, status: Any, letter: str) -> None:
        assert reviewed_smear.review
        told = parsed(message(replace(reviewed_smear, review=replace(reviewed_smear.review, status=status))))
        assert {at(one, 11)[0] for one in all_of(told, "OBX")} == {letter}
        assert at(all_of(told, "OBR")[0], 25) == [letter]

    def test_the_reviewer_answers_for_each(self, segments: list[Segment]) -> None:
        for one in all_of(segments, "OBX"):
            assert at(one, 16) == ["", "Dr. Ζωή O'Hara"]
            assert "reviewed by a person" in at(one, 17)[1]

    def test_comments_are_words_with_a_code_of_our_own(self, segments: list[Segment]) -> None:
        found = observed(segments)
        assert found["giant_platelets"][2:6] == [
            ["ST"], ["giant_platelets", "Giant platelets", "99LKL"], [""], ["few"],
        ]  # fmt: skip

    def test_limits_and_the_machines_figures_are_notes(self, reviewed_smear: SampleReport) -> None:
        text = message(reviewed_smear)
        (after,) = re.findall(r"OBX\|\d+\|NM\|26511-6.*?\r((?:NTE.*?\r)+)", text)
        share = reviewed_smear.differential.classes[0].share
        assert f"95 % limits: {round(share.low, 4)} to {round(share.high, 4)} %" in after
        assert "By the software alone, before review: 75 %, cells counted: 6" in after

    def test_no_value_where_nothing_was_counted(self, bare_smear: SampleReport) -> None:
        found = observed(parsed(message(bare_smear, at=AT)))
        assert (found["26511-6"][5], at(found["26511-6"], 11)) == ([""], ["X"])


class TestNotes:
    def test_what_is_flagged_warned_and_said_of_the_review(
        self, segments: list[Segment], reviewed_smear: SampleReport
    ) -> None:
        said = "\n".join("^".join(note[3]) for note in all_of(segments, "NTE"))
        for flag in reviewed_smear.flags:
            assert flag.message in said
        for sentence in (
            *reviewed_smear.warnings,
            "not a certified medical device",
            "Audit trail: " + "ab" * 32,
        ):
            assert sentence in said
        assert "Cohen's kappa 0.81" in said
        assert "| sorry" in said

    def test_the_unsigned_asks_for_a_review(self, smear: SampleReport) -> None:
        assert codes.STATEMENT in message(smear, at=AT)


class TestEscapes:
    @pytest.mark.parametrize(
        ("text", "written"),
        [
            ("a|b", r"a\F\b"),
            ("a^b&c~d", r"a\S\b\T\c\R\d"),
            ("a\\b", r"a\E\b"),
            ("a\r\nb\nc\rd", r"a\.br\b\.br\c\.br\d"),
            ("\x0b\x1c\x7f", r"\X0B\\X1C\\X7F\ ".strip()),
            ("Ζωή 中", "Ζωή 中"),
        ],
    )
    def test_nothing_parts_what_belongs_together(self, text: str, written: str) -> None:
        assert escaped(text) == written
        assert unescaped(written) == text.replace("\r\n", "\n").replace("\r", "\n")

    def test_a_hostile_report_has_the_segments_of_any_other(
        self, reviewed_smear: SampleReport, hostile_smear: SampleReport
    ) -> None:
        evil = "x|y^z&a~b\\c\rOBX|1|NM|evil||1\nMSH|\x0b\udce9"
        assert reviewed_smear.review
        review = replace(
            reviewed_smear.review, reviewer=evil, comments=((evil, evil),), reopened=(evil,), trail_hash=evil
        )
        text = message(replace(hostile_smear, name=evil, review=review), identifier=evil)
        text.encode("utf-8")
        names = {one[0][0] for one in parsed(text)}
        assert names == {"MSH", "PID", "OBR", "NTE", "OBX"}
        assert "evil" not in observed(parsed(text))
        assert len(all_of(parsed(text), "MSH")) == 1


class TestFile:
    def test_it_is_utf_8_with_carriage_returns(self, reviewed_smear: SampleReport, tmp_path: Path) -> None:
        write_hl7(reviewed_smear, tmp_path / "oru.hl7", identifier="X1")
        content = (tmp_path / "oru.hl7").read_bytes()
        assert b"\n" not in content
        assert content.decode() == message(reviewed_smear, identifier="X1")

    def test_one_that_cannot_be_made_leaves_no_file(self, smear: SampleReport, tmp_path: Path) -> None:
        with pytest.raises(ReportError):
            write_hl7(smear, tmp_path / "oru.hl7")
        assert list(tmp_path.iterdir()) == []


class TestAgainstAnotherParser:
    @pytest.mark.parametrize("identifier", [None, "X|1"])
    def test_hl7apy_finds_it_valid_and_reads_the_same(
        self, reviewed_smear: SampleReport, identifier: str | None
    ) -> None:
        hl7apy = pytest.importorskip("hl7apy.parser")
        text = message(reviewed_smear, identifier=identifier)
        found = hl7apy.parse_message(text, find_groups=True)
        assert found.validate()
        result = found.oru_r01_patient_result
        assert bool(result.oru_r01_patient) == (identifier is not None)
        observations = result.oru_r01_order_observation.oru_r01_observation
        told = {one.obx.obx_3.obx_3_1.value: one.obx.obx_5.value for one in observations}
        assert told == {key: one[5][0] for key, one in observed(parsed(text)).items()}

    def test_it_is_valid_unsigned_and_empty_too(self, smear: SampleReport, bare_smear: SampleReport) -> None:
        hl7apy = pytest.importorskip("hl7apy.parser")
        for report in (smear, bare_smear):
            assert hl7apy.parse_message(message(report, at=AT), find_groups=True).validate()
