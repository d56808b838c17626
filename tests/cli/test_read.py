"""`leukolens read`: samples in, a document, files and lines out, and a broken image costs the others nothing."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import leukolens
from leukolens.cli.main import app


def read(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["read", *map(str, arguments)])


def document(*arguments: object, code: int = 0) -> dict[str, Any]:
    result = read(*arguments, "--json")
    assert result.exit_code == code, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


# The document


def test_the_document_is_the_agreed_one(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    found = document(smear, "--out", tmp_path / "out")
    assert found["schema"] == "leukolens.read/1"
    assert found["leukolens"] == leukolens.__version__
    assert found["bundle"] == {"name": "tiny", "sha256": square_reader.bundle.sha256}
    (sample,) = found["samples"]
    assert sample["name"] == "smear"
    assert [field["path"] for field in sample["fields"]] == [str(smear / f"{n}.png") for n in range(3)]
    assert {field["status"] for field in sample["fields"]} == {"ok"}
    differential = sample["differential"]
    assert differential["denominator"] == 20
    assert differential["excluded"] == {"unsure": 1, "at_edge": 1, "not_leukocyte": 0}
    counts = {key: row["count"] for key, row in differential["classes"].items()}
    assert {key: count for key, count in counts.items() if count} == {
        "neutrophil": 11, "lymphocyte": 6, "monocyte": 3,
    }  # fmt: skip
    assert differential["classes"]["lymphocyte"]["percent"] == 30
    assert sample["origin"]["engine"] == "squares 1.0"


def test_what_a_person_knows_goes_into_the_count(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text((shipped_ranges()).read_text())
    arguments = ("--wbc", 8, "--nrbc", 5, "--age", 40, "--sex", "female", "--ranges", tmp_path / "ours.toml")
    (sample,) = document(smear, "--out", tmp_path / "out", "--count-edges", *arguments)["samples"]
    differential, settings = sample["differential"], sample["origin"]["settings"]
    assert differential["excluded"]["at_edge"] == 0
    assert differential["classes"]["neutrophil"]["count"] == 12
    assert differential["white_count"] == {
        "given": 8,
        "corrected": pytest.approx(800 / (100 + 500 / 22), abs=1e-4),
    }
    assert differential["nucleated_red_cells"] == {
        "count": 5,
        "per_100_leukocytes": pytest.approx(500 / 22, abs=1e-4),
    }
    assert differential["classes"]["lymphocyte"]["concentration"]["value"] == pytest.approx(
        differential["white_count"]["corrected"] * 6 / 21, abs=1e-3
    )
    assert settings["white cell count"] == "8 x 10^9/L"
    assert settings["cells at an edge"] == "counted"
    assert settings["sex"] == "female"
    assert settings["age"] == "40 years"
    assert re.fullmatch(r"a file of the laboratory's, sha256 [0-9a-f]{64}", settings["reference ranges"])


def shipped_ranges() -> Path:
    return Path(leukolens.__file__).parent / "differential" / "ranges.toml"


def test_an_image_that_cannot_be_read_costs_the_others_nothing(
    square_reader: Any, smear: Path, tmp_path: Path
) -> None:
    good = document(smear, "--out", tmp_path / "good")["samples"][0]
    (smear / "1a.jpg").write_text("no image")
    (smear / "1b.png").touch()
    (smear / "1c.png").touch()
    os.mkfifo(smear / "1d.png") if hasattr(os, "mkfifo") else None
    broken = document(smear, smear / "gone.png", "--out", tmp_path / "out", code=1)
    smear_sample, loose = broken["samples"]
    failed = {
        Path(field["path"]).name: field["reason"]
        for field in smear_sample["fields"]
        if field["status"] == "failed"
    }
    assert failed.keys() >= {"1a.jpg", "1b.png", "1c.png"}
    assert "no image" in failed["1a.jpg"]
    assert "empty" in failed["1b.png"]
    assert smear_sample["differential"] == good["differential"]
    assert "no such file" in loose["fields"][0]["reason"]
    assert (loose["name"], loose["differential"]["denominator"]) == ("sample", 0)
    result = read(smear, "--out", tmp_path / "out")
    assert result.exit_code == 1
    total, bad = len(smear_sample["fields"]), len(failed)
    assert result.stderr == f"{bad} of {total} fields could not be read; the report says why.\n"
    assert f"Not read: {smear / '1a.jpg'}: is no image" in result.stdout


def test_copies_of_a_field_count_once(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    expected = document(smear, "--out", tmp_path / "out")["samples"][0]["differential"]
    shutil.copy(smear / "0.png", smear / "copy of 0.png")
    result = read(smear, smear / ".." / "smear", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0
    assert result.stderr == "1 field left out: copies of another one of the same sample.\n"
    (sample,) = json.loads(result.stdout)["samples"]
    assert sample["differential"] == expected
    assert len(sample["fields"]) == 3


# The files


def test_every_format_has_its_file(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    result = read(
        smear,
        "--out",
        tmp_path / "out",
        "--format",
        "html,csv",
        "--format",
        "json, GeoJSON,coco",
        "--format",
        "fhir",
    )
    assert result.exit_code == 0, result.stderr
    folder = tmp_path / "out" / "smear"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "report.html", "cells.csv", "differential.csv", "report.json", "coco.json", "fhir.json",
        "geojson/field-001.geojson", "geojson/field-002.geojson", "geojson/field-003.geojson",
    }  # fmt: skip


def test_the_usual_formats(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    assert read(smear, "--out", tmp_path / "out").exit_code == 0
    folder = tmp_path / "out" / "smear"
    assert {path.name for path in folder.iterdir()} == {
        "report.html",
        "cells.csv",
        "differential.csv",
        "report.json",
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"smear", "journal.jsonl", "journal.lock"}


def test_no_name_leaves_in_a_file_unless_asked(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    (smear / "0.png").rename(smear / "Jane Doe 1970.png")
    (smear / "Jane Doe broken.png").write_text("nothing")
    secret = smear.rename(tmp_path / "ward 7")
    formats = ("--format", "html,csv,json,geojson,coco,fhir")
    arguments = (secret, "--name", "S1", *formats)
    assert read(*arguments, "--out", tmp_path / "out").exit_code == 1
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) == 11
    for path in written:
        content = path.read_bytes()
        assert b"Jane" not in content, path
        assert b"ward" not in content, path
    assert read(*arguments, "--out", tmp_path / "named", "--names").exit_code == 1
    with_names = {
        path.name
        for path in (tmp_path / "named" / "S1").iterdir()
        if path.is_file() and b"Jane Doe 1970" in path.read_bytes()
    }
    assert with_names >= {"report.html", "cells.csv", "report.json", "coco.json"}


def test_the_page_has_pictures_only_of_what_was_read(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    from leukolens.cli.read_outputs import pixels
    from leukolens.reading.cell import FieldReading

    (reading,) = square_reader.read([smear / "0.png"])
    shown = pixels(reading)
    assert shown is not None
    assert shown.shape == (reading.height, reading.width, 3)
    shutil.copy(smear / "1.png", smear / "0.png")
    assert pixels(reading) is None
    (smear / "0.png").unlink()
    assert pixels(reading) is None
    assert isinstance(reading, FieldReading)


def test_fields_of_an_earlier_run_do_not_stay(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    for expected in (3, 2):
        assert read(smear, "--out", tmp_path / "out", "--format", "geojson").exit_code == 0
        assert len(list((tmp_path / "out" / "smear" / "geojson").iterdir())) == expected
        (smear / "2.png").unlink(missing_ok=True)


def test_samples_have_folders_of_their_own(
    square_reader: Any, smear: Path, tmp_path: Path, squares: ModuleType
) -> None:
    (tmp_path / "other").mkdir()
    smear.rename(tmp_path / "other" / "smear")
    again = tmp_path / "smear"
    again.mkdir()
    squares.draw(again / "x.png", ["basophil"])
    found = document(tmp_path / "other", again, "--out", tmp_path / "out", "--format", "json")
    assert [sample["name"] for sample in found["samples"]] == ["smear", "smear-2"]
    for sample in found["samples"]:
        (alone,) = json.loads((tmp_path / "out" / sample["name"] / "report.json").read_text())["samples"]
        assert alone["differential"] == sample["differential"]


# What people see


def test_lines_for_a_pipe(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = read(smear, "--out", out)
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [line.split("\t") for line in result.stdout.splitlines() if "\t" in line]
    assert rows[0][:6] == ["sample", "class", "count", "percent", "low", "high"]
    assert {len(row) for row in rows} == {12}
    assert {row[1]: row[2] for row in rows[1:]}["Neutrophil"] == "11"
    assert rows[-1][:3] == ["smear", "Unsure", "1"]
    assert "3 fields, 20 white cells counted; not counted: 1 unsure, 1 cut by an edge." in result.stdout
    assert result.stdout.splitlines()[-1] == f"Report: {out / 'smear' / 'report.html'}"
    with (out / "smear" / "differential.csv").open(encoding="utf-8") as stream:
        assert sum(1 for _ in csv.reader(stream)) > 5


def test_quiet_says_nothing_but_failures(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    result = read(smear, "--out", tmp_path / "out", "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    (smear / "broken.png").touch()
    result = read(smear, "--out", tmp_path / "out", "--quiet")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "1 of 4 fields could not be read; the report says why.\n"


# What it costs


def test_memory_does_not_grow_with_the_fields(
    square_reader: Any, squares: ModuleType, tmp_path: Path
) -> None:
    """Pixels of one field at a time are alive, however many there are."""
    import tracemalloc

    def peak(number: int) -> int:
        folder = tmp_path / f"of {number}"
        folder.mkdir()
        for place in range(number):
            squares.draw(folder / f"{place:03d}.png", ["neutrophil"], seed=place)
        tracemalloc.start()
        assert read(folder, "--out", tmp_path / "out", "--quiet", "--format", "html,json").exit_code == 0
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(2)
    few, many = peak(20), peak(120)
    assert many - few < 100 * squares.WIDTH * squares.HEIGHT * 3
