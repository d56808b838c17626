"""Scenes: cells stand where their boxes say, at one scale, and nothing of TEST is among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leukolens.datasets.boxes import LabelledBox
from leukolens.datasets.manifest import manifest
from leukolens.errors import DataError, TrainingError
from leukolens.imaging.framing import Box
from leukolens.training.finding import scenes as module
from leukolens.training.finding.scenes import (
    RED_CELL,
    RED_CELL_OF,
    STORED_RED_CELL,
    WHITE_CELL,
    Scene,
    photographs,
    scenes_of,
)


def names_of(split: str) -> Iterator[str]:
    """Photographs of bccd whose field is TEST's, or isn't."""
    for name, entry in sorted(manifest("bccd").items()):
        if name.endswith(".jpg"):
            field = entry.field or entry.group
            if field.startswith("blood-cells/TEST/") == (split == "test"):
                yield name


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a folder of a few of bccd's photographs, each with a dark cell and a red cell in drawn boxes."""

    def make(*names: str) -> Path:
        class Few:
            def __init__(self, root: Path) -> None:
                self.root = root

            def photographs(self) -> list[Path]:
                return [self.root / name for name in names]

            def boxes(self, path: Path) -> tuple[LabelledBox, ...]:
                return (
                    LabelledBox("white_cell", Box(100, 60, 300, 240)),
                    LabelledBox("red_cell", Box(400, 300, 504, 402)),
                )

        for name in names:
            rgb = np.full((480, 640, 3), (200, 190, 195), np.uint8)
            rgb[60:240, 100:300], rgb[300:402, 400:504] = (90, 50, 130), (180, 120, 110)
            path = tmp_path / "bccd" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rgb).save(path, quality=95)
        monkeypatch.setattr(module, "Bccd", Few)
        return tmp_path

    return make


def test_photographs_of_tests_fields_are_left_out_unless_asked_for(few: Callable[..., Path]) -> None:
    test, train = list(names_of("test")), list(names_of("train"))
    assert len(test) >= 71
    assert len(test) + len(train) == 364
    root = few(*test[:3], *train[:2])
    assert [path.name for path, _, _ in photographs(root)] == [Path(name).name for name in train[:2]]
    every = list(photographs(root, with_test=True))
    assert len(every) == 5
    assert sum(field.startswith("blood-cells/TEST/") for _, field, _ in every) == 3
    assert [scene.name for scene in scenes_of("bccd", root)] == [f"bccd/{Path(n).name}" for n in train[:2]]
    assert len(scenes_of("bccd", root, with_test=True)) == 5


def test_a_photograph_of_another_number_than_tests_can_show_tests_field(few: Callable[..., Path]) -> None:
    """Its group is its own, its field a TEST photograph's: it must not teach either."""
    twins = [
        name for name in names_of("test") if not manifest("bccd")[name].group.startswith("blood-cells/TEST/")
    ]
    assert twins
    assert list(photographs(few(*twins))) == []


def test_cells_stand_where_their_boxes_say_and_red_cells_have_the_common_size(
    few: Callable[..., Path],
) -> None:
    (scene,) = scenes_of("bccd", few(next(names_of("train"))))
    scale = STORED_RED_CELL / RED_CELL_OF["bccd"]
    assert scene.pixels.shape == (round(480 * scale), round(640 * scale), 3)
    assert scene.kinds.tolist() == [WHITE_CELL, RED_CELL]
    assert scene.taught == (True, True, True)
    assert scene.sized.all()
    np.testing.assert_allclose(scene.boxes[1, 2:] - scene.boxes[1, :2], 64, atol=1)
    red, green = scene.pixels[:, :, 0], scene.pixels[:, :, 1]
    for mask, box in ((red < 150, scene.boxes[0]), ((green < 160) & (red > 195), scene.boxes[1])):
        rows, columns = np.nonzero(mask)
        outline = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(outline, box, atol=1.5)
    # Balanced: the ground is white.
    assert np.abs(np.median(scene.pixels.reshape(-1, 3), axis=0) - 235).max() <= 2


def test_a_photograph_that_no_list_knows_is_refused(few: Callable[..., Path]) -> None:
    root = few("JPEGImages/stranger.jpg")
    with pytest.raises(DataError, match=r"stranger\.jpg is not a photograph of bccd"):
        scenes_of("bccd", root)


def test_a_set_without_places_or_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="blood-cells has no places of cells") as caught:
        scenes_of("blood-cells", tmp_path)
    assert "raabin-500" in caught.value.remedy
    for name in RED_CELL_OF:
        with pytest.raises(DataError):
            scenes_of(name, tmp_path)


@pytest.fixture(scope="module")
def real(data_root: Path) -> Callable[[str], list[Scene]]:
    known: dict[str, list[Scene]] = {}

    def scenes(name: str) -> list[Scene]:
        if not (data_root / name).is_dir():
            pytest.skip(f"no {name} in {data_root}")
        if name not in known:
            known[name] = scenes_of(name, data_root)
        return known[name]

    return scenes


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "images", "kinds"),
    [
        pytest.param("bccd", 283, {0, 1, 2}, marks=pytest.mark.slow),
        pytest.param("raabin-500", 500, {0, 1, 2}, marks=pytest.mark.slow),
        pytest.param("pbc-224", None, {0, 2}, marks=pytest.mark.slow),
        ("tecom-300", 300, {0}),
    ],
)
def test_real_scenes_have_boxes_inside_and_red_cells_of_the_common_size(
    name: str, images: int | None, kinds: set[int], real: Any
) -> None:
    scenes = real(name)
    if images:
        assert len(scenes) == images
    assert {int(kind) for scene in scenes for kind in scene.kinds} == kinds
    for scene in scenes:
        height, width = scene.pixels.shape[:2]
        assert (scene.boxes[:, :2] < [width, height]).all()
        assert (scene.boxes[:, 2:] > 0).all()
        assert (scene.boxes[:, 2:] > scene.boxes[:, :2]).all()
    sides = np.concatenate([
        (scene.boxes[:, 2:] - scene.boxes[:, :2]).mean(axis=1)[(scene.kinds == RED_CELL) & scene.sized]
        for scene in scenes
    ])  # fmt: skip
    if len(sides):
        assert float(np.median(sides)) == pytest.approx(STORED_RED_CELL, rel=0.1)


@pytest.mark.data
def test_no_real_photograph_that_may_teach_shows_a_field_of_test(data_root: Path) -> None:
    if not (data_root / "bccd").is_dir():
        pytest.skip(f"no bccd in {data_root}")
    teaching = list(photographs(data_root))
    every = list(photographs(data_root, with_test=True))
    fields = {field for _, field, _ in teaching}
    assert not [field for field in fields if field.startswith("blood-cells/TEST/")]
    left_out = {path for path, _, _ in every} - {path for path, _, _ in teaching}
    assert (len(every), len(left_out)) == (364, 81)
    assert not fields & {field for path, field, _ in every if path in left_out}
