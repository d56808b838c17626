"""Where a box's caption stands: beside it, inside the image, off the other boxes and captions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from leukolens.imaging.framing import Box


def caption_place(frame: Box, size: tuple[int, int], taken: Sequence[Box], room: tuple[int, int]) -> Box:
    """The place beside the box where a caption hides the least of what is taken.

    Args:
        frame: The box.
        size: Of the caption, width and height in the same unit.
        taken: Where something is already.
        room: Width and height of the image; the place lies inside it where it can.
    """
    width, height = size
    tops = (frame.y0 - height, frame.y1, frame.y0, frame.y1 - height)
    lefts = (frame.x0, frame.x1 - width, frame.x1, frame.x0 - width)
    choices = []
    for top, left in product(tops, lefts):
        x = min(max(left, 0), max(room[0] - width, 0))
        y = min(max(top, 0), max(room[1] - height, 0))
        choices.append(Box(x, y, x + width, y + height))
    return min(choices, key=lambda place: sum(_shared(place, other) for other in taken))


def _shared(first: Box, second: Box) -> int:
    """The area in both boxes."""
    width = min(first.x1, second.x1) - max(first.x0, second.x0)
    height = min(first.y1, second.y1) - max(first.y0, second.y0)
    return max(width, 0) * max(height, 0)
