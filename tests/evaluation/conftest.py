"""Predictions from a seed or written out by hand, a reader that pretends, and a small data set."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leukolens.bundle import Bundle
from leukolens.card import Card, Framing, Judgement, LearnedFrom
from leukolens.datasets.blood_cells import BloodCells
from leukolens.datasets.catalogue import dataset_class
from leukolens.datasets.labels import class_called
from leukolens.datasets.manifest import manifest
from leukolens.evaluation.answers import Answers
from leukolens.evaluation.calibration import softmax
from leukolens.evaluation.predictions import Predictions
from leukolens.evaluation.unseen_answers import Asked, lab_called
from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, ImageReading
from leukolens.taxonomy import CLASS_KEYS

FOUR = ("neutrophil", "eosinophil", "lymphocyte", "monocyte")


def _drawn(
    seed: int = 0,
    *,
    photographs: tuple[int, ...] = (24, 13, 10, 4),
    copies: int = 12,
    classes: tuple[str, ...] = FOUR,
    skill: float = 1.6,
    lost: float = 0.03,
) -> Predictions:
    """Photographs with 1 to ``copies`` copies each that share an error; some images hold no cell."""
    rng = np.random.default_rng(seed)
    truth, groups, logits = [], [], []
    for label, count in enumerate(photographs):
        for photograph in range(count):
            shared = rng.normal(0, 1, len(classes))
            for _ in range(int(rng.integers(1, copies + 1))):
                row = shared + rng.normal(0, 0.7, len(classes))
                row[label] += skill
                truth.append(label)
                groups.append(f"lab/TEST/{classes[label].upper()}/{photograph}")
                logits.append(1.7 * row)
    probabilities = softmax(np.array(logits))
    probabilities[rng.random(len(truth)) < lost] = np.nan
    names = tuple(f"image-{index:04d}.jpeg" for index in range(len(truth)))
    return Predictions(classes, names, tuple(groups), np.array(truth), probabilities)


def _given(
    rows: list[list[float]],
    truth: list[int],
    groups: list[str] | None = None,
    classes: tuple[str, ...] = FOUR,
) -> Predictions:
    names = tuple(f"{index}.png" for index in range(len(truth)))
    table = np.array(rows, dtype=np.float64).reshape(len(truth), len(classes))
    return Predictions(classes, names, tuple(groups or names), np.array(truth, dtype=np.int64), table)


@pytest.fixture(scope="session")
def drawn() -> Callable[..., Predictions]:
    """Makes predictions from a seed."""
    return _drawn


@pytest.fixture(scope="session")
def given() -> Callable[..., Predictions]:
    """Makes predictions written out by hand; every image is a group of its own unless told."""
    return _given


class Pretender:
    """Answers by file name instead of by looking: right with a chance of ``skill``, the same every time."""

    def __init__(self, classes: tuple[str, ...], skill: float = 0.85, taught: tuple[str, ...] = ()) -> None:
        learned = [
            LearnedFrom(
                name=name,
                lab=name,
                licence="MIT",
                permissive=True,
                splits=["train"],
                images=80,
                groups=20,
                groups_sha256="9" * 64,
            )
            for name in taught
        ]
        card = Card(
            leukolens="0.1.0",
            name="pretender",
            network="resnet24",
            parameters=1450000,
            recipe="default",
            recipe_sha256="c" * 64,
            seed=3,
            classes=list(classes),
            framing=Framing(),
            judgement=Judgement(temperature=1.1, accept_above=0.7, chosen_on="nothing"),
            learned_from=learned,
        )
        self.bundle = Bundle(card, b"", "b" * 64)
        self.skill = skill

    def identify(self, sources: Iterable[Path]) -> Iterator[ImageReading]:
        for path in sources:
            if "broken" in path.name:
                yield ImageReading(path, "failed", "is truncated or damaged")
                continue
            if "empty" in path.name:
                yield ImageReading(path, "no_cell", "no nucleus found")
                continue
            rng = np.random.default_rng(zlib.crc32("/".join(path.parts[-2:]).encode()))
            classes = self.bundle.card.classes
            logits = rng.normal(0, 1, len(classes))
            label = class_called(path.parent.name)
            if label in classes and rng.random() < self.skill:
                logits[classes.index(label)] += 3
            values = dict(zip(classes, softmax(logits[None])[0].tolist(), strict=True))
            decision = "accept" if max(values.values()) >= 0.7 else "review"
            yield ImageReading(path, "ok", None, (Cell(Box(4, 3, 24, 23), values, decision, "because"),))


@pytest.fixture(scope="session")
def pretender() -> Callable[..., Pretender]:
    """Makes a reader that never looks at an image."""
    return Pretender


@pytest.fixture(scope="session")
def blood_cells(tmp_path_factory: pytest.TempPathFactory) -> BloodCells:
    """A part of blood-cells under its real names, each image a few random pixels.

    TEST has 12, 10, 6 and 4 photographs with four copies each, TRAIN and TEST_SIMPLE one copy of some.
    """
    root = tmp_path_factory.mktemp("data") / "blood-cells"
    rng = np.random.default_rng(0)
    photographs = {"NEUTROPHIL": 12, "EOSINOPHIL": 10, "LYMPHOCYTE": 6, "MONOCYTE": 4}
    taken: dict[tuple[str, str], dict[str, int]] = {}
    for name, entry in sorted(manifest("blood-cells").items()):
        if not entry.group:
            continue
        _, split, label, _ = name.split("/")
        groups = taken.setdefault((split, label), {})
        copies = 4 if split == "TEST" else 1
        if entry.group in groups or len(groups) < photographs[label]:
            groups[entry.group] = groups.get(entry.group, 0) + 1
            if groups[entry.group] <= copies:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                pixels = rng.integers(120, 255, (30, 40, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(root / name)
    return BloodCells(root)


def _asked(
    lab: str = "raabin",
    seed: int = 0,
    *,
    method: str = "default",
    known: tuple[str, ...] = CLASS_KEYS,
    photographs: tuple[int, ...] = (14, 12, 11, 10, 9),
    skill: float = 1.6,
    outer: str | None = None,
) -> Asked:
    """What a made-up model says of a laboratory: photographs a class of its set, some without a cell."""
    place = lab_called(lab)
    labels = dataset_class(place.dataset).classes
    classes = tuple(key for key in CLASS_KEYS if key in {*known, *labels})
    rng = np.random.default_rng([seed, len(method)])
    truth, groups, rows = [], [], []
    for key, count in zip(labels, photographs, strict=False):
        for photograph in range(count):
            for _ in range(1 + photograph % 3):
                row = np.full(len(classes), -np.inf)
                row[[classes.index(name) for name in known]] = rng.normal(0, 1, len(known))
                row[classes.index(key)] += skill
                truth.append(classes.index(key))
                groups.append(f"{place.dataset}/{key}/{photograph}")
                rows.append(2 * row)
    probabilities = softmax(np.array(rows))
    probabilities[rng.random(len(rows)) < 0.04] = np.nan
    names = tuple(f"{key}-{index}.png" for index, key in enumerate(groups))
    sure = np.nan_to_num(probabilities.max(axis=1))
    found = ~np.isnan(probabilities).any(axis=1)
    answers = Answers(
        Predictions(classes, names, tuple(groups), np.array(truth), probabilities),
        tuple("accept" if value >= 0.7 else "review" if value else "no cell" for value in sure),
        tuple(Box(1, 2, 9, 11) if seen else None for seen in found),
        (),
    )
    card = Pretender(known).bundle.card.model_copy(update={"recipe": method, "seed": seed})
    left_out = tuple(sorted({lab, *([outer] if outer else [])}))
    split = place.inner_split if outer else place.split
    return Asked(place, left_out, split, "2026-11-25T03:00:00+00:00", "abc", card, f"{seed:064d}", answers)


@pytest.fixture(scope="session")
def asked() -> Callable[..., Asked]:
    """Makes what a model says of a laboratory that it never saw, from a seed."""
    return _asked
