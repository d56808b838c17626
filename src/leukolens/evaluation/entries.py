"""What several JSON documents write alike: measures with their intervals, how these are made, and mistakes."""

from __future__ import annotations

import math
from typing import Any

from leukolens.evaluation.answers import Mistake
from leukolens.evaluation.intervals import FEWEST_GROUPS, RESAMPLES, SEED
from leukolens.evaluation.measures import Measure

INTERVAL: dict[str, Any] = {
    "percent": 95,
    "method": "percentile bootstrap over groups, drawn within their class",
    "resamples": RESAMPLES,
    "seed": SEED,
    "fewest_groups": FEWEST_GROUPS,
}


def measured(measure: Measure) -> dict[str, float | None]:
    """A measure with the ends of its interval; null where there is none."""
    interval = measure.interval
    return {
        "value": number(measure.value),
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
    }


def number(value: float) -> float | None:
    """The value, or null where it is no number: JSON has none."""
    return value if math.isfinite(value) else None


def mistaken(mistake: Mistake) -> dict[str, Any]:
    """A wrong answer; its box is null where no cell was found."""
    box = mistake.box
    return {
        "image": mistake.image,
        "group": mistake.group,
        "truth": mistake.truth,
        "predicted": mistake.predicted,
        "confidence": mistake.confidence,
        "decision": mistake.decision,
        "box": [box.x0, box.y0, box.x1, box.y1] if box else None,
        "wrong_copies": mistake.wrong,
        "copies": mistake.copies,
    }
