from __future__ import annotations

from typing import get_args

from leukolens.datasets.boxes import BOXED, Boxed, LabelledBox
from leukolens.imaging.framing import Box


def test_every_publishers_word_means_a_kind_that_is_known():
    assert set(BOXED.values()) == set(get_args(Boxed))


def test_a_labelled_box_is_a_value():
    assert LabelledBox("white_cell", Box(1, 2, 3, 4)) == LabelledBox("white_cell", Box(1, 2, 3, 4))
