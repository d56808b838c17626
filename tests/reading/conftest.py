"""What tests of finding share: drawn discs, and a detector whose engine sees them where the network would cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from leukolens.bundle import Bundle, pack, unpack
from leukolens.card import Finding
from leukolens.reading.detector import Detector, Found
from leukolens.reading.engine import FindingEngine

KINDS = ["white_cell", "red_cell", "platelet"]
GROUND, RED, WHITE, PLATELET = (235, 235, 235), (235, 80, 80), (80, 80, 235), (80, 235, 80)
SEEN = 14, 120
"""A disc is seen where it has so many pixels, as a network taught from 0.4 to 2.5 times 44 sees red cells."""
SIZES = {"red_cell": 1.0, "white_cell": 1.6, "platelet": 0.4}
"""Diameters, in red cells."""

Disc = tuple[str, float, float, float]
"""Kind, x, y and diameter, pixels."""
Image = NDArray[np.uint8]


def _disc_engine(wobble: float = 0.0) -> Callable[..., Any]:
    """`FindingEngine.peaks` for drawn discs.

    What is neither ground nor red cell nor platelet passes for a white cell, black too.

    Args:
        wobble: How far a disc's middle is misjudged, by pixels of a look; another way in each tile.
    """

    def peaks(
        self: FindingEngine, field: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        height, width = field.shape[1] // 4, field.shape[2] // 4
        heat, shape = np.zeros((3, height, width), np.float32), np.zeros((4, height, width), np.float32)
        red, green, _ = field > 157 / 127.5 - 1
        masks = ~(red | green), red & ~green, green & ~red
        for kind, mask in enumerate(masks):
            count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
            least = SEEN[0] * SIZES[KINDS[kind]]
            for x, y, w, h, area in stats[1:count].tolist():
                if not least <= max(w, h) <= SEEN[1] * SIZES[KINDS[kind]]:
                    continue
                turn = x * 12.9898 + y * 78.233
                middle = x + w / 2 + wobble * np.sin(turn), y + h / 2 + wobble * np.cos(turn)
                column, row = min(int(middle[0] / 4), width - 1), min(int(middle[1] / 4), height - 1)
                heat[kind, row, column] = 0.6 + 0.3 * area / (w * h)
                shape[:, row, column] = (
                    middle[0] / 4 - column - 0.5, middle[1] / 4 - row - 0.5, np.log(w / 32), np.log(h / 32)
                )  # fmt: skip
        return heat, shape

    return peaks


@pytest.fixture(scope="session")
def disc_engine() -> Callable[..., Any]:
    """Makes an engine's `peaks` that sees drawn discs."""
    return _disc_engine


def _draw(width: int, height: int, discs: list[Disc]) -> Image:
    finer = 4 if width * height < 400_000 else 1
    image = np.full((finer * height, finer * width, 3), GROUND, np.uint8)
    colours = {"red_cell": RED, "white_cell": WHITE, "platelet": PLATELET}
    for kind, x, y, diameter in discs:
        middle = round((finer * x - 0.5) * 16), round((finer * y - 0.5) * 16)
        cv2.circle(image, middle, round(finer * diameter * 8), colours[kind], -1, cv2.LINE_8, 4)
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture(scope="session")
def draw() -> Callable[[int, int, list[Disc]], Image]:
    """Draws a field of discs of a width and a height."""
    return _draw


def _smear(width: int, height: int, red: float, rng: np.random.Generator, **odds: float) -> list[Disc]:
    """Discs that don't touch, all of them whole: mostly red cells, some white cells and platelets."""
    pitch = 2.1 * red
    kinds, shares = zip(*{"red_cell": 0.75, "white_cell": 0.15, "platelet": 0.1, **odds}.items(), strict=True)
    discs = []
    for row in range(int(height / pitch)):
        for column in range(int(width / pitch)):
            kind = str(rng.choice(kinds, p=np.array(shares) / sum(shares)))
            x, y = (np.array([column, row]) + 0.5) * pitch + rng.uniform(-0.1, 0.1, 2) * red
            discs.append((kind, float(x), float(y), SIZES[kind] * red))
    return discs


@pytest.fixture(scope="session")
def smear() -> Callable[..., list[Disc]]:
    """Makes up the discs of a smear of a width, a height and a red cell's diameter."""
    return _smear


def _assert_found(found: Found, discs: list[Disc], within: float) -> None:
    """Each disc once, nothing else; middles and diameters right within so many pixels."""
    middles = np.array([disc[1:3] for disc in discs])
    gaps = np.linalg.norm(found.finds.centres[:, None] - middles[None], axis=2)
    nearest = gaps.argmin(axis=1)
    assert sorted(nearest) == list(range(len(discs)))
    assert gaps.min(axis=1).max() < within
    assert [KINDS[kind] for kind in found.finds.kinds] == [discs[place][0] for place in nearest]
    diameters = np.array([discs[place][3] for place in nearest])
    assert np.abs(found.finds.sides - diameters).max() < 2 * within


@pytest.fixture(scope="session")
def assert_found() -> Callable[..., None]:
    """Holds that each disc was found once, and nothing else."""
    return _assert_found


def _finding_bundle(given: Bundle, graph: bytes = b"no graph", **changes: Any) -> Bundle:
    finding: dict[str, Any] = {"kinds": KINDS, "red_cell": 44.0, "accept": dict.fromkeys(KINDS, 0.5)}
    finding |= {"suppression": 0.5, "chosen_on": "made up"}
    card = given.card.model_copy(update={"finding": Finding.model_validate({**finding, **changes})})
    return unpack(pack(card, given.classifier, graph), "finding")


@pytest.fixture(scope="session")
def finding_bundle() -> Callable[..., Bundle]:
    """Makes a bundle that finds out of one that names."""
    return _finding_bundle


@pytest.fixture
def make_detector(
    make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Detector]:
    """Makes detectors whose engine sees drawn discs."""

    def make(wobble: float = 0.0, **changes: Any) -> Detector:
        monkeypatch.setattr(FindingEngine, "peaks", _disc_engine(wobble))
        return Detector(_finding_bundle(make_bundle(), **changes))

    return make
