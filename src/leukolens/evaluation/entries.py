"""What several JSON documents write alike: a measure with its interval, and how intervals are made."""

from __future__ import annotations

import math
from typing import Any

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
