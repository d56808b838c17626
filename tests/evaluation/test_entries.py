"""A measure in JSON: its value and interval, and null where there is none."""

import json

from leukolens.evaluation.answers import Mistake
from leukolens.evaluation.entries import INTERVAL, measured, mistaken, number
from leukolens.evaluation.intervals import Interval
from leukolens.evaluation.measures import Measure
from leukolens.imaging.framing import Box


def test_a_measure_keeps_its_interval():
    assert measured(Measure(0.5, Interval(0.4, 0.6))) == {"value": 0.5, "low": 0.4, "high": 0.6}


def test_without_an_interval_there_are_nulls():
    assert measured(Measure(0.5, None)) == {"value": 0.5, "low": None, "high": None}


def test_what_is_no_number_becomes_null_so_that_strict_json_holds_it():
    assert json.dumps(measured(Measure(float("nan"), None)), allow_nan=False).count("null") == 3
    assert [number(value) for value in (float("inf"), 0.0)] == [None, 0.0]


def test_how_intervals_are_made_is_said():
    assert INTERVAL["resamples"] == 2000
    assert INTERVAL["percent"] == 95


def test_a_mistake_is_written_whole():
    wrong = Mistake("a.png", "a", "monocyte", "neutrophil", 0.9, "accept", Box(1, 2, 3, 4), 5, 6)
    assert mistaken(wrong) == {
        "image": "a.png", "group": "a", "truth": "monocyte", "predicted": "neutrophil", "confidence": 0.9,
        "decision": "accept", "box": [1, 2, 3, 4], "wrong_copies": 5, "copies": 6,
    }  # fmt: skip


def test_where_no_cell_was_found_there_is_no_box():
    assert mistaken(Mistake("a.png", "a", "monocyte", None, 0.0, "no_cell", None, 1, 1))["box"] is None
