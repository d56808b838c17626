"""Pictures are small enough for their page, and a crop shows its cell whole and in its middle."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from leukolens.imaging.framing import Box
from leukolens.report.page_pictures import crop, field_picture, longest_side


def opened(jpeg: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(BytesIO(jpeg)))


@pytest.mark.parametrize(("fields", "side"), [(1, 1200), (100, 1200), (200, 849), (500, 640), (20_000, 640)])
def test_many_fields_share_their_pixels(fields: int, side: int) -> None:
    assert longest_side(fields) == side


@pytest.mark.parametrize(
    ("size", "small"), [((640, 480), (640, 480)), ((8000, 6000), (1200, 900)), ((3, 8000), (1, 1200))]
)
def test_a_field_is_made_smaller_never_larger(size: tuple[int, int], small: tuple[int, int]) -> None:
    rgb = np.full((size[1], size[0], 3), 200, np.uint8)
    assert opened(field_picture(rgb, 1200)).shape == (small[1], small[0], 3)


def test_a_crop_has_its_cell_in_the_middle() -> None:
    rgb = np.full((200, 300, 3), 220, np.uint8)
    rgb[80:120, 140:180] = (90, 30, 120)
    shown = opened(crop(rgb, Box(140, 80, 180, 120), 96)).astype(int)
    assert shown.shape == (96, 96, 3)
    rows, columns = np.nonzero(shown[..., 1] < 125)
    assert (rows.mean(), columns.mean()) == (pytest.approx(47.5, abs=1), pytest.approx(47.5, abs=1))
    assert np.ptp(rows) + 1 == pytest.approx(96 / 1.3, abs=3)


def test_what_lies_outside_the_field_is_grey() -> None:
    rgb = np.full((100, 100, 3), (120, 40, 160), np.uint8)
    shown = opened(crop(rgb, Box(-30, 20, 30, 80), 96)).astype(int)
    assert abs(shown[:, :40] - 240).max() < 6
    assert abs(shown[:, 60:] - (120, 40, 160)).max() < 6


@pytest.mark.parametrize("box", [Box(-90, -90, -60, -60), Box(5, 5, 5, 5), Box(0, 0, 100, 100)])
def test_any_box_gives_a_crop(box: Box) -> None:
    assert opened(crop(np.full((100, 100, 3), 9, np.uint8), box, 96)).shape == (96, 96, 3)
