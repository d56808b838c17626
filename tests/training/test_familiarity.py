"""What a run's network knows of its learned cells goes into its bundle, with limits that held-out cells gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from leukolens import bundle as bundles
from leukolens.card import Judgement
from leukolens.models.resnet import resnet24
from leukolens.reading.classifier import Classifier
from leukolens.reading.familiarity import from_bytes
from leukolens.training import export, session
from leukolens.training.crops import Crops, framed, samples_of
from leukolens.training.familiarity import familiarity_of, features_of, with_limits
from leukolens.training.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Any, crop_cache: Path) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    recipe = tiny_recipe(schedule={"epochs": 1, "batch": 9})
    session.train(recipe, session.Place(out.parent, out, crop_cache, accelerator="cpu"))
    return out


@pytest.fixture(scope="module")
def exported(run: Path, crop_cache: Path) -> bundles.Bundle:
    return export.export_run(run, run / "model.leukolens", root=run.parent, cache=crop_cache)


@pytest.fixture(scope="module")
def parts(run: Path, crop_cache: Path) -> tuple[Crops, Crops]:
    recipe = Run(run).recipe()
    crops = framed(samples_of(recipe, run), recipe.classes, recipe.framing, margin=1.5, cache=crop_cache)
    return session.split(crops, recipe)


def test_features_are_what_the_logits_are_a_linear_map_of(run: Path, parts: tuple[Crops, Crops]) -> None:
    network, recipe = export.trained(Run(run)), Run(run).recipe()
    features = torch.from_numpy(features_of(network, parts[1].pixels, recipe))
    with torch.inference_mode():
        again = network(export.centre(torch.from_numpy(parts[1].pixels), 32, 1.5))
        np.testing.assert_allclose(network.classifier(features).numpy(), again.numpy(), atol=1e-5)
    assert features_of(network, parts[1].pixels[:0], recipe).shape == (0, 512)


def test_the_bundle_measures_what_training_measured(
    run: Path, exported: bundles.Bundle, parts: tuple[Crops, Crops]
) -> None:
    teach, held_out = parts
    network, recipe = export.trained(Run(run)), Run(run).recipe()
    known = familiarity_of(network, teach, recipe)
    assert known is not None
    assert known.kinds == ("drawn/lymphocyte", "drawn/neutrophil")
    assert exported.familiarity == known.to_bytes()
    expected = known.distance(features_of(network, held_out.pixels, recipe))
    answers = Classifier(exported).answers(held_out.pixels[:, 8:40, 8:40])
    assert answers.distance is not None
    np.testing.assert_allclose(answers.distance, expected, rtol=1e-3)
    judgement = exported.card.judgement
    assert judgement.usual_within == pytest.approx(np.quantile(expected, 0.95), rel=1e-6)
    assert judgement.unlike_beyond == pytest.approx(np.quantile(expected, 0.99), rel=1e-6)
    assert judgement.sets == {}  # two photographs a class are too few


def test_it_is_small(exported: bundles.Bundle) -> None:
    assert exported.familiarity is not None
    assert len(exported.familiarity) < 300_000
    assert from_bytes(exported.familiarity).axes.dtype == np.float32


def test_a_network_without_a_pooled_head_knows_nothing(tiny_recipe: Any, parts: tuple[Crops, Crops]) -> None:
    network = resnet24(2, head="flatten", size=32).eval()
    assert familiarity_of(network, parts[0], tiny_recipe()) is None


def test_limits_are_quantiles_of_known_white_cells_and_the_hardest_laboratory() -> None:
    distances = np.concatenate(
        [np.linspace(0, 1, 901), np.full(30, 5.0), np.full(10, 9.0), np.full(100, 99.0)]
    )
    known = np.arange(1041) < 941
    labs = ["large"] * 901 + ["hard"] * 30 + ["too few to tell"] * 10 + ["other cells"] * 100
    found = with_limits(Judgement(temperature=1.5), distances, known, labs)
    assert found.usual_within == np.quantile(distances[:941], 0.95)
    assert found.unlike_beyond == np.quantile(distances[:941], 0.99)
    assert (found.outside_share, found.temperature) == (1.0, 1.5)
    even = with_limits(Judgement(), np.arange(1000.0), np.ones(1000, bool), ["one"] * 1000)
    assert even.outside_share == pytest.approx(0.05)
    assert with_limits(Judgement(), distances, known & False, labs) == Judgement()
