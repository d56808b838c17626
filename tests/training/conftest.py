"""A tiny drawn set and a tiny recipe, so that whole runs take a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from leukolens.datasets.synthetic import write_drawn_set
from leukolens.training.recipe import Recipe

TINY: dict[str, Any] = {
    "name": "tiny",
    "seed": 7,
    "classes": ["neutrophil", "lymphocyte"],
    "framing": {"size": 32, "context": 2.1},
    "augment": {
        "rotation": 180,
        "shift": 0.05,
        "scale": (0.9, 1.1),
        "flips": True,
        "colour": 0.2,
        "stain": 0.2,
        "blur": 0.5,
        "grey": 0.1,
        "margin": 1.5,
    },
    "optimiser": {"rate": 1e-3, "decay": 0.05, "warmup": 0.2, "cosine": True, "smoothing": 0.05, "average": 0.9},
    "schedule": {"epochs": 3, "batch": 6},
    "validation": {"folds": 4, "fold": 1},
    "checkpoints": {"keep": 1},
}  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums are added up in one order, so that runs can be compared to the bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def drawn_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 fields of 320x240: two classes, four photographs each, shown three times."""
    folder = tmp_path_factory.mktemp("data") / "drawn"
    write_drawn_set(
        folder, np.random.default_rng(5), labels=("neutrophil", "lymphocyte"), photographs=4, copies=2
    )
    return folder


RecipeMaker = Callable[..., Recipe]


@pytest.fixture(scope="session")
def tiny_recipe(drawn_set: Path) -> RecipeMaker:
    """Makes recipes on the drawn set; a section's changes are laid over the tiny ones."""

    def make(**changes: Any) -> Recipe:
        document: dict[str, Any] = {**TINY, "data": [{"name": str(drawn_set)}]}
        for name, value in changes.items():
            document[name] = {**document.get(name, {}), **value} if isinstance(value, dict) else value
        return Recipe.model_validate(document)

    return make


@pytest.fixture(scope="session")
def crop_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crops")
