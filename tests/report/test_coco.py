"""The COCO document holds the report's cells, and pycocotools reads it."""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from leukolens.differential.counts import Differential
from leukolens.errors import ReportError
from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, Decision, FieldReading
from leukolens.report.coco import CATEGORY_IDS, document, write_coco
from leukolens.report.sample import Origin, SampleReport, tally
from leukolens.taxonomy import CLASS_KEYS

MARK = "Jane-Doe-1962"


def cell(
    label: str, box: Box, decision: Decision = "accept", *, at_edge: bool = False, score: float = 0.875
) -> Cell:
    rest = 0.25 / (len(CLASS_KEYS) - 1)
    probabilities = {key: 0.75 if key == label else rest for key in CLASS_KEYS}
    return Cell(box, probabilities, decision, "in words", at_edge=at_edge, score=score)


def field(number: int, *cells: Cell, failed: bool = False) -> FieldReading:
    status, size = ("failed", (0, 0)) if failed else ("ok", (640, 480))
    path = Path(MARK) / f"{MARK}.{number}.png"
    return FieldReading(path, status, f"{path} is bad" if failed else None, f"{number:064x}", *size, cells)  # type: ignore[arg-type]


FIELDS = (
    field(
        1,
        cell("neutrophil", Box(10, 20, 70, 90)),
        cell("monocyte", Box(100, 120, 190, 200), "review", score=0.625),
    ),
    field(2, failed=True),
    field(3, cell("lymphocyte", Box(0, 300, 30, 360), at_edge=True), cell("other", Box(400, 300, 450, 340))),
)


def sample(*, count_edges: bool = False) -> SampleReport:
    counted = tally(FIELDS, CLASS_KEYS, count_edges=count_edges)
    differential = Differential(counted, (), None, None, None, "", ())
    return SampleReport("S-1", FIELDS, differential, (), Origin("0.1.0", "tiny", "d" * 64, "made up"))


def read_back(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "coco.json"
    write_coco(sample(), path)
    return path


class TestAsPycocotoolsReadsIt:
    def test_images_that_were_read_are_there_with_their_sizes(self, written: Path) -> None:
        coco = read_back(written)
        assert [
            (image["id"], image["width"], image["height"], image["file_name"])
            for image in coco.loadImgs(coco.getImgIds())
        ] == [(1, 640, 480, "field-001"), (3, 640, 480, "field-003")]

    def test_boxes_and_areas_are_the_reports(self, written: Path) -> None:
        coco = read_back(written)
        for number, reading in enumerate(FIELDS, start=1):
            found = coco.loadAnns(coco.getAnnIds(imgIds=[number]))
            for annotation, read in zip(found, reading.cells, strict=True):
                x, y, width, height = annotation["bbox"]
                assert Box(x, y, x + width, y + height) == read.box
                assert annotation["area"] == width * height
                assert annotation["iscrowd"] == 0
                assert annotation["score"] == read.score
                assert coco.loadCats(annotation["category_id"])[0]["name"] == read.label

    def test_categories_stand_in_the_taxonomys_order(self, written: Path) -> None:
        coco = read_back(written)
        assert [entry["name"] for entry in coco.loadCats(coco.getCatIds())] == list(CLASS_KEYS)
        assert coco.getCatIds(supNms=["other"]) == [CATEGORY_IDS["other"]]

    def test_measured_against_itself_it_is_perfect(self, written: Path) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(str(written))
            results = [
                {key: entry[key] for key in ("image_id", "category_id", "bbox", "score")}
                for entry in json.loads(written.read_text())["annotations"]
            ]
            scoring = COCOeval(truth, truth.loadRes(results), "bbox")
            scoring.evaluate()
            scoring.accumulate()
            scoring.summarize()
        np.testing.assert_allclose(scoring.stats[:2], 1.0)


class TestDocument:
    def test_each_cell_says_what_became_of_it(self) -> None:
        said = [entry["attributes"] for entry in document(sample())["annotations"]]
        assert [(a["decision"], a["counted_as"], a["at_edge"]) for a in said] == [
            ("accept", "neutrophil", False),
            ("review", "unsure", False),
            ("accept", "at_edge", True),
            ("accept", "not_leukocyte", False),
        ]
        assert {a["probability"] for a in said} == {0.75}

    @pytest.mark.parametrize("count_edges", [False, True])
    def test_its_counts_are_the_tallys(self, count_edges: bool) -> None:
        report = sample(count_edges=count_edges)
        counted = report.differential.tally
        places = Counter(a["attributes"]["counted_as"] for a in document(report)["annotations"])
        assert +Counter(counted.counts) == Counter({k: n for k, n in places.items() if k in counted.counts})
        assert (places["unsure"], places["at_edge"]) == (counted.unsure, counted.at_edge)
        assert places["not_leukocyte"] == counted.not_leukocyte

    def test_ids_never_change(self) -> None:
        # Written once: a file of today must mean the same in ten years. Only add.
        assert {
            "neutrophil": 1,
            "eosinophil": 2,
            "basophil": 3,
            "lymphocyte": 4,
            "monocyte": 5,
            "immature_granulocyte": 6,
            "other": 7,
        }.items() <= CATEGORY_IDS.items()

    def test_every_class_has_an_id_of_its_own(self) -> None:
        assert list(CATEGORY_IDS) == list(CLASS_KEYS)
        assert len(set(CATEGORY_IDS.values())) == len(CATEGORY_IDS)

    def test_a_sample_without_a_cell_is_a_document_too(self, tmp_path: Path) -> None:
        write_coco(replace(sample(), fields=(field(1),)), tmp_path / "coco.json")
        assert read_back(tmp_path / "coco.json").getAnnIds() == []

    def test_equal_reports_give_equal_bytes(self, written: Path, tmp_path: Path) -> None:
        write_coco(sample(), tmp_path / "again.json")
        assert written.read_bytes() == (tmp_path / "again.json").read_bytes()

    def test_a_file_that_cannot_be_written_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(ReportError, match=r"coco\.json cannot be written"):
            write_coco(sample(), tmp_path / "nowhere" / "coco.json")


class TestNames:
    def test_no_file_name_leaves(self, written: Path) -> None:
        assert MARK not in written.read_text()

    def test_it_leaves_where_asked(self, tmp_path: Path) -> None:
        write_coco(sample(), tmp_path / "coco.json", names=True)
        content = json.loads((tmp_path / "coco.json").read_text())
        assert [image["file_name"] for image in content["images"]] == [
            str(FIELDS[0].path),
            str(FIELDS[2].path),
        ]
        assert content["info"]["sample"] == "S-1"

    @pytest.mark.parametrize("name", ["../../up", 'quo"te', "new\nline", "caf\udce9", "\x00", "=cmd()"])
    def test_a_hostile_name_is_words(self, tmp_path: Path, name: str) -> None:
        write_coco(replace(sample(), name=name), tmp_path / "coco.json", names=True)
        text = (tmp_path / "coco.json").read_text(encoding="ascii")
        assert json.loads(text)["info"]["sample"].isprintable()
        assert [path.name for path in tmp_path.iterdir()] == ["coco.json"]
