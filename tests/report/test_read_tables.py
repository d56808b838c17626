"""The tables of a smear hold what its document holds."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from leukolens.errors import ReportError
from leukolens.report.read_document import sample_entry
from leukolens.report.read_tables import write_cells, write_differential
from leukolens.report.sample import SampleReport


def read_back(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, strict=True))


class TestCells:
    def test_every_cell_has_its_row_and_a_field_without_has_one(
        self, smear: SampleReport, tmp_path: Path
    ) -> None:
        write_cells(smear, tmp_path / "cells.csv")
        rows = iter(read_back(tmp_path / "cells.csv"))
        for field in sample_entry(smear, paths=False)["fields"]:
            for number, cell in enumerate(field["cells"], start=1):
                row = next(rows)
                assert (row["field"], row["sha256"], row["status"]) == (field["name"], field["sha256"], "ok")
                assert row["number"] == str(number)
                assert [row[end] for end in ("x0", "y0", "x1", "y1")] == [str(end) for end in cell["box"]]
                for key in ("class", "counted_as", "decision", "reason"):
                    assert row[key] == cell[key]
                assert row["at_edge"] == str(cell["at_edge"]).lower()
                assert float(row["score"]) == cell["score"]
                assert float(row["probability"]) == cell["probabilities"][cell["class"]]
                for key, value in cell["probabilities"].items():
                    assert float(row[f"probability_{key}"]) == value
            if not field["cells"]:
                row = next(rows)
                told = {key: value for key, value in row.items() if value}
                assert told == {key: told[key] for key in ("field", "sha256", "status", "reason")}
                assert (row["status"], row["reason"]) == (field["status"], field["reason"])
        assert next(rows, None) is None

    def test_no_name_of_a_file_is_in_it_unless_asked(self, smear: SampleReport, tmp_path: Path) -> None:
        write_cells(smear, tmp_path / "cells.csv")
        text = (tmp_path / "cells.csv").read_text()
        assert "Smith" not in text
        assert ".png" not in text
        write_cells(smear, tmp_path / "named.csv", names=True)
        rows = read_back(tmp_path / "named.csv")
        assert rows[0]["path"] == "/ward 3/Eve Smith/smear1.png"
        assert {row["reason"] for row in rows if row["status"] == "failed"} == {
            "smear4.png: the file ends early"
        }

    def test_hostile_text_is_no_formula_and_no_control(
        self, hostile_smear: SampleReport, tmp_path: Path
    ) -> None:
        write_cells(hostile_smear, tmp_path / "cells.csv", names=True)
        values = [value for row in read_back(tmp_path / "cells.csv") for value in row.values()]
        assert any(value.startswith("'=1+1") for value in values)
        assert not any(value.startswith("=") for value in values)
        assert all(character.isprintable() for value in values for character in value)


class TestDifferential:
    def test_it_holds_what_the_document_holds(self, smear: SampleReport, tmp_path: Path) -> None:
        write_differential(smear, tmp_path / "differential.csv")
        rows = {row["row"]: row for row in read_back(tmp_path / "differential.csv")}
        entry: dict[str, Any] = sample_entry(smear)["differential"]
        assert list(rows) == [
            *entry["classes"], "leukocytes", "unsure", "at_edge", "not_leukocyte", "nucleated_red_cells",
        ]  # fmt: skip
        for key, given in entry["classes"].items():
            told = [value for name, value in rows[key].items() if name != "row"]
            shares = [given[end] for end in ("percent", "low", "high")]
            corrected, concentration = (
                list(given["corrected"].values()),
                list(given["concentration"].values()),
            )
            want = [given["count"], *shares, *corrected, *concentration, given["to_halve"]]
            assert [float(value) for value in told] == want
        assert rows["leukocytes"]["count"] == str(entry["denominator"])
        assert float(rows["leukocytes"]["concentration"]) == entry["white_count"]["corrected"]
        for key, count in entry["excluded"].items():
            assert rows[key]["count"] == str(count)
        assert [float(rows["unsure"][end]) for end in ("percent", "low", "high")] == list(
            entry["unsure"].values()
        )
        nucleated = rows["nucleated_red_cells"]
        assert int(nucleated["count"]) == entry["nucleated_red_cells"]["count"]
        assert float(nucleated["percent"]) == entry["nucleated_red_cells"]["per_100_leukocytes"]

    def test_what_nobody_knows_is_left_empty(self, bare_smear: SampleReport, tmp_path: Path) -> None:
        write_differential(bare_smear, tmp_path / "differential.csv")
        rows = {row["row"]: row for row in read_back(tmp_path / "differential.csv")}
        assert "nucleated_red_cells" not in rows
        assert rows["monocyte"]["corrected_percent"] == rows["monocyte"]["concentration"] == ""
        assert rows["unsure"]["percent"] == rows["leukocytes"]["concentration"] == ""

    def test_a_table_that_cannot_be_written_says_so(self, smear: SampleReport, tmp_path: Path) -> None:
        with pytest.raises(ReportError, match=r"differential\.csv cannot be written"):
            write_differential(smear, tmp_path / "nowhere" / "differential.csv")
