"""The cell classes: the only list of their names, order, colours and abbreviations."""

from __future__ import annotations

from dataclasses import dataclass

from leukolens.errors import LeukolensError


@dataclass(frozen=True, slots=True)
class CellClass:
    """One kind of cell that Leukolens, or a person who reviews, can name.

    Attributes:
        key: The name in every document and file, e.g. ``immature_granulocyte``.
        name: The name that a person reads.
        abbreviation: The laboratory's short form, also the reviewer's key.
        colour: sRGB as ``#rrggbb``; told apart under the common colour-vision deficiencies.
        leukocyte: Whether it counts in the differential's denominator.
        form_of: The machine's class that a class of the reviewer's is a form of: what the machine was right to
            answer. None for the machine's own, and where the machine knows nothing of the kind.
    """

    key: str
    name: str
    abbreviation: str
    colour: str
    leukocyte: bool
    form_of: str | None = None

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
"""What the machine may answer."""

OTHER, BLAST, NUCLEATED_RED_CELL = "other", "blast", "nucleated_red_cell"
REVIEW_CLASSES: tuple[CellClass, ...] = (
    CellClass(BLAST, "Blast", "T", "#882200", leukocyte=True),
    CellClass(
        "reactive_lymphocyte", "Reactive lymphocyte", "R", "#aacc88", leukocyte=True, form_of="lymphocyte"
    ),
    CellClass("band", "Band neutrophil", "D", "#00ccee", leukocyte=True, form_of="neutrophil"),
    CellClass(
        "metamyelocyte", "Metamyelocyte", "J", "#0000ee", leukocyte=True, form_of="immature_granulocyte"
    ),
    CellClass("myelocyte", "Myelocyte", "Y", "#6688ee", leukocyte=True, form_of="immature_granulocyte"),
    CellClass("promyelocyte", "Promyelocyte", "P", "#664466", leukocyte=True, form_of="immature_granulocyte"),
    CellClass(NUCLEATED_RED_CELL, "Nucleated red cell", "C", "#eecccc", leukocyte=False, form_of="other"),
    CellClass("smudge", "Smudge cell", "S", "#666644", leukocyte=False, form_of="other"),
)
"""What a person may name besides, and the machine never answers."""

ALL_CLASSES: tuple[CellClass, ...] = (*CLASSES, *REVIEW_CLASSES)
UNSURE = "unsure"
"""What a person says of a cell that has no name; no class."""

_BY_KEY = {cell.key: cell for cell in ALL_CLASSES}


def cell_class(key: str) -> CellClass:
    """The class with this key, the machine's or the reviewer's.

    Raises:
        LeukolensError: Where no class has it.
    """
    try:
        return _BY_KEY[key]
    except KeyError:
        raise LeukolensError(f"{key!r} is no cell class", f"Use one of {', '.join(_BY_KEY)}") from None


def in_order(keys: set[str] | frozenset[str]) -> tuple[str, ...]:
    """The given keys in the order that every table and graph uses: the machine's, then the reviewer's."""
    for key in keys:
        cell_class(key)
    return tuple(key for key in _BY_KEY if key in keys)
