"""Images whose white cell is out of view: none found, or next to nothing left of what the other copies show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from leukolens.evaluation.audit_survey import Photograph, Seen
from leukolens.imaging.color import black_border, nuclear_density, white_point
from leukolens.imaging.decode import decode

LEFT = 0.12
"""Share of a nucleus in view below which a cell is out of view; above it, people could still name some."""

_FEWEST_COPIES = 4
_SUSPECT = 0.35
_NUCLEAR = 0.6
_REFERENCES = 3
_SIDE = 160


@dataclass(frozen=True, slots=True)
class OutOfView:
    """An image without a white cell in view.

    Attributes:
        image: The image.
        left: How much of the nucleus is in view, against the other copies of its photograph; NaN where
            there are too few to compare with.
        whole: A copy that shows the cell, where there is one.
    """

    image: Seen
    left: float
    whole: Seen | None


def out_of_view(photographs: Sequence[Photograph]) -> tuple[OutOfView, ...]:
    """The readable images without a white cell in view, sorted by name."""
    found = [lost for photograph in photographs for lost in _of(photograph)]
    return tuple(sorted(found, key=lambda lost: lost.image.name))


def _of(photograph: Photograph) -> Iterator[OutOfView]:
    readable = [image for image in photograph.images if not image.problem]
    with_cell = [image for image in readable if image.nucleus]
    mass = {image.name: _mass(image) for image in readable}
    usual = float(np.median([mass[image.name] for image in with_cell])) if with_cell else 0.0
    dense = float(np.median([image.nucleus.density for image in with_cell if image.nucleus] or [0.0]))
    suspects = [
        image
        for image in readable
        if not image.nucleus
        or mass[image.name] < _SUSPECT * usual
        or image.nucleus.density < _NUCLEAR * dense
    ]
    if not suspects:
        return
    if len(with_cell) < _FEWEST_COPIES:
        for image in readable:
            if not image.nucleus:
                yield OutOfView(image, float("nan"), with_cell[0] if with_cell else None)
        return
    typical = sorted(with_cell, key=lambda image: abs(mass[image.name] - usual))[:_REFERENCES]
    level = _NUCLEAR * dense
    stained = float(np.median([_stained(image, level) for image in typical]))
    for image in suspects:
        left = _stained(image, level) / stained if stained else 0.0
        if not image.nucleus or left < LEFT:
            yield OutOfView(image, min(left, 1.0), typical[0])


def _mass(image: Seen) -> float:
    return image.nucleus.extent**2 * image.nucleus.density if image.nucleus else 0.0


def _stained(image: Seen, level: float) -> float:
    """Share of the image that is as dense as a nucleus."""
    rgb = decode(image.path)
    scale = min(1.0, _SIDE / max(rgb.shape[:2]))
    size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    border = black_border(small)
    dense = nuclear_density(small, white_point(small, border)) > level
    return float((dense & ~border).mean())
