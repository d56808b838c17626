"""Where cells lie in a drawn field, and how they are laid into it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from leukolens.datasets.synthetic_ground import RED_CELL_RADIUS
from leukolens.datasets.synthetic_paint import Floats
from leukolens.errors import DataError
from leukolens.imaging.framing import Box

MARGIN = 6
ATTEMPTS = 400


def room_for(
    rng: np.random.Generator, width: int, height: int, radii: Sequence[float]
) -> NDArray[np.float64]:
    """Places for white cells, inside the field and apart from one another.

    Args:
        rng: Draws the places.
        width: Of the field, pixels.
        height: Of the field, pixels.
        radii: Of the cells, pixels.

    Returns:
        (n, 3), x, y and radius, pixels.

    Raises:
        DataError: Where the field has no room for so many.
    """
    places = np.empty((0, 3))
    for radius in radii:
        edge = radius + MARGIN
        for _ in range(ATTEMPTS if min(width, height) >= 2 * edge else 0):
            place = rng.uniform((edge, edge), (width - edge, height - edge))
            if (np.hypot(*(places[:, :2] - place).T) > places[:, 2] + edge).all():
                places = np.concatenate([places, [[*place, radius]]])
                break
        else:
            raise DataError(
                f"a field of {width}x{height} pixels has no room for {len(radii)} white cells",
                "Ask for fewer cells, a larger field or fewer pixels per micrometre",
            )
    return places


def scatter(
    rng: np.random.Generator, width: float, height: float, taken: NDArray[np.float64], crowding: float
) -> NDArray[np.float64]:
    """Places for red cells: mostly side by side, some leaning on or over a neighbour.

    Args:
        rng: Draws the places.
        width: Of the field, micrometres.
        height: Of the field, micrometres.
        taken: (n, 3), x, y and radius of the white cells, micrometres; red cells stay off them.
        crowding: Share of the area that red cells would cover side by side.

    Returns:
        (m, 2), x and y, micrometres; some lie partly outside of the field.
    """
    radius, diameter = RED_CELL_RADIUS, 2 * RED_CELL_RADIUS
    wanted = int(crowding * (width + diameter) * (height + diameter) / (np.pi * radius**2))
    places = np.empty((wanted, 2))
    count = 0
    for _ in range(16 * wanted):
        if count == wanted:
            break
        leaning = count > 2 and rng.random() < 0.5
        if leaning:
            turn, gap = rng.uniform(0, 2 * np.pi), diameter * rng.uniform(0.5, 0.95)
            place = places[rng.integers(count)] + gap * np.array([np.cos(turn), np.sin(turn)])
        else:
            place = rng.uniform((-radius, -radius), (width + radius, height + radius))
        if (np.hypot(*(taken[:, :2] - place).T) < taken[:, 2] + 0.9 * radius).any():
            continue
        distances = np.hypot(*(places[:count] - place).T)
        nearest = 0.48 if leaning else 1.0
        if (distances < nearest * diameter).any() or (distances < 0.9 * diameter).sum() > 2:
            continue
        places[count] = place
        count += 1
    return places[:count]


def lay_over(field: Floats, stamp: Floats, centre: NDArray[np.float64]) -> None:
    """Lays a thin cell on what is there: where two overlap it is darker, less than twice as dark.

    Args:
        field: Density (h, w, 3), changed in place.
        stamp: Density (n, n, 3).
        centre: (2,), x and y, pixels; the stamp may reach over the field's edge.
    """
    place, left, top = _place(field, stamp, centre)
    if place.width <= 0 or place.height <= 0:
        return
    below = field[place.y0 : place.y1, place.x0 : place.x1]
    np.hypot(below, stamp[place.y0 - top : place.y1 - top, place.x0 - left : place.x1 - left], out=below)


def lay_before(field: Floats, stamp: Floats, cover: Floats, centre: NDArray[np.float64]) -> Box:
    """Lays a cell before what is there, hiding what it covers.

    Args:
        field: Density (h, w, 3), changed in place.
        stamp: Density (n, n, 3), 0 where ``cover`` is.
        cover: (n, n), 1 where the cell hides what lies below.
        centre: (2,), x and y, pixels.

    Returns:
        The smallest box around the cell, the part inside of the field.
    """
    place, left, top = _place(field, stamp, centre)
    rows, columns = slice(place.y0 - top, place.y1 - top), slice(place.x0 - left, place.x1 - left)
    below = field[place.y0 : place.y1, place.x0 : place.x1]
    below *= 1 - cover[rows, columns, None]
    below += stamp[rows, columns]
    down, across = np.nonzero(cover[rows, columns] > 0.5)
    return Box(
        place.x0 + int(across.min()),
        place.y0 + int(down.min()),
        place.x0 + int(across.max()) + 1,
        place.y0 + int(down.max()) + 1,
    )


def _place(field: Floats, stamp: Floats, centre: NDArray[np.float64]) -> tuple[Box, int, int]:
    """The part of the field that a stamp lies on, and the stamp's own left and top."""
    height, width = stamp.shape[:2]
    left, top = round(float(centre[0]) - width / 2), round(float(centre[1]) - height / 2)
    return Box(left, top, left + width, top + height).within(field.shape[1], field.shape[0]), left, top
