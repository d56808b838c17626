from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from leukolens.adaptation.onnx_head import Head, head_of, with_head
from leukolens.adaptation.replay import unpack
from leukolens.models.resnet import resnet24
from leukolens.training.crops import framed, samples_of
from leukolens.training.export import to_onnx
from leukolens.training.familiarity import features_of
from leukolens.training.replay import replay_of


@pytest.fixture(scope="module")
def recipe(tiny_recipe):
    return tiny_recipe()


@pytest.fixture(scope="module")
def crops(recipe, crop_cache):
    samples = samples_of(recipe, Path())
    return framed(samples, recipe.classes, recipe.framing, margin=recipe.augment.margin, cache=crop_cache)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return resnet24(2, size=32).eval()


def test_it_holds_what_the_last_layer_sees_of_cells_of_each_class(network, crops, recipe):
    replay = unpack(replay_of(network, crops, recipe), network.num_features, 2)
    assert len(replay.truth) == len(crops)
    np.testing.assert_array_equal(replay.truth, crops.truth)
    np.testing.assert_allclose(
        replay.features, features_of(network, crops.pixels, recipe), rtol=2e-3, atol=1e-5
    )


def test_a_network_without_a_pool_head_has_none(crops, recipe):
    assert replay_of(resnet24(2, head="flatten", size=32), crops, recipe) is None


def test_the_graph_that_export_writes_takes_another_head(network):
    model = to_onnx(network, 32)
    head = head_of(model)
    np.testing.assert_array_equal(head.weight, network.classifier.weight.detach().numpy())
    new = Head(-head.weight + 0.5, head.bias + np.array([3, -2]))
    session = onnxruntime.InferenceSession(with_head(model, new))
    crops = np.random.default_rng(0).uniform(-1, 1, (3, 3, 32, 32)).astype(np.float32)
    logits, maps, features = session.run(["logits", "activation", "features"], {"crops": crops})
    expected = new.logits(features)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(maps.mean(axis=(2, 3)) + new.bias, expected, rtol=1e-4, atol=1e-3)
