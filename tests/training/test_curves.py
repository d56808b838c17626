"""The curves and the page that shows them."""

from __future__ import annotations

import base64
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leukolens.training import curves
from leukolens.training.run import Epoch, Run

EPOCHS = [
    Epoch(1, 0.9, 0.5, 0.8, 0.6, 0.55, 1e-3, 2.0),
    Epoch(2, 0.6, 0.7, 0.5, 0.75, 0.7, 5e-4, 2.1),
    Epoch(3, 0.4, 0.8, 0.7, 0.7, 0.65, 1e-4, 2.2),
]
BLIND = [Epoch(number, 1 / number, 0.5, None, None, None, 1e-3, 2.0) for number in (1, 2)]


@pytest.fixture
def run(tmp_path: Path, tiny_recipe: Any) -> Run:
    (tmp_path / "recipe.json").write_text(tiny_recipe().model_dump_json())
    return Run(tmp_path)


@pytest.mark.parametrize("epochs", [EPOCHS, EPOCHS[:1], BLIND], ids=["three", "one", "nothing held out"])
def test_curves_are_a_picture_with_both_colours_where_there_are_both(epochs: list[Epoch]) -> None:
    pixels = np.asarray(Image.open(BytesIO(curves.draw(epochs))).convert("RGB"), int)
    held_out = np.abs(pixels - (0xD5, 0x5E, 0x00)).max(axis=2) < 8
    training = np.abs(pixels - (0x4C, 0x56, 0x6A)).max(axis=2) < 8
    assert training.any()
    assert held_out.any() == (epochs is not BLIND)


def test_the_page_needs_nothing_but_itself(run: Run) -> None:
    curves.write(run, EPOCHS)
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)
    assert "<script" not in page
    assert not re.search(r"url\(|@import|https?://", page)
    (picture,) = re.findall(r"data:image/png;base64,([^\"]+)", page)
    assert base64.b64decode(picture) == (run.folder / "curves.png").read_bytes()


def test_the_page_has_a_row_an_epoch_and_marks_the_best(run: Run) -> None:
    curves.write(run, EPOCHS)
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    rows = re.findall(r"<tr( class=best)?><td>(\d+)", page)
    assert rows == [("", "1"), (" class=best", "2"), ("", "3")]
    assert "Best epoch 2 of 3" in page
    assert "&quot;seed&quot;: 7" in page


def test_what_was_not_measured_is_a_dash(run: Run) -> None:
    curves.write(run, BLIND)
    assert (run.folder / "report.html").read_text(encoding="utf-8").count("<td>–") == 6


def test_a_recipe_cannot_smuggle_markup_into_the_page(tmp_path: Path, tiny_recipe: Any) -> None:
    recipe = tiny_recipe(data=[{"name": "<script>alert(1)</script>"}])
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    curves.write(Run(tmp_path), EPOCHS)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
