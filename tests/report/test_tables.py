"""The JSON document and the CSV table are what the manual says, whatever the file names."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import leukolens
from leukolens.bundle import Bundle
from leukolens.card import Judgement
from leukolens.errors import ReportError
from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, ImageReading
from leukolens.report.tables import CsvTable, csv_header, csv_rows, document, harmless, printable

CLASSES = ("neutrophil", "monocyte", "other")
CELL = Cell(
    Box(-4, 10, 60, 74),
    {"neutrophil": 0.0625, "monocyte": 0.93, "other": 0.0075000001},
    "accept",
    "it is one",
    distance=6.1234,
    class_set=("neutrophil", "monocyte"),
)
READINGS = (
    ImageReading(Path("a.png"), "ok", None, (CELL,)),
    ImageReading(Path("b.png"), "no_cell", "no nucleus found"),
    ImageReading(Path("c.png"), "failed", "the file is empty"),
)


class TestDocument:
    def test_it_is_the_agreed_one(self, make_bundle: Callable[..., Bundle]) -> None:
        bundle = make_bundle()
        assert json.loads("".join(document(READINGS, bundle))) == {
            "schema": "leukolens.identify/1",
            "leukolens": leukolens.__version__,
            "bundle": {"name": "tiny", "sha256": bundle.sha256},
            "images": [
                {
                    "path": "a.png",
                    "status": "ok",
                    "reason": None,
                    "cells": [
                        {
                            "box": [-4, 10, 60, 74],
                            "class": "monocyte",
                            "probabilities": {"neutrophil": 0.0625, "monocyte": 0.93, "other": 0.0075},
                            "decision": "accept",
                            "reason": "it is one",
                            "set": ["neutrophil", "monocyte"],
                            "distance": 6.123,
                        }
                    ],
                },
                {"path": "b.png", "status": "no_cell", "reason": "no nucleus found", "cells": []},
                {"path": "c.png", "status": "failed", "reason": "the file is empty", "cells": []},
            ],
            "batch": None,
        }

    def test_keys_stand_in_the_agreed_order(self, make_bundle: Callable[..., Bundle]) -> None:
        read = json.loads("".join(document(READINGS, make_bundle())))
        assert list(read) == ["schema", "leukolens", "bundle", "images", "batch"]
        assert list(read["images"][0]) == ["path", "status", "reason", "cells"]
        keys = ["box", "class", "probabilities", "decision", "reason", "set", "distance"]
        assert list(read["images"][0]["cells"][0]) == keys

    def test_a_bundle_that_cannot_tell_gives_null(self, make_bundle: Callable[..., Bundle]) -> None:
        plain = ImageReading(Path("a.png"), "ok", None, (replace(CELL, distance=None, class_set=None),))
        (cell,) = json.loads("".join(document([plain], make_bundle())))["images"][0]["cells"]
        assert (cell["set"], cell["distance"]) == (None, None)

    def test_enough_cells_are_checked_together(self, make_bundle: Callable[..., Bundle]) -> None:
        bundle = make_bundle(judgement=Judgement(usual_within=6.0, unlike_beyond=9.0, outside_share=0.125))
        read = json.loads("".join(document([READINGS[0]] * 25, bundle)))
        assert read["batch"] == {
            "cells": 25, "outside": 25, "share": 1.0, "usual": 0.125, "unlike": True,
            "message": read["batch"]["message"],
        }  # fmt: skip
        assert "100 % of 25 cells" in read["batch"]["message"]

    def test_one_line_an_image(self, make_bundle: Callable[..., Bundle]) -> None:
        lines = "".join(document(READINGS, make_bundle())).splitlines()
        assert len(lines) == len(READINGS) + 2

    def test_no_image_is_a_document_too(self, make_bundle: Callable[..., Bundle]) -> None:
        assert json.loads("".join(document([], make_bundle())))["images"] == []

    @pytest.mark.parametrize(
        "name", ["血.png", 'quo"te.png', "new\nline.png", "\x1b[31mred.png", "tab\t.png"]
    )
    def test_any_name_comes_back(self, make_bundle: Callable[..., Bundle], name: str) -> None:
        text = "".join(document([ImageReading(Path(name), "no_cell", "x")], make_bundle()))
        assert text.isascii()
        assert json.loads(text)["images"][0]["path"] == name

    def test_a_name_that_is_no_unicode_keeps_its_bytes(self, make_bundle: Callable[..., Bundle]) -> None:
        name = os.fsdecode(b"caf\xe9.png")
        text = "".join(document([ImageReading(Path(name), "no_cell", "x")], make_bundle()))
        text.encode("utf-8")
        assert os.fsencode(json.loads(text)["images"][0]["path"]) == b"caf\xe9.png"

    def test_it_is_written_as_readings_come(self, make_bundle: Callable[..., Bundle]) -> None:
        came = []

        def coming() -> object:
            for reading in READINGS:
                came.append(reading)
                yield reading

        lines = document(coming(), make_bundle())  # type: ignore[arg-type]
        next(lines)
        assert came == []
        next(lines)
        assert len(came) == 1


def read_back(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


class TestCsv:
    def test_every_image_has_a_row_and_every_class_a_column(self, tmp_path: Path) -> None:
        path = tmp_path / "cells.csv"
        with CsvTable(path, CLASSES) as table:
            for reading in READINGS:
                table.add(reading)
        rows = read_back(path)
        assert rows[0] == {
            "path": "a.png",
            "status": "ok",
            "class": "monocyte",
            "probability": "0.93",
            "decision": "accept",
            "reason": "it is one",
            "x0": "-4",
            "y0": "10",
            "x1": "60",
            "y1": "74",
            "probability_neutrophil": "0.0625",
            "probability_monocyte": "0.93",
            "probability_other": "0.0075",
        }
        assert [(row["path"], row["status"], row["reason"]) for row in rows[1:]] == [
            ("b.png", "no_cell", "no nucleus found"),
            ("c.png", "failed", "the file is empty"),
        ]
        assert {rows[1][key] for key in csv_header(CLASSES)[6:]} == {""}
        assert list(tmp_path.iterdir()) == [path]

    def test_two_cells_are_two_rows(self) -> None:
        reading = ImageReading(Path("a.png"), "ok", None, (CELL, CELL))
        assert len(list(csv_rows(reading, CLASSES))) == 2

    @pytest.mark.parametrize(
        "name", ["=cmd|' /C calc'!A0.png", "+1.png", "-1.png", "@sum.png", "\t=1.png", "\r=1.png"]
    )
    def test_no_name_becomes_a_formula(self, name: str) -> None:
        (row,) = csv_rows(ImageReading(Path(name), "failed", f"{name} is bad"), CLASSES)
        for text in (str(row[0]), str(row[5])):
            assert text[0] not in "=+-@\t\r\n"

    @pytest.mark.parametrize("name", ["a,b.png", 'a"b.png', "a;b.png", "血.png", "O'Brien.png"])
    def test_names_with_signs_come_back(self, name: str, tmp_path: Path) -> None:
        path = tmp_path / "cells.csv"
        with CsvTable(path, CLASSES) as table:
            table.add(ImageReading(Path(name), "no_cell", "x"))
        assert read_back(path)[0]["path"] == name

    def test_control_signs_and_broken_bytes_are_written_out(self, tmp_path: Path) -> None:
        path = tmp_path / "cells.csv"
        with CsvTable(path, CLASSES) as table:
            table.add(ImageReading(Path(os.fsdecode(b"caf\xe9\x1b[2J\n.png")), "no_cell", "x"))
        assert read_back(path)[0]["path"] == "caf\\udce9\\x1b[2J\\n.png"

    def test_an_interrupted_table_leaves_the_old_one(self, tmp_path: Path) -> None:
        path = tmp_path / "cells.csv"
        path.write_text("old")

        def interrupted() -> None:
            with CsvTable(path, CLASSES) as table:
                table.add(READINGS[0])
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_table_that_cannot_be_written_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(ReportError, match=r"cells\.csv cannot be written"):
            CsvTable(tmp_path / "nowhere" / "cells.csv", CLASSES)

    def test_a_full_disk_says_so_and_leaves_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "cells.csv"

        class Full(StringIO):
            def write(self, text: str) -> int:
                raise OSError(28, "No space left on device")

        def filling() -> None:
            with CsvTable(path, CLASSES) as table:
                table._stream.close()
                table._writer = csv.writer(Full())
                table.add(READINGS[0])

        with pytest.raises(ReportError, match="No space left"):
            filling()
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_in_the_way_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "cells.csv").mkdir()

        def writing() -> None:
            with CsvTable(tmp_path / "cells.csv", CLASSES) as table:
                table.add(READINGS[0])

        with pytest.raises(ReportError, match="cannot be written"):
            writing()
        assert [path.name for path in tmp_path.iterdir()] == ["cells.csv"]


@given(st.text())
def test_printable_text_is_printable_and_harmless_text_no_formula(text: str) -> None:
    assert all(character.isprintable() for character in printable(text))
    printable(text).encode("utf-8")
    assert harmless(text)[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n"}
    assert harmless(text).removeprefix("'") == text.removeprefix("'") or harmless(text)[1:] == text


def test_printable_leaves_words_alone() -> None:
    for text in ("plain.png", "a folder/зелёный 血.png", "C:\\images\\a.png"):
        assert printable(text) == text
    assert printable("\u202egpj.exe") == "\\u202egpj.exe"
