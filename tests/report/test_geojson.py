"""GeoJSON holds the report's cells as QuPath reads them, and nothing of what the images are called."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from leukolens.differential.counts import Differential
from leukolens.errors import ReportError
from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, Decision, FieldReading
from leukolens.report.geojson import collection, write_geojson
from leukolens.report.sample import Origin, SampleReport, tally
from leukolens.taxonomy import CLASS_KEYS, cell_class

MARK = "Jane-Doe-1962"


def cell(
    label: str, box: Box, decision: Decision = "accept", *, at_edge: bool = False, score: float = 0.875
) -> Cell:
    rest = 0.25 / (len(CLASS_KEYS) - 1)
    probabilities = {key: 0.75 if key == label else rest for key in CLASS_KEYS}
    return Cell(box, probabilities, decision, "in words", at_edge=at_edge, score=score)


FIELDS = (
    FieldReading(
        Path(MARK) / f"{MARK}.1.png",
        "ok",
        None,
        "a" * 64,
        640,
        480,
        (
            cell("neutrophil", Box(10, 20, 70, 90)),
            cell("monocyte", Box(100, 120, 190, 200), "review"),
            cell("lymphocyte", Box(0, 300, 30, 360), at_edge=True, score=0.5),
            cell("other", Box(400, 300, 450, 340), "review"),
        ),
    ),
    FieldReading(
        Path(MARK) / f"{MARK}.2.png", "failed", f"{MARK}/{MARK}.2.png: the file is empty", "b" * 64, 0, 0
    ),
    FieldReading(Path(MARK) / f"{MARK}.3.png", "no_cell", "no white cell found", "c" * 64, 320, 240),
)


def sample(*, count_edges: bool = False) -> SampleReport:
    counted = tally(FIELDS, CLASS_KEYS, count_edges=count_edges)
    differential = Differential(counted, (), None, None, None, "", ())
    return SampleReport("S-1", FIELDS, differential, (), Origin("0.1.0", "tiny", "d" * 64, "made up"))


def features(report: SampleReport) -> list[dict[str, Any]]:
    return collection(report, 1)["features"]  # type: ignore[no-any-return]


class TestFiles:
    def test_one_for_each_field_that_was_read_in_its_place(self, tmp_path: Path) -> None:
        folder = tmp_path / "new" / "folder"
        written = write_geojson(sample(), folder)
        assert written == (folder / "field-001.geojson", folder / "field-003.geojson")
        assert set(folder.iterdir()) == set(written)

    def test_each_holds_its_field(self, tmp_path: Path) -> None:
        write_geojson(sample(), tmp_path)
        for number in (1, 3):
            text = (tmp_path / f"field-{number:03d}.geojson").read_text(encoding="ascii")
            assert json.loads(text) == collection(sample(), number)
            assert len(text.splitlines()) == len(FIELDS[number - 1].cells) + 2

    def test_equal_reports_give_equal_bytes(self, tmp_path: Path) -> None:
        for folder in ("a", "b"):
            write_geojson(sample(), tmp_path / folder)
        one, other = ((tmp_path / folder / "field-001.geojson").read_bytes() for folder in ("a", "b"))
        assert one == other

    def test_a_folder_that_cannot_be_made_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(ReportError, match="file cannot be made"):
            write_geojson(sample(), tmp_path / "file")


class TestCells:
    def test_boxes_are_the_reports(self) -> None:
        for feature, found in zip(features(sample()), FIELDS[0].cells, strict=True):
            ring = feature["geometry"]["coordinates"][0]
            x, y = zip(*ring, strict=True)
            assert Box(min(x), min(y), max(x), max(y)) == found.box

    def test_rings_are_closed_and_turn_as_rfc_7946_says(self) -> None:
        for feature, found in zip(features(sample()), FIELDS[0].cells, strict=True):
            assert feature["geometry"]["type"] == "Polygon"
            (ring,) = feature["geometry"]["coordinates"]
            assert ring[0] == ring[-1]
            assert len(ring) == 5
            turning = sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring)) / 2
            assert turning == found.box.width * found.box.height  # positive: counter-clockwise

    def test_probabilities_and_score_are_the_reports(self) -> None:
        for feature, found in zip(features(sample()), FIELDS[0].cells, strict=True):
            measured = feature["properties"]["measurements"]
            assert measured.pop("score") == found.score
            assert measured == {
                f"probability {key}": pytest.approx(value, abs=5e-7)
                for key, value in found.probabilities.items()
            }

    def test_each_says_what_became_of_it(self) -> None:
        said = [
            {key: feature["properties"][key] for key in ("class", "decision", "counted_as", "at_edge")}
            for feature in features(sample())
        ]
        assert said == [
            {"class": "neutrophil", "decision": "accept", "counted_as": "neutrophil", "at_edge": False},
            {"class": "monocyte", "decision": "review", "counted_as": "unsure", "at_edge": False},
            {"class": "lymphocyte", "decision": "accept", "counted_as": "at_edge", "at_edge": True},
            {"class": "other", "decision": "review", "counted_as": "not_leukocyte", "at_edge": False},
        ]

    def test_only_what_was_counted_has_its_class_alone(self) -> None:
        given = [feature["properties"]["classification"] for feature in features(sample())]
        assert given == [
            {"name": "Neutrophil", "color": [0, 114, 178]},
            {"names": ["Monocyte", "unsure"], "color": [204, 121, 167]},
            {"names": ["Lymphocyte", "at edge"], "color": [0, 158, 115]},
            {"name": "Other", "color": [102, 102, 102]},
        ]

    def test_a_cell_at_the_edge_counts_where_the_tally_counted_it(self) -> None:
        edge = features(sample(count_edges=True))[2]["properties"]
        assert edge["counted_as"] == "lymphocyte"
        assert edge["classification"]["name"] == "Lymphocyte"

    @pytest.mark.parametrize("key", CLASS_KEYS)
    def test_every_class_has_the_taxonomys_colour(self, key: str) -> None:
        field = replace(FIELDS[0], cells=(cell(key, Box(0, 0, 9, 9)),))
        (feature,) = features(replace(sample(), fields=(field,)))
        assert feature["properties"]["classification"]["color"] == list(cell_class(key).rgb)


class TestAsQuPathReadsIt:
    """What QuPath's own reader does with each key (QuPathTypeAdapters.java, GsonTools.java, version 0.4 on)."""

    def test_ids_are_uuids_and_no_two_are_alike(self) -> None:
        twice = replace(sample(), fields=(FIELDS[0], FIELDS[0]))
        ids = [feature["id"] for number in (1, 2) for feature in collection(twice, number)["features"]]
        assert len({UUID(identity) for identity in ids}) == 8

    def test_objects_are_detections_named_by_their_number(self) -> None:
        said = [feature["properties"] for feature in features(sample())]
        assert [entry["objectType"] for entry in said] == ["detection"] * 4
        assert [entry["name"] for entry in said] == ["1", "2", "3", "4"]

    def test_a_class_has_a_name_or_names_and_a_colour_of_three(self) -> None:
        for feature in features(sample()):
            given = feature["properties"]["classification"]
            assert ("name" in given) != ("names" in given)
            # A colon would make two classes of one name.
            assert not any(":" in name for name in given.get("names", [given.get("name")]))
            assert all(isinstance(value, int) and 0 <= value <= 255 for value in given["color"])
            assert len(given["color"]) == 3

    def test_measurements_are_finite_numbers_and_metadata_words(self) -> None:
        for feature in features(sample()):
            assert all(isinstance(v, float) for v in feature["properties"]["measurements"].values())
            assert all(isinstance(v, str) for v in feature["properties"]["metadata"].values())
            assert feature["properties"]["metadata"]["decision"] == feature["properties"]["decision"]

    def test_nothing_is_null(self, tmp_path: Path) -> None:
        write_geojson(sample(), tmp_path, names=True)
        for path in tmp_path.iterdir():
            assert "null" not in path.read_text()


class TestNames:
    def test_no_file_name_leaves(self, tmp_path: Path) -> None:
        write_geojson(sample(), tmp_path)
        for path in tmp_path.iterdir():
            assert MARK not in path.name + path.read_text()

    def test_it_leaves_where_asked(self, tmp_path: Path) -> None:
        write_geojson(sample(), tmp_path, names=True)
        about = json.loads((tmp_path / "field-001.geojson").read_text())["about"]
        assert about["path"] == str(FIELDS[0].path)
        assert about["sample"] == "S-1"
        assert MARK not in "".join(path.name for path in tmp_path.iterdir())

    @pytest.mark.parametrize("name", ["../../up", "a/b", 'quo"te', "new\nline", "caf\udce9", "\x00", "CON"])
    def test_a_hostile_name_is_words_and_no_path(self, tmp_path: Path, name: str) -> None:
        folder = tmp_path / "out"
        write_geojson(replace(sample(), name=name), folder, names=True)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        text = (folder / "field-001.geojson").read_text(encoding="ascii")
        assert json.loads(text)["about"]["sample"].isprintable()
