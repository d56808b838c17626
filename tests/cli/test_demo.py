"""`leukolens demo`, driven end to end with a reader that knows the answers, and with the shipped bundle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import leukolens
from leukolens.bundle import Bundle
from leukolens.cli import demo as command
from leukolens.cli.main import app
from leukolens.datasets.synthetic import DRAWN_CLASSES, DrawnField
from leukolens.imaging.decode import decode
from leukolens.reading.cell import Cell, FieldReading

HONEST = "This shows the way it works, not how good it is"


@dataclass
class KnowingReader:
    """Finds what was drawn, but the first cell of the first field, and takes basophils for lymphocytes."""

    bundle: Bundle
    engine: str = "knowing 1.0"
    drawn: dict[bytes, DrawnField] = field(default_factory=dict)

    def read(self, sources: Iterable[Path]) -> Iterator[FieldReading]:
        for number, source in enumerate(sources):
            known = self.drawn[decode(source).tobytes()].cells[number == 0 :]
            cells = tuple(Cell(cell.box, {self.called(cell.label): 1.0}, "accept", "") for cell in known)
            digest = hashlib.sha256(source.read_bytes()).hexdigest()
            yield FieldReading(source, "ok" if cells else "no_cell", None, digest, 640, 480, cells)

    def called(self, label: str) -> str:
        return "lymphocyte" if label == "basophil" else label


Knowing = Callable[..., KnowingReader]


@pytest.fixture
def knowing(make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch) -> Knowing:
    """Puts a knowing reader in the real one's place."""

    def use(**made: Any) -> KnowingReader:
        reader = KnowingReader(make_bundle(**made))
        draw = command._drawn

        def remembered(*arguments: Any) -> list[DrawnField]:
            fields = draw(*arguments)
            reader.drawn.update({field.rgb.tobytes(): field for field in fields})
            return fields

        monkeypatch.setattr("leukolens.cli.demo._drawn", remembered)
        monkeypatch.setattr("leukolens.cli.read.open_reader", lambda *given: reader)
        return reader

    return use


def demo(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["demo", *map(str, arguments)])


def document(*arguments: object) -> dict[str, Any]:
    result = demo(*arguments, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    read: dict[str, Any] = json.loads(result.stdout)
    return read


def test_it_shows_drawn_against_found_and_says_what_that_is_worth(knowing: Knowing, tmp_path: Path) -> None:
    knowing()
    out = tmp_path / "out"
    result = demo("--out", out, "--count", 20)
    assert (result.exit_code, result.stderr) == (0, "")
    header, *rows = [line.split("\t") for line in result.stdout.splitlines() if "\t" in line]
    assert header == ["class", "drawn", "percent", "found", "percent", "low", "high"]
    drawn = {row[0].lower(): int(row[1]) for row in rows}
    found = {row[0].lower(): int(row[3]) for row in rows}
    assert sum(drawn.values()) == 20
    assert all(drawn[label] >= 1 for label in DRAWN_CLASSES)
    assert sum(found.values()) == 19
    assert found["basophil"] == 0
    sum_, summary, note, *paths = [line for line in result.stdout.splitlines() if "\t" not in line]
    assert sum_ == "5 fields, 19 white cells counted."
    assert summary.startswith("19 of 20 drawn cells found, ")
    assert note.startswith(HONEST)
    assert paths == [
        f"Report: {out / 'drawn' / 'report.html'}",
        f"Picture: {out / 'demo.png'}",
        f"Drawn fields: {out / 'fields'}",
    ]


def test_the_document_holds_what_was_drawn_and_the_sample(knowing: Knowing, tmp_path: Path) -> None:
    reader = knowing()
    read = document("--out", tmp_path, "--count", 10, "--seed", 3)
    assert read["schema"] == "leukolens.demo/2"
    assert read["leukolens"] == leukolens.__version__
    assert read["bundle"] == {"name": "tiny", "sha256": reader.bundle.sha256}
    assert read["seed"] == 3
    assert read["note"].startswith(HONEST)
    cells = [cell for field in read["drawn"]["fields"] for cell in field]
    assert [len(field) for field in read["drawn"]["fields"]] == [4, 4, 2]
    classes = read["drawn"]["classes"]
    assert sum(classes.values()) == 10
    assert {label: sum(cell["class"] == label for cell in cells) for label in classes} == classes
    for x0, y0, x1, y1 in (cell["box"] for cell in cells):
        assert 0 <= x0 < x1 <= 640
        assert 0 <= y0 < y1 <= 480
    missed = cells[0]["class"]
    basophils = classes["basophil"] - (missed == "basophil")
    assert read["score"] == {"drawn": 10, "found": 9, "as_drawn": 9 - basophils, "extra": 0}
    assert read["sample"]["differential"]["denominator"] == 9
    assert [len(field["cells"]) for field in read["sample"]["fields"]] == [3, 4, 2]
    assert Path(read["report"]).is_file()
    assert Path(read["picture"]).is_file()


def test_reading_the_drawn_fields_gives_the_same_sample(knowing: Knowing, tmp_path: Path) -> None:
    knowing()
    read = document("--out", tmp_path / "demo", "--count", 8)
    result = CliRunner().invoke(
        app,
        [
            "read",
            str(tmp_path / "demo" / "fields"),
            "--name",
            "drawn",
            "--out",
            str(tmp_path / "read"),
            "--json",
        ],
    )
    assert json.loads(result.stdout)["samples"] == [read["sample"]]


def test_the_folder_holds_report_picture_and_drawn_fields(knowing: Knowing, tmp_path: Path) -> None:
    reader = knowing()
    for count, expected in ((9, 3), (5, 2)):
        read = document("--out", tmp_path, "--count", count)
        fields = sorted((tmp_path / "fields").iterdir())
        assert [path.name for path in fields] == [
            f"drawn-{number:03d}.png" for number in range(1, expected + 1)
        ]
        assert all(decode(path).tobytes() in reader.drawn for path in fields)
    names = {path.name for path in (tmp_path / "drawn").iterdir()}
    assert names == {"report.html", "cells.csv", "differential.csv", "report.json"}
    with Image.open(read["picture"]) as picture:
        assert picture.width > 1000


def test_equal_seeds_give_equal_pictures_and_others_do_not(knowing: Knowing, tmp_path: Path) -> None:
    knowing()
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        document("--out", tmp_path / name, "--count", 4, "--seed", seed)
    first, again, other = ((tmp_path / name / "demo.png").read_bytes() for name in "abc")
    assert first == again
    assert first != other


@pytest.mark.parametrize("count", [1, 3, 5])
def test_small_samples_have_as_many_cells_as_asked_for(knowing: Knowing, count: int) -> None:
    labels = command._labels(knowing(), np.random.default_rng(0), count)
    assert len(labels) == count
    assert len(set(labels)) == count


def test_only_what_the_bundle_can_name_is_drawn(knowing: Knowing, tmp_path: Path) -> None:
    knowing(classes=("lymphocyte", "other"))
    read = document("--out", tmp_path, "--count", 2)
    assert read["drawn"]["classes"] == {"lymphocyte": 2}


def test_a_bundle_that_knows_no_drawn_class_is_told_so(knowing: Knowing, tmp_path: Path) -> None:
    knowing(classes=("immature_granulocyte", "other"))
    result = demo("--out", tmp_path)
    assert result.exit_code == 1
    assert "knows none of the drawn classes" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_folder_that_cannot_be_made_is_one_line_and_exit_1(knowing: Knowing, tmp_path: Path) -> None:
    knowing()
    (tmp_path / "file").touch()
    result = demo("--out", tmp_path / "file" / "inside", "--count", 1)
    assert result.exit_code == 1
    assert "cannot be made" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [("--count", 0), ("--count", 401), ("--seed", -1)])
def test_wrong_numbers_are_wrong_usage(arguments: tuple[str, int], tmp_path: Path) -> None:
    assert demo(*arguments, "--out", tmp_path).exit_code == 2


def test_the_shipped_bundle_finds_most_cells_as_drawn(shipped_bundle: Bundle, tmp_path: Path) -> None:
    read = document("--out", tmp_path, "--seed", 1)
    assert read["bundle"] == {"name": shipped_bundle.card.name, "sha256": shipped_bundle.sha256}
    assert read["score"]["drawn"] == 40
    assert read["score"]["found"] >= 38
    assert read["score"]["as_drawn"] >= 30
    assert read["score"]["extra"] <= 2
