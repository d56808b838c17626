"""A box that a publisher drew around something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from leukolens.imaging.framing import Box

Boxed = Literal["white_cell", "red_cell", "platelet"]

BOXED: dict[str, Boxed] = {
    "WBC": "white_cell",
    "RBC": "red_cell",
    "Platelet": "platelet",
    "Platelets": "platelet",
}


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """What was boxed, and where.

    Attributes:
        kind: What stands in the box.
        box: Where, in pixels of the image as displayed.
    """

    kind: Boxed
    box: Box
