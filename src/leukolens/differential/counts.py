"""What a differential is: counts in, percentages with limits out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Tally:
    """The white cells of one sample, counted.

    Attributes:
        counts: Leukocyte class key to the number of cells so named, in taxonomy order; every leukocyte
            class that the machine could have named has its entry, 0 too, and each that only a person names
            where there is a cell of it.
        unsure: White cells that nobody would put a name to.
        at_edge: Cells cut by a field's edge and so left out.
        not_leukocyte: What was found but is no leukocyte.
        nucleated_red_cells: Counted by a person along the way; None where nobody counted. Those that were
            found among the white cells and named by a person are among ``not_leukocyte`` too.
        blasts: Cells that a person named a blast, those at an edge too.
    """

    counts: Mapping[str, int]
    unsure: int = 0
    at_edge: int = 0
    not_leukocyte: int = 0
    nucleated_red_cells: int | None = None
    blasts: int = 0

    @property
    def denominator(self) -> int:
        """The named leukocytes: what percentages are over."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Share:
    """A percentage with its 95 % limits, all from 0 to 100."""

    percent: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Concentration:
    """Cells in a volume of blood, 10^9/L, with the 95 % limits that the count allows."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ClassCount:
    """One class's row of a differential.

    Attributes:
        key: Class key.
        count: Cells so named.
        share: Percentage of the named leukocytes; limits are exact (Clopper-Pearson) and widened by the
            unsure cells, any of which might or might not belong here.
        corrected: The same after correction for the classifier's known confusion; None where it isn't known.
        concentration: 10^9/L; None where the total white cell count was not given.
        to_halve: How many more cells would have to be counted to halve the width of ``share``'s limits.
    """

    key: str
    count: int
    share: Share
    corrected: Share | None
    concentration: Concentration | None
    to_halve: int


@dataclass(frozen=True, slots=True)
class WhiteCount:
    """The total white cell count that was given, 10^9/L.

    Attributes:
        given: As the analyser gave it.
        corrected: Without the nucleated red cells that an analyser counts along; ``given`` where nobody
            counted those.
    """

    given: float
    corrected: float


@dataclass(frozen=True, slots=True)
class Differential:
    """A sample's differential count.

    Attributes:
        tally: What was counted.
        classes: One row a leukocyte class, in taxonomy order: the machine's, then those that only a person names.
        unsure: The unsure cells' own row: share of named and unsure cells together.
        nucleated_red_cells: Per 100 leukocytes; None where nobody counted them.
        white_count: Total white cells; None where not given.
        confusion_from: The labs and groups that the correction's confusion was measured on; empty where
            there is no correction.
        warnings: What a reader must know before using it, each one sentence.
    """

    tally: Tally
    classes: tuple[ClassCount, ...]
    unsure: Share | None
    nucleated_red_cells: float | None
    white_count: WhiteCount | None
    confusion_from: str
    warnings: tuple[str, ...]

    @property
    def denominator(self) -> int:
        """The named leukocytes: what percentages are over."""
        return self.tally.denominator


@dataclass(frozen=True, slots=True)
class Flag:
    """Something in a differential that a person should review; never a diagnosis.

    Attributes:
        key: ``monocytosis``, ``relative_monocytosis``, ``immature_granulocytes`` and so on.
        message: One sentence: what, by which basis, against which range.
        basis: *absolute*: a concentration; *relative*: a percentage.
        value: What was found, in ``unit``.
        unit: ``10^9/L`` or ``%``.
        low: Lower end of the reference range, in ``unit``; None where it has none.
        high: Upper end, as ``low``.
    """

    key: str
    message: str
    basis: Literal["absolute", "relative"]
    value: float
    unit: str
    low: float | None
    high: float | None
