"""Found boxes against labelled ones, beside pycocotools and figures worked out by hand."""

from __future__ import annotations

import contextlib
import io
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from leukolens.evaluation.detection import (
    Counted,
    Matched,
    average_precision,
    best_threshold,
    counted,
    matched,
)

Boxes = NDArray[np.float64]
Field = tuple[Boxes, NDArray[np.float64], Boxes]
"""Found boxes, their scores, labelled boxes."""


def box(x: float, y: float, side: float = 10) -> list[float]:
    return [x, y, x + side, y + side]


def field_of(scores: list[float], right: list[bool], labelled: int) -> Matched:
    return Matched(np.array(scores), np.array(right), labelled)


def invented(seed: int, fields: int = 12) -> list[Field]:
    """Fields where most cells are found, some twice, some poorly, some not, and some finds are nothing."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(fields):
        corner = rng.uniform(0, 200, (rng.integers(0, 9), 2))
        labelled = np.concatenate([corner, corner + rng.uniform(20, 60, corner.shape)], axis=1)
        near = labelled[rng.random(len(labelled)) < 0.8].repeat(rng.integers(1, 3), 0)
        near = near + rng.normal(0, 4, near.shape)
        stray = rng.uniform(0, 200, (rng.integers(0, 4), 2))
        boxes = np.concatenate([near, np.concatenate([stray, stray + 35], axis=1)])
        made.append((boxes, rng.permutation(len(boxes)) / 100 + rng.random() / 1000, labelled))
    return made


def coco(fields: list[Field], same: float) -> Any:
    """pycocotools' evaluation of the same boxes, any number of finds, all sizes."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def entry(number: int, corners: Any) -> dict[str, Any]:
        x0, y0, x1, y1 = (float(value) for value in corners)
        wide, high = x1 - x0, y1 - y0
        return {"image_id": number + 1, "category_id": 1, "bbox": [x0, y0, wide, high], "area": wide * high}

    truth, found = [], []
    for number, (boxes, scores, labelled) in enumerate(fields):
        truth += [entry(number, corners) for corners in labelled]
        found += [{**entry(number, c), "score": float(s)} for c, s in zip(boxes, scores, strict=True)]
    document = {
        "images": [{"id": number + 1} for number in range(len(fields))],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [{**each, "id": place + 1, "iscrowd": 0} for place, each in enumerate(truth)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        annotated = COCO()
        annotated.dataset = document
        annotated.createIndex()
        judge = COCOeval(annotated, annotated.loadRes(found), "bbox")
        judge.params.iouThrs = np.array([same])
        judge.params.maxDets = [1000]
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.params.recThrs = np.linspace(0, 1, 100_001)
        judge.evaluate()
        judge.accumulate()
    return judge


@pytest.mark.parametrize("same", [0.5, 0.75])
@pytest.mark.parametrize("seed", range(4))
def test_matches_and_average_precision_are_those_of_pycocotools(seed: int, same: float) -> None:
    fields = invented(seed)
    own = [matched(*field, same=same) for field in fields]
    judge = coco(fields, same)
    for mine, theirs in zip(own, judge.evalImgs, strict=True):
        if theirs is None:
            assert (len(mine.scores), mine.labelled) == (0, 0)
            continue
        np.testing.assert_allclose(mine.scores, theirs["dtScores"])
        np.testing.assert_array_equal(mine.right, theirs["dtMatches"][0] > 0)
    assert 0.05 < average_precision(own) < 0.95
    assert average_precision(own) == pytest.approx(judge.eval["precision"].mean(), abs=1e-4)


def test_a_cell_belongs_to_the_best_find_and_to_no_second() -> None:
    boxes = np.array([box(0, 0), box(1, 0), box(30, 30)], np.float64)
    result = matched(boxes, np.array([0.5, 0.9, 0.7]), np.array([box(0, 0), box(60, 60)], np.float64))
    np.testing.assert_array_equal(result.scores, [0.9, 0.7, 0.5])
    np.testing.assert_array_equal(result.right, [True, False, False])
    assert result.labelled == 2


def test_a_find_takes_the_free_cell_that_it_overlaps_most() -> None:
    labelled = np.array([box(0, 0), box(4, 0)], np.float64)
    result = matched(np.array([box(3, 0), box(2, 0)], np.float64), np.array([0.9, 0.8]), labelled)
    assert result.right.tolist() == [True, True]


def test_an_overlap_of_exactly_one_half_is_the_same_cell() -> None:
    labelled = np.array([[0, 0, 10, 10]], np.float64)
    for height, right in ((5.0, True), (4.99, False)):
        found = np.array([[0, 0, 10, height]])
        assert matched(found, np.ones(1), labelled).right.tolist() == [right]


def test_average_precision_worked_out_by_hand() -> None:
    """Right, wrong, right, wrong over two fields, three labelled: (1 + 2/3) / 3."""
    fields = [field_of([0.9, 0.6], [True, True], 2), field_of([0.8, 0.3], [False, False], 1)]
    assert average_precision(fields) == pytest.approx((1 + 2 / 3) / 3)


def test_precision_is_made_to_fall() -> None:
    """Wrong first, then two right: both recalls have the precision 2/3 that the second reaches."""
    assert average_precision([field_of([0.9, 0.8, 0.7], [False, True, True], 2)]) == pytest.approx(2 / 3)


def test_where_nothing_is_labelled_or_found_no_figure_is_invented() -> None:
    nothing = field_of([], [], 0)
    assert math.isnan(average_precision([nothing]))
    assert math.isnan(counted([nothing], 0.5).recall)
    assert math.isnan(counted([nothing], 0.5).precision)
    assert average_precision([field_of([], [], 3)]) == 0
    empty = np.zeros((0, 4))
    assert matched(empty, np.zeros(0), np.array([box(0, 0)], np.float64)).labelled == 1
    assert matched(np.array([box(0, 0)], np.float64), np.ones(1), empty).right.tolist() == [False]


def test_finds_are_counted_from_the_threshold_up() -> None:
    fields = [field_of([0.9, 0.6, 0.2], [True, False, True], 3), field_of([0.6], [True], 1)]
    assert counted(fields, 0.6) == Counted(found=2, missed=2, false=1)
    assert counted(fields, 0.61) == Counted(found=1, missed=3, false=0)
    assert counted(fields, 0.6).recall == 0.5
    assert counted(fields, 0.6).precision == pytest.approx(2 / 3)


def f1(fields: list[Matched], threshold: float) -> float:
    total = counted(fields, threshold)
    return 2 * total.found / max(2 * total.found + total.missed + total.false, 1)


@pytest.mark.parametrize("seed", range(12))
def test_no_threshold_is_right_more_often_than_the_chosen_one(seed: int) -> None:
    fields = [matched(*field) for field in invented(seed, fields=4)]
    chosen = best_threshold(fields)
    assert f1(fields, chosen) == pytest.approx(max(f1(fields, tried) for tried in np.linspace(0, 0.4, 4001)))


def test_of_two_ranges_that_do_as_well_one_is_chosen_not_what_lies_between() -> None:
    """From .8 up and from .3 up, F1 is two thirds; from .5 up, less."""
    fields = [field_of([0.8, 0.5, 0.4, 0.3], [True, False, False, True], 2)]
    assert f1(fields, 0.8) == f1(fields, 0.2)
    assert f1(fields, 0.5) < f1(fields, 0.8)
    assert f1(fields, best_threshold(fields)) == f1(fields, 0.8)


def test_the_threshold_stands_in_the_middle_between_what_is_turned_away_and_what_is_taken() -> None:
    assert best_threshold([field_of([0.9, 0.5, 0.3], [True, True, False], 2)]) == pytest.approx(0.4)
    assert best_threshold([field_of([], [], 2)]) == 0.5
    assert best_threshold([]) == 0.5
