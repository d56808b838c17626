"""What reading answers: cells with their probabilities and decisions, and the image or field they stood in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from leukolens.imaging.framing import Box
from leukolens.taxonomy import OTHER, UNSURE

Decision = Literal["accept", "review", "unknown"]
Status = Literal["ok", "no_cell", "failed"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One white cell.

    Attributes:
        box: In pixels of the image as displayed: around the cell where it was found in a field, the square
            that was framed where an image was taken to hold one cell.
        probabilities: Class key to calibrated probability, in taxonomy order; they add up to 1. Empty where a
            person drew the cell and nobody asked the machine.
        decision: *accept*: safe to use; *review*: a person should look; *unknown*: no white cell speaks here.
        reason: Why, in words that a technologist reads.
        at_edge: Whether the field's edge cuts it.
        score: How sure the finder is that a white cell stands there, 0 to 1; 1 where nothing was asked.
        distance: How far it lies from what the model has learned, as `reading.familiarity.Familiarity`
            measures it; None where the bundle cannot tell.
        class_set: The classes that it may be, at the coverage that the bundle's card says; None where the
            bundle has no thresholds for them.
        reviewed: What a person says that it is, a class's key or ``unsure``; None where nobody has said.
    """

    box: Box
    probabilities: Mapping[str, float]
    decision: Decision
    reason: str
    at_edge: bool = False
    score: float = 1.0
    distance: float | None = None
    class_set: tuple[str, ...] | None = None
    reviewed: str | None = None

    @property
    def label(self) -> str:
        """The most probable class's key, whatever a person says; of a drawn cell what that person says, or *other*."""
        if not self.probabilities:
            return OTHER if self.reviewed is None or self.reviewed == UNSURE else self.reviewed
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


@dataclass(frozen=True, slots=True)
class FieldReading:
    """What was found in one field of a smear.

    Attributes:
        path: The field's image as it was named.
        status: *ok*, *no_cell* where no white cell was found, *failed* where the image could not be read.
        reason: What went wrong, None where *ok*.
        sha256: Digest of the file's bytes, lower-case hexadecimal; of the pixels' where it came as an array.
        width: Of the image as displayed, pixels; 0 where *failed*.
        height: As ``width``.
        cells: Its white cells, from top to bottom, then from left to right.
        red_cells: How many red cells were found.
        platelets: How many platelets were found.
        pixels_per_micrometre: By the red cells' size; None where too few were found to tell.
    """

    path: Path
    status: Status
    reason: str | None
    sha256: str
    width: int
    height: int
    cells: tuple[Cell, ...] = ()
    red_cells: int = 0
    platelets: int = 0
    pixels_per_micrometre: float | None = None
