"""Red cells that a publisher boxed, as samples of *other*."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from leukolens.datasets.base import CellDataset, Sample
from leukolens.datasets.bccd import Bccd
from leukolens.datasets.raabin import Raabin
from leukolens.errors import DataError
from leukolens.taxonomy import OTHER

REACH = 2.0
"""How much wider than a red cell's box what is framed around it may be."""


def red_cells_beside(dataset: CellDataset, samples: Iterable[Sample], most: int) -> Iterator[Sample]:
    """Red cells beside the white cells of these samples, as if a finder had taken them for white ones.

    Args:
        dataset: Whose samples they are.
        samples: What to look beside; a red cell has its photograph's group, and its box.
        most: Of one photograph; those that come first where it has more.

    Yields:
        Those whose surroundings reach no white cell.

    Raises:
        DataError: Where the set has no boxes of red cells, or they cannot be read.
    """
    if not isinstance(dataset, Bccd | Raabin):
        raise DataError(
            f"{dataset.name} has no boxes of red cells", f"Ask for those of {Bccd.name} or {Raabin.name}"
        )
    for sample in samples:
        boxes = dataset.boxes(sample.path)
        white = [each.box for each in boxes if each.kind == "white_cell"]
        red = [each.box for each in boxes if each.kind == "red_cell"]
        apart = [box for box in red if not any(box.grown(REACH).meets(other) for other in white)]
        for box in apart[:most]:
            yield replace(sample, label=OTHER, box=box)
