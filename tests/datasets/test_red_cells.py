from __future__ import annotations

from pathlib import Path

import pytest

from leukolens.datasets.base import Sample
from leukolens.datasets.bccd import Bccd
from leukolens.datasets.boxes import LabelledBox
from leukolens.datasets.folder import Folder
from leukolens.datasets.red_cells import red_cells_beside
from leukolens.errors import DataError
from leukolens.imaging.framing import Box

WHITE, NEAR, FAR, FARTHER, PLATELET = (
    Box(100, 100, 200, 200), Box(210, 100, 260, 150), Box(400, 100, 450, 150), Box(400, 300, 450, 350),
    Box(10, 10, 20, 20),
)  # fmt: skip


@pytest.fixture
def photograph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Bccd, Sample]:
    """One of a white cell, a red cell too close to it, two farther off, and a platelet."""
    for landmark in Bccd.landmarks:
        (tmp_path / landmark).mkdir()
    drawn = (
        LabelledBox("white_cell", WHITE),
        LabelledBox("red_cell", NEAR),
        LabelledBox("platelet", PLATELET),
        LabelledBox("red_cell", FAR),
        LabelledBox("red_cell", FARTHER),
    )
    monkeypatch.setattr(Bccd, "boxes", lambda self, path: drawn)
    return Bccd(tmp_path), Sample(tmp_path / "a.jpg", "monocyte", "blood-cells", "train", "one", "a field")


def test_red_cells_apart_from_white_ones_are_other_and_stay_with_their_photograph(
    photograph: tuple[Bccd, Sample],
) -> None:
    dataset, sample = photograph
    found = list(red_cells_beside(dataset, [sample], 4))
    assert [red.box for red in found] == [FAR, FARTHER]
    for red in found:
        assert (red.path, red.lab, red.split, red.group, red.field) == (
            sample.path, "blood-cells", "train", "one", "a field",
        )  # fmt: skip
        assert red.label == "other"


def test_a_photograph_gives_so_many_at_most(photograph: tuple[Bccd, Sample]) -> None:
    dataset, sample = photograph
    assert [red.box for red in red_cells_beside(dataset, [sample, sample], 1)] == [FAR, FAR]


def test_a_set_without_boxes_is_named(tmp_path: Path) -> None:
    (tmp_path / "monocyte").mkdir()
    with pytest.raises(DataError, match="has no boxes of red cells"):
        list(red_cells_beside(Folder(tmp_path), [], 1))
