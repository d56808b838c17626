from pathlib import Path

import numpy as np
import pytest

from leukolens.datasets.base import Sample
from leukolens.datasets.blood_cells import DOUBTFUL
from leukolens.errors import DataError
from leukolens.evaluation.intervals import Interval, percentile_interval
from leukolens.evaluation.measures import headline, headline_draws
from leukolens.evaluation.official_test import (
    fields_in_train,
    over_seeds,
    variants,
)
from leukolens.evaluation.predictions import Predictions


@pytest.fixture
def official(drawn):
    """TEST as it is: 48, 13, 6 and 4 photographs, named as blood-cells names them."""

    def make(seed):
        # One draw says how many copies there are, so that every seed answers the same images.
        frame, answers = drawn(0, photographs=(48, 13, 6, 4)), drawn(seed, photographs=(48, 13, 6, 4))
        rows = answers.probabilities[np.arange(len(frame)) % len(answers)]
        first_monocyte = {"blood-cells/TEST/MONOCYTE/0": DOUBTFUL}
        named = (group.replace("lab/", "blood-cells/") for group in frame.groups)
        groups = tuple(first_monocyte.get(group, group) for group in named)
        return Predictions(frame.classes, frame.images, groups, frame.truth, rows)

    return make


SHARED = {"blood-cells/TEST/NEUTROPHIL/3", "blood-cells/TEST/EOSINOPHIL/1", "blood-cells/TEST/NEUTROPHIL/999"}


def test_the_three_variants_stand_beside_each_other(official):
    predictions = official(0)
    everything, clean, settled = variants(predictions, SHARED)
    assert everything.headline == headline(predictions)
    assert everything.left_out == ()
    assert clean.left_out == ("blood-cells/TEST/EOSINOPHIL/1", "blood-cells/TEST/NEUTROPHIL/3")
    assert settled.left_out == (DOUBTFUL,)
    assert [variant.headline.groups for variant in (everything, clean, settled)] == [71, 69, 70]
    kept = np.array([group != DOUBTFUL for group in predictions.groups])
    assert settled.headline.accuracy.value == pytest.approx(predictions.correct[kept].mean())
    assert settled.headline.images == kept.sum()


def test_only_test_may_be_asked_the_official_question(drawn):
    with pytest.raises(DataError, match="is no photograph of blood-cells TEST"):
        variants(drawn(), set())


def test_fields_of_train_are_found_through_the_samples():
    def sample(split, source, field=""):
        folder = split.split("_")[0].upper()
        return Sample(
            Path(f"{split}{source}.jpeg"), "monocyte", "blood-cells", split, f"{folder}/{source}", field
        )

    shown_twice = [
        sample("train", 4, "field a"),
        sample("test", 0, "field a"),
        sample("test_simple", 0, "field a"),
    ]
    alone = [
        sample("train", 5),
        sample("test", 1),
        sample("test", 2, "field b"),
        sample("test", 3, "field b"),
    ]
    assert fields_in_train(shown_twice + alone) == {"TEST/0"}


def test_over_seeds_gives_mean_spread_and_the_means_interval(official):
    runs = [official(seed) for seed in range(3)]
    table = over_seeds(runs, SHARED)
    assert len(table) == 9
    first = table[0]
    assert (first.variant, first.figure) == ("all", "accuracy")
    assert first.values == pytest.approx([run.correct.mean() for run in runs])
    assert first.mean.value == pytest.approx(np.mean(first.values))
    assert first.spread == pytest.approx(np.std(first.values, ddof=1))
    draws = sum(headline_draws(run)[:, 0] for run in runs) / 3
    assert first.mean.interval == percentile_interval(draws)
    assert isinstance(first.mean.interval, Interval)


def test_a_single_seed_has_no_spread(official):
    only = over_seeds([official(0)], SHARED)[0]
    assert np.isnan(only.spread)
    assert only.mean.interval == headline(official(0)).accuracy.interval


def test_seeds_must_have_answered_the_same_images(official):
    part = official(1).only(np.arange(len(official(1))) > 3)
    with pytest.raises(DataError, match="did not answer the same images"):
        over_seeds([official(0), part], SHARED)
