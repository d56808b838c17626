"""A cell is cut out of its field with no pixel changed, and with surroundings in which it is found again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from leukolens.card import Framing
from leukolens.imaging.framing import Box, frame
from leukolens.server.learning.cutting import SURROUNDINGS, cut, cut_field

FRAMING = Framing()


def place_of(piece: Any, rgb: Any) -> tuple[int, int]:
    """Where a piece was cut out, columns and rows."""
    found = (
        rgb[: rgb.shape[0] - piece.shape[0] + 1, : rgb.shape[1] - piece.shape[1] + 1] == piece[0, 0]
    ).all(2)
    for y, x in zip(*np.nonzero(found), strict=True):
        if np.array_equal(rgb[y : y + piece.shape[0], x : x + piece.shape[1]], piece):
            return int(x), int(y)
    raise AssertionError("no part of the field")


def test_what_is_cut_out_is_a_part_of_the_field_in_which_the_cell_itself_is_found(smears: Any) -> None:
    for smear in smears[:4]:
        rgb = smear.drawn.rgb
        for cell in smear.drawn.cells:
            piece = cut(rgb, cell.box, FRAMING)
            x0, y0 = place_of(piece, rgb)
            found = frame(piece, FRAMING)
            assert found is not None
            x, y = x0 + (found[1].x0 + found[1].x1) / 2, y0 + (found[1].y0 + found[1].y1) / 2
            assert cell.box.x0 <= x < cell.box.x1, cell
            assert cell.box.y0 <= y < cell.box.y1, cell


def test_a_neighbour_costs_surroundings_and_not_the_cell() -> None:
    rgb = np.full((300, 300, 3), 240, np.uint8)
    yy, xx = np.mgrid[:300, :300]
    rgb[(xx - 150) ** 2 + (yy - 150) ** 2 < 14**2] = (110, 70, 150)
    box = Box(130, 130, 170, 170)
    alone = cut(rgb, box, FRAMING)
    assert alone.shape == (120, 120, 3)  # three times its side
    rgb[(xx - 196) ** 2 + (yy - 150) ** 2 < 24**2] = (60, 30, 120)  # larger and darker
    beside = cut(rgb, box, FRAMING)
    assert beside.shape[0] in {round(40 * times) for times in SURROUNDINGS[1:]}


def test_files_are_written_without_loss_and_another_image_is_refused(smears: Any, tmp_path: Path) -> None:
    image = tmp_path / "field"
    image.write_bytes(smears[0].png)
    box = smears[0].drawn.cells[0].box
    cells = [{"name": "monocyte/7.png", "box": [box.x0, box.y0, box.x1, box.y1]}]
    field = {"image": str(image), "sha256": hashlib.sha256(smears[0].png).hexdigest(), "cells": cells}
    assert cut_field(field, FRAMING, 10**6, tmp_path) is None
    written = np.asarray(Image.open(tmp_path / "monocyte/7.png"))
    assert np.array_equal(written, cut(smears[0].drawn.rgb, box, FRAMING))
    assert cut_field(field, FRAMING, 100, tmp_path) == "has more than 100 pixels"
    assert (
        cut_field(field | {"sha256": "0" * 64}, FRAMING, 10**6, tmp_path) == "the stored image is another one"
    )
    image.write_bytes(b"no image")
    broken = field | {"sha256": hashlib.sha256(b"no image").hexdigest()}
    assert cut_field(broken, FRAMING, 10**6, tmp_path) is not None
