"""The official test: blood-cells TEST in three variants beside each other, and over several seeds.

TEST's images descend from 71 photographs. Some show a field that TRAIN shows too, and the label of one
monocyte photograph, a quarter of all TEST monocytes' sources, is doubtful: it looks like a neutrophil
precursor. Neither may be dropped quietly, so every figure is given with and without.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

from leukolens.datasets.base import Sample
from leukolens.datasets.blood_cells import DOUBTFUL
from leukolens.errors import DataError
from leukolens.evaluation.intervals import FEWEST_GROUPS, percentile_interval
from leukolens.evaluation.measures import Headline, Measure, headline, headline_draws
from leukolens.evaluation.predictions import Predictions

FOUR_CLASSES = ("neutrophil", "eosinophil", "lymphocyte", "monocyte")
HELD_OUT_PREFIX = "blood-cells/TEST/"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of asking the official question.

    Attributes:
        name: Short, for tables and the ledger.
        description: What was left out, in a sentence.
        left_out: Groups that are left out and were there.
        headline: The figures of the rest.
    """

    name: str
    description: str
    left_out: tuple[str, ...]
    headline: Headline


def fields_in_train(samples: Sequence[Sample]) -> frozenset[str]:
    """The groups of TEST whose field stands in TRAIN too.

    Args:
        samples: Of blood-cells, all splits.
    """
    taught = {sample.field for sample in samples if sample.split == "train" and sample.field}
    return frozenset(sample.group for sample in samples if sample.split != "train" and sample.field in taught)


def variant_predictions(
    predictions: Predictions, shared: AbstractSet[str]
) -> tuple[tuple[str, str, Predictions], ...]:
    """Name, description and predictions of each of the three variants.

    Args:
        predictions: Of blood-cells TEST or TEST_SIMPLE.
        shared: From ``fields_in_train``.

    Raises:
        DataError: Where an image is not of TEST, or a variant keeps no image.
    """
    strangers = [group for group in predictions.groups if not group.startswith(HELD_OUT_PREFIX)]
    if strangers or not len(predictions):
        raise DataError(
            f"{strangers[0] if strangers else 'nothing'} is no photograph of blood-cells TEST",
            "Ask the official question of blood-cells' test split alone",
        )
    chosen = []
    for name, description, left_out in (
        ("all", "All of TEST", frozenset[str]()),
        ("field not in TRAIN", "Without the photographs whose field also stands in TRAIN", shared),
        (
            "without monocyte _0_",
            "Without the monocyte photograph whose label is doubtful, with shared fields",
            frozenset({DOUBTFUL}),
        ),
    ):
        kept = predictions.only(np.array([group not in left_out for group in predictions.groups]))
        if not len(kept):
            raise DataError(f"no image is left for {name!r}", "Ask about all of TEST")
        chosen.append((name, description, kept))
    return tuple(chosen)


def variants(predictions: Predictions, shared: AbstractSet[str]) -> tuple[Variant, ...]:
    """The three variants with their figures; arguments as for ``variant_predictions``."""
    everything = set(predictions.groups)
    return tuple(
        Variant(name, description, tuple(sorted(everything - set(kept.groups))), headline(kept))
        for name, description, kept in variant_predictions(predictions, shared)
    )


@dataclass(frozen=True, slots=True)
class OverSeeds:
    """One figure of a recipe trained from several seeds.

    Attributes:
        variant: Of the official question.
        figure: *accuracy*, *balanced accuracy* or *photograph accuracy*.
        values: One a seed.
        mean: Their mean; its interval resamples photographs, the same ones for every seed.
        spread: Their standard deviation (n - 1); NaN for a single seed.
    """

    variant: str
    figure: str
    values: tuple[float, ...]
    mean: Measure
    spread: float


FIGURES = ("accuracy", "balanced accuracy", "photograph accuracy")


def over_seeds(runs: Sequence[Predictions], shared: AbstractSet[str]) -> tuple[OverSeeds, ...]:
    """Mean and spread of the three figures of the three variants.

    The interval of a mean says what other photographs would have changed, the spread what another seed
    would have; the one does not hold the other.

    Args:
        runs: Predictions of the same images, one a seed.
        shared: From ``fields_in_train``.

    Raises:
        DataError: Where the runs did not answer the same images.
    """
    if not runs or any(set(run.images) != set(runs[0].images) for run in runs):
        raise DataError("these runs did not answer the same images", "Evaluate each on the whole of TEST")
    asked = [variant_predictions(run, shared) for run in runs]
    table = []
    for position, (name, _, first) in enumerate(asked[0]):
        kept = [run[position][2] for run in asked]
        headlines = [headline(predictions) for predictions in kept]
        draws = np.mean([headline_draws(predictions) for predictions in kept], axis=0)
        enough = len(set(first.groups)) >= FEWEST_GROUPS
        for column, figure in enumerate(FIGURES):
            values = np.array([getattr(line, figure.replace(" ", "_")).value for line in headlines])
            mean = Measure(float(values.mean()), percentile_interval(draws[:, column]) if enough else None)
            spread = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
            table.append(OverSeeds(name, figure, tuple(values.tolist()), mean, spread))
    return tuple(table)
