"""Made-up scenes of coloured discs, and a recipe so small that a whole run takes a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from leukolens.training.finding.recipe import DetectorRecipe
from leukolens.training.finding.scenes import Scene

GROUND = (235, 235, 235)
COLOURS = ((90, 60, 160), (225, 120, 120), (120, 150, 90))
"""Of white cells, red cells and platelets."""
DIAMETERS = (100, 64, 22)

TINY: dict[str, Any] = {
    "kind": "detector",
    "name": "tiny",
    "seed": 3,
    "data": [{"name": "bccd", "share": 0.7}, {"name": "pbc-224", "share": 0.3}],
    "network": {"widths": [4, 4, 8], "depths": [1, 1, 1], "neck": 8},
    "views": {"size": 64, "red_cell": 20.0},
    "augment": {"colour": 0.2, "stain": 0.2, "blur": 0.3, "grey": 0.1},
    "optimiser": {"rate": 3e-3, "decay": 0.02, "warmup": 0.1, "cosine": True, "average": 0.9},
    "schedule": {"epochs": 3, "steps": 2, "batch": 3},
    "validation": {"folds": 3, "fold": 1},
}

SceneMaker = Callable[..., Scene]


@pytest.fixture(scope="session")
def make_scene() -> SceneMaker:
    """Makes scenes of 12 discs that don't touch, one white cell and one platelet among the red cells."""

    def make(
        seed: int = 0,
        *,
        name: str = "bccd",
        field: str | None = None,
        ground: tuple[int, int, int] = GROUND,
        taught: tuple[bool, bool, bool] = (True, True, True),
        kinds: tuple[int, ...] = (0, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1),
    ) -> Scene:
        rng = np.random.default_rng(seed)
        pixels = np.full((4 * 330, 4 * 440, 3), ground, np.uint8)
        boxes = []
        order = rng.permutation(kinds)
        for place, kind in enumerate(order):
            x, y = np.array([place % 4, place // 4]) * 110 + 55 + rng.uniform(-4, 4, 2)
            half = DIAMETERS[kind] / 2
            middle = round((4 * x - 0.5) * 16), round((4 * y - 0.5) * 16)
            cv2.circle(pixels, middle, round(4 * half * 16), COLOURS[kind], -1, cv2.LINE_8, 4)
            boxes.append([x - half, y - half, x + half, y + half])
        return Scene(
            f"{name}/{seed}.png",
            np.asarray(cv2.resize(pixels, (440, 330), interpolation=cv2.INTER_AREA), np.uint8),
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(order, np.int64),
            np.array(order) != 2,
            taught,
            field or f"{name}-field-{seed}",
        )

    return make


@pytest.fixture(scope="session")
def scenes(make_scene: SceneMaker) -> list[Scene]:
    """Nine of bccd on six fields, and three of pbc-224."""
    own = [make_scene(seed, field=f"field-{seed % 6}") for seed in range(9)]
    return own + [
        make_scene(seed, name="pbc-224", taught=(True, False, False), kinds=(0,)) for seed in range(3)
    ]


RecipeMaker = Callable[..., DetectorRecipe]


@pytest.fixture(scope="session")
def finding_recipe() -> RecipeMaker:
    """Makes recipes; a section's changes are laid over the tiny ones."""

    def make(**changes: Any) -> DetectorRecipe:
        document = dict(TINY)
        for name, value in changes.items():
            document[name] = {**document.get(name, {}), **value} if isinstance(value, dict) else value
        return DetectorRecipe.model_validate(document)

    return make


@pytest.fixture
def made_up_data(monkeypatch: pytest.MonkeyPatch, scenes: list[Scene]) -> None:
    """The made-up scenes in place of the data sets'."""

    def of_set(name: str, root: Any, *, with_test: bool = False) -> list[Scene]:
        return [scene for scene in scenes if scene.name.startswith(f"{name}/")]

    for module in ("session", "export"):
        monkeypatch.setattr(f"leukolens.training.finding.{module}.scenes_of", of_set)
