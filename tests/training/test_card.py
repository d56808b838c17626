"""What a card says of the data that a bundle learned from, and of how it was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leukolens.card import Figure
from leukolens.datasets.base import Sample
from leukolens.errors import TrainingError
from leukolens.training.card import learned_from, read_figures
from leukolens.training.crops import Crops


def test_every_published_set_has_an_entry_with_its_own_licence_and_samples(tiny_recipe: Any) -> None:
    recipe = tiny_recipe(data=[{"name": "blood-cells", "splits": ["train"]}, {"name": "raabin-500"}])
    root = Path("/data/raabin-500/kept")  # a folder above may bear a set's name
    blood_cells = (
        Sample(root / f"blood-cells/{n}.jpeg", "neutrophil", "blood-cells", "train", f"b/{n // 2}")
        for n in range(6)
    )
    others = (Sample(root / f"raabin-500/{n}.jpg", "lymphocyte", "raabin", "all", f"r/{n}") for n in range(4))
    samples = (*blood_cells, *others)
    crops = Crops(np.zeros((10, 1, 1, 3), np.uint8), np.zeros(10, np.int64), samples)
    blood, raabin = learned_from(recipe, crops, root)
    assert (blood.name, blood.licence, blood.permissive) == ("blood-cells", "MIT", True)
    assert (blood.images, blood.groups, blood.splits) == (6, 3, ["train"])
    assert "TEST" in blood.left_out
    assert (raabin.images, raabin.groups, raabin.left_out) == (4, 4, "")
    assert not raabin.permissive


def test_figures_are_read_from_a_list(tmp_path: Path) -> None:
    figures = (Figure(name="accuracy", value=0.9, low=0.8, high=0.95, command="leukolens evaluate"),)
    path = tmp_path / "figures.json"
    path.write_text(json.dumps([figure.model_dump() for figure in figures]))
    assert read_figures(path) == figures


@pytest.mark.parametrize(
    "content", [None, "", "{", "3", '[{"name": "accuracy"}]', '[{"name": 1, "value": "x"}]']
)
def test_what_holds_no_figures_is_refused(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TrainingError, match="holds no figures"):
        read_figures(path)
