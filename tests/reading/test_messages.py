"""What a reader and its workers say to each other arrives whole, or not at all."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, ImageReading
from leukolens.reading.messages import LARGEST, LENGTH, entry_of, reading_of, receive, send
from leukolens.taxonomy import CLASS_KEYS

SHARES = st.floats(0, 1)
CELLS = st.builds(
    Cell,
    box=st.builds(Box, *[st.integers(-(2**31), 2**31)] * 4),
    probabilities=st.dictionaries(st.sampled_from(CLASS_KEYS), SHARES),
    decision=st.sampled_from(["accept", "review", "unknown"]),
    reason=st.text(),
    at_edge=st.booleans(),
    score=SHARES,
    distance=st.none() | st.floats(0),
    class_set=st.none() | st.lists(st.sampled_from(CLASS_KEYS)).map(tuple),
    reviewed=st.none() | st.sampled_from(CLASS_KEYS),
)


@settings(deadline=None)
@given(
    st.builds(
        ImageReading,
        path=st.just(Path("a/b.png")),
        status=st.sampled_from(["ok", "no_cell", "failed"]),
        reason=st.none() | st.text(),
        cells=st.lists(CELLS, max_size=3).map(tuple),
    )
)
def test_a_reading_comes_back_as_it_was(reading: ImageReading) -> None:
    back = reading_of(json.loads(json.dumps(entry_of(reading))), reading.path)
    assert back == reading
    assert [list(cell.probabilities) for cell in back.cells] == [
        list(cell.probabilities) for cell in reading.cells
    ]
    assert [np.float64(cell.score).tobytes() for cell in back.cells] == [
        np.float64(cell.score).tobytes() for cell in reading.cells
    ]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=4))
def test_messages_come_one_by_one_and_then_none(messages: list[bytes]) -> None:
    stream = BytesIO()
    for message in messages:
        send(stream, message)
    stream.seek(0)
    assert [receive(stream) for _ in messages] == messages
    assert receive(stream) is None


@pytest.mark.parametrize("cut", [1, 7, 8, 12])
def test_a_part_of_a_message_is_none(cut: int) -> None:
    stream = BytesIO()
    send(stream, b"a message")
    assert receive(BytesIO(stream.getvalue()[:cut])) is None


def test_what_is_far_too_long_is_none() -> None:
    assert receive(BytesIO(LENGTH.pack(LARGEST + 1) + b"x")) is None
    assert receive(BytesIO(b"Python 3.11.7 (main)\n>>> ")) is None
