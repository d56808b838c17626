"""The cell classes: the only list of their names, order, colours and abbreviations."""

from __future__ import annotations

from dataclasses import dataclass

from leukolens.errors import LeukolensError


@dataclass(frozen=True, slots=True)
class CellClass:
    """One kind of cell that Leukolens can name.

    Attributes:
        key: The name in every document and file, e.g. ``immature_granulocyte``.
        name: The name that a person reads.
        abbreviation: The laboratory's short form, also the reviewer's key.
        colour: sRGB as ``#rrggbb``; told apart under the common colour-vision deficiencies.
        leukocyte: Whether it counts in the differential's denominator.
    """

    key: str
    name: str
    abbreviation: str
    colour: str
    leukocyte: bool

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as three numbers from 0 to 255."""
        value = int(self.colour[1:], 16)
        return value >> 16, (value >> 8) & 255, value & 255


CLASSES: tuple[CellClass, ...] = (
    CellClass("neutrophil", "Neutrophil", "N", "#0072b2", leukocyte=True),
    CellClass("eosinophil", "Eosinophil", "E", "#d55e00", leukocyte=True),
    CellClass("basophil", "Basophil", "B", "#332288", leukocyte=True),
    CellClass("lymphocyte", "Lymphocyte", "L", "#009e73", leukocyte=True),
    CellClass("monocyte", "Monocyte", "M", "#cc79a7", leukocyte=True),
    CellClass("immature_granulocyte", "Immature granulocyte", "I", "#e69f00", leukocyte=True),
    CellClass("other", "Other", "X", "#666666", leukocyte=False),
)

CLASS_KEYS: tuple[str, ...] = tuple(cell.key for cell in CLASSES)

_BY_KEY = {cell.key: cell for cell in CLASSES}


def cell_class(key: str) -> CellClass:
    """The class with this key.

    Raises:
        LeukolensError: Where no class has it.
    """
    try:
        return _BY_KEY[key]
    except KeyError:
        raise LeukolensError(f"{key!r} is no cell class", f"Use one of {', '.join(CLASS_KEYS)}") from None


def in_order(keys: set[str] | frozenset[str]) -> tuple[str, ...]:
    """The given keys in the order that every table and graph uses."""
    for key in keys:
        cell_class(key)
    return tuple(key for key in CLASS_KEYS if key in keys)
