from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from leukolens.evaluation.pictures import LONGEST_SIDE, thumbnail
from leukolens.imaging.framing import Box


def _opened(jpeg):
    image = Image.open(BytesIO(jpeg))
    assert image.format == "JPEG"
    return image


@pytest.mark.parametrize("size", [(320, 240), (120, 120), (3000, 900), (1, 1)])
def test_a_thumbnail_keeps_its_shape(tmp_path, size):
    Image.new("RGB", size, "grey").save(tmp_path / "a.png")
    width, height = _opened(thumbnail(tmp_path / "a.png", None, "#000000")).size
    assert max(width, height) == LONGEST_SIDE
    assert width / height == pytest.approx(size[0] / size[1], rel=0.02)


def test_the_framed_square_is_drawn_in_its_colour(tmp_path):
    Image.new("RGB", (360, 270), "black").save(tmp_path / "a.png")
    pixels = np.asarray(_opened(thumbnail(tmp_path / "a.png", Box(100, 60, 200, 160), "#00ff00"))).astype(int)
    green = (pixels[..., 1] > 150) & (pixels[..., 0] < 120)
    rows, columns = np.nonzero(green)
    assert (
        abs(np.array([columns.min(), rows.min(), columns.max(), rows.max()]) - [100, 60, 199, 159]).max() <= 3
    )
    assert not green[80:140, 120:180].any()


@pytest.mark.parametrize("box", [Box(-40, -40, 20, 20), Box(0, 0, 4000, 4000), Box(5, 5, 6, 6)])
def test_boxes_over_the_edge_or_tiny_are_drawn_as_far_as_they_go(tmp_path, box):
    Image.new("RGB", (4000, 3000)).save(tmp_path / "a.png")
    assert _opened(thumbnail(tmp_path / "a.png", box, "#00ff00")).size == (360, 270)


def test_an_image_that_cannot_be_read_has_no_thumbnail(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    assert thumbnail(tmp_path / "a.png", None, "#000000") is None
    assert thumbnail(tmp_path / "gone.png", None, "#000000") is None
