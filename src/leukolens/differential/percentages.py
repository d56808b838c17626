"""From a tally to a differential: percentages with limits, corrected ones, concentrations, and warnings."""

from __future__ import annotations

import numpy as np

from leukolens.differential.confusion import Confusion
from leukolens.differential.correction import corrected_shares
from leukolens.differential.counts import ClassCount, Concentration, Differential, Share, Tally, WhiteCount
from leukolens.differential.limits import cells_to_halve, exact_limits
from leukolens.errors import LeukolensError
from leukolens.taxonomy import cell_class

# Rümke (Triangle 1960; 4:154): 100 cells tell 5 % from 12 % at best; CLSI H20-A2 has each of two observers count 200.
FEW, RATHER_FEW = 100, 200
MANY_UNSURE = 0.1
FEWEST_GROUPS = 9  # fewer get no claim about coverage anywhere in Leukolens
# On held-out cells limits held with 95 groups and more behind a row, and not with 16 (docs/differential.md).
FEW_GROUPS = 90


def differential(
    tally: Tally, *, confusion: Confusion | None = None, white_count: float | None = None
) -> Differential:
    """A sample's differential count.

    Args:
        tally: What was counted.
        confusion: The classifier's, to correct by; None leaves the correction out, as it must be where a
            person has named cells.
        white_count: Total white cells as the analyser gave them, 10^9/L.

    Raises:
        LeukolensError: Where the white count is not above 0, or the confusion is of other classes than
            the tally's.
    """
    if white_count is not None and not 0 < white_count < float("inf"):
        raise LeukolensError(
            f"a white cell count of {white_count:g} x 10^9/L is none", "Give a number above 0, e.g. 7.4"
        )
    corrected = _corrected(tally, confusion) if confusion else {}
    nucleated = _nucleated_per_100(tally)
    total = WhiteCount(white_count, without_nucleated(white_count, nucleated)) if white_count else None
    rows = tuple(_row(key, count, tally, corrected.get(key), total) for key, count in tally.counts.items())
    seen = tally.denominator + tally.unsure
    return Differential(
        tally=tally,
        classes=rows,
        unsure=_share(tally.unsure, seen) if seen else None,
        nucleated_red_cells=nucleated,
        white_count=total,
        confusion_from=confusion.source if confusion else "",
        warnings=(*_warnings(tally, nucleated, total), *(_about(confusion) if confusion else ())),
    )


def together(differential: Differential, keys: tuple[str, ...]) -> ClassCount:
    """Several classes as one row, under the first one's key, without a correction.

    Args:
        differential: The sample.
        keys: Class keys; one without a row has no cell.
    """
    counted = sum(differential.tally.counts.get(key, 0) for key in keys)
    return _row(keys[0], counted, differential.tally, None, differential.white_count)


def without_nucleated(white_count: float, per_100: float | None) -> float:
    """The white cell count without the nucleated red cells that were counted along, same unit.

    ``white_count * 100 / (100 + per_100)`` (Dacie & Lewis, Practical Haematology, 12th ed. 2017, ch. 3).

    Args:
        white_count: As the analyser gave it.
        per_100: Nucleated red cells per 100 leukocytes; None where nobody counted them.
    """
    return white_count if per_100 is None else white_count * 100 / (100 + per_100)


def _row(key: str, count: int, tally: Tally, corrected: Share | None, total: WhiteCount | None) -> ClassCount:
    share = _share(count, tally.denominator, tally.unsure)
    concentration = None
    if total and tally.denominator:
        concentration = Concentration(
            *(total.corrected * percent / 100 for percent in (share.percent, share.low, share.high))
        )
    more = cells_to_halve(count, tally.denominator, unsure=tally.unsure)
    return ClassCount(key, count, share, corrected, concentration, more)


def _share(count: int, total: int, unsure: int = 0) -> Share:
    low, high = exact_limits(count, total, unsure=unsure)
    return Share(100 * count / total if total else 0.0, 100 * low, 100 * high)


def _nucleated_per_100(tally: Tally) -> float | None:
    # An unsure cell is a leukocyte without a name; left out, it would raise the nucleated red cells' number.
    leukocytes = tally.denominator + tally.unsure
    if tally.nucleated_red_cells is None or not leukocytes:
        return None
    return 100 * tally.nucleated_red_cells / leukocytes


def _corrected(tally: Tally, confusion: Confusion) -> dict[str, Share]:
    known = [key for key in confusion.classes if cell_class(key).leukocyte]
    if set(known) != set(tally.counts):
        raise LeukolensError(
            f"the confusion is known for {', '.join(known)}, and the count names {', '.join(tally.counts)}",
            "Correct by the confusion of the bundle that the cells were read with",
        )
    # All that is no leukocyte was answered as the one class that is none; two could not be told apart here.
    outside = [key for key in confusion.classes if key not in known]
    answers = [
        tally.counts.get(key, tally.not_leukocyte if key in outside[:1] else 0) for key in confusion.classes
    ]
    return corrected_shares(confusion, np.array([*answers, tally.unsure], dtype=np.int64))


def _warnings(tally: Tally, nucleated: float | None, total: WhiteCount | None) -> list[str]:
    named, seen = tally.denominator, tally.denominator + tally.unsure
    found = []
    if not named:
        found.append("No leukocyte was named, so there is no differential.")
    elif named < FEW:
        were = "leukocytes were" if named > 1 else "leukocyte was"
        found.append(
            f"Only {named} {were} named: under {FEW}, percentages are too uncertain to report; count more fields."
        )
    elif named < RATHER_FEW:
        found.append(
            f"{named} leukocytes were named: under {RATHER_FEW}, the limits of the rarer classes are wide."
        )
    if tally.unsure > MANY_UNSURE * seen:
        found.append(
            f"{tally.unsure} of {seen} leukocytes have no sure name ({100 * tally.unsure / seen:.0f} %): "
            "review them before using the percentages."
        )
    if total and nucleated is None and tally.nucleated_red_cells:
        found.append(
            "Nucleated red cells were counted but no leukocyte, so the white cell count is not corrected for them."
        )
    return found


def _about(confusion: Confusion) -> list[str]:
    known = {
        cell_class(key).name.lower(): count
        for key, count in zip(confusion.classes, confusion.groups, strict=True)
    }
    none = [f"{name} ({count})" for name, count in known.items() if count < FEWEST_GROUPS]
    few = [f"{name} ({count})" for name, count in known.items() if FEWEST_GROUPS <= count < FEW_GROUPS]
    found = []
    if none:
        found.append(
            f"The correction knows some classes from fewer than {FEWEST_GROUPS} independent groups: {', '.join(none)}; "
            "nothing is claimed of their corrected limits."
        )
    if few:
        found.append(
            f"The correction knows some classes from fewer than {FEW_GROUPS} independent groups: {', '.join(few)}; "
            "their corrected limits may be too narrow."
        )
    return found
