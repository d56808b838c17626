"""A caption stands beside its box, inside the image, and off what is there already."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leukolens.imaging.framing import Box
from leukolens.report.captions import caption_place

ROOM = (200, 100)


def test_it_stands_on_the_box() -> None:
    assert caption_place(Box(50, 40, 90, 80), (30, 10), [], ROOM) == Box(50, 30, 80, 40)


def test_it_goes_beside_where_there_is_no_room_above() -> None:
    frame = Box(50, 0, 90, 40)
    assert caption_place(frame, (30, 10), [frame], ROOM) == Box(90, 0, 120, 10)


def test_it_leaves_another_caption_alone() -> None:
    frame = Box(50, 40, 90, 80)
    taken = [frame, Box(40, 25, 70, 38)]
    place = caption_place(frame, (20, 10), taken, ROOM)
    assert place == Box(70, 30, 90, 40)


@given(
    st.integers(0, 180), st.integers(0, 80), st.integers(1, 60), st.integers(1, 60), st.integers(1, 200),
    st.integers(1, 100),
)  # fmt: skip
def test_it_stays_inside_the_image(x: int, y: int, width: int, height: int, wide: int, high: int) -> None:
    frame = Box(x, y, x + width, y + height)
    place = caption_place(frame, (wide, high), [frame], ROOM)
    assert (place.width, place.height) == (wide, high)
    assert place.within(*ROOM) == place
