"""What reading answers: a cell with its probabilities and decision, and the image it stood in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from leukolens.imaging.framing import Box

Decision = Literal["accept", "review", "unknown"]
Status = Literal["ok", "no_cell", "failed"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One white cell.

    Attributes:
        box: The square that was framed, in pixels of the image as displayed.
        probabilities: Class key to calibrated probability, in taxonomy order; they add up to 1.
        decision: *accept*: safe to use; *review*: a person should look; *unknown*: no white cell speaks here.
        reason: Why, in words that a technologist reads.
    """

    box: Box
    probabilities: Mapping[str, float]
    decision: Decision
    reason: str

    @property
    def label(self) -> str:
        """The most probable class's key."""
        return max(self.probabilities, key=self.probabilities.__getitem__)


@dataclass(frozen=True, slots=True)
class ImageReading:
    """What was found in one image.

    Attributes:
        path: The image as it was named.
        status: *ok*, *no_cell*, or *failed* where the image could not be read.
        reason: What went wrong, None where *ok*.
        cells: The cells, best first; empty unless *ok*.
    """

    path: Path
    status: Status
    reason: str | None
    cells: tuple[Cell, ...] = ()
