"""What reading answers says its own most probable class."""

from __future__ import annotations

import dataclasses

import pytest

from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, ImageReading


def test_the_label_is_the_most_probable_class() -> None:
    assert Cell(Box(0, 0, 1, 1), {"neutrophil": 0.2, "monocyte": 0.8}, "accept", "").label == "monocyte"


def test_the_first_of_equals_is_the_label() -> None:
    assert Cell(Box(0, 0, 1, 1), {"neutrophil": 0.5, "monocyte": 0.5}, "review", "").label == "neutrophil"


def test_readings_do_not_change() -> None:
    from pathlib import Path

    reading = ImageReading(Path("a.png"), "no_cell", "nothing")
    assert reading.cells == ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        reading.status = "ok"  # type: ignore[misc]


def test_what_a_person_says_does_not_change_what_the_machine_said() -> None:
    cell = Cell(Box(0, 0, 1, 1), {"neutrophil": 0.9, "monocyte": 0.1}, "accept", "", reviewed="blast")
    assert cell.label == "neutrophil"


@pytest.mark.parametrize(("said", "label"), [("blast", "blast"), ("unsure", "other"), (None, "other")])
def test_a_drawn_cell_is_what_a_person_says(said: str | None, label: str) -> None:
    assert Cell(Box(0, 0, 1, 1), {}, "review", "", reviewed=said).label == label
