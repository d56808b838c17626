"""On a graph of one convolution, where mean and variance can be told by hand; the torch oracle is in tests/training."""

import numpy as np
import onnxruntime
import pytest

from leukolens.adaptation import renormalise
from leukolens.adaptation.normalisation import Norm
from leukolens.adaptation.onnx_convs import convolutions
from leukolens.adaptation.onnx_weights import values
from leukolens.adaptation.renormalise import LEAST_VARIANCE, renormalised, views
from leukolens.errors import BundleError
from leukolens.reading.inputs import scaled

SCALE = np.array([1, 0.5, 2, 1, 1, 3], np.float32)
SHIFT = np.array([0, 0.5, -1, 2, 0, 0], np.float32)


@pytest.fixture
def model(graph_of, colour_head):
    return graph_of(*colour_head)


@pytest.fixture
def norms():
    return {"mixing": Norm(SCALE, SHIFT)}


@pytest.fixture
def crops():
    """Of 16 plain patches each, whose colours the graph's pooling leaves as they are."""
    patches = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
    return patches.repeat(8, axis=1).repeat(8, axis=2)


def maps_of(model, crops):
    """What the convolution gives, (n, channels, 4, 4), by its definition."""
    (place,) = convolutions(model, {"mixing": Norm(SCALE, SHIFT)})
    pooled = scaled(crops).reshape(-1, 3, 4, 8, 4, 8).mean(axis=(3, 5), dtype=np.float64)
    weight = values(model, place.weight).reshape(6, 3)
    return np.einsum("oc,ncij->noij", weight, pooled) + values(model, place.bias)[:, None, None]


def test_means_and_deviations_become_those_that_normalisation_gave(model, norms, crops):
    maps = maps_of(renormalised(model, norms, crops, prior=0), views(crops))
    np.testing.assert_allclose(maps.mean(axis=(0, 2, 3)), SHIFT, atol=1e-5)
    np.testing.assert_allclose(maps.std(axis=(0, 2, 3)), SCALE, rtol=1e-4)


def test_the_learned_statistics_count_as_their_cells(model, norms, crops):
    before = (maps_of(model, views(crops)) - SHIFT[:, None, None]) / SCALE[:, None, None]
    mean, variance = before.mean(axis=(0, 2, 3)), before.var(axis=(0, 2, 3))
    for prior in (5.0, 20.0, 80.0):
        after = maps_of(renormalised(model, norms, crops, prior=prior), views(crops))
        share = 20 / (20 + prior)
        expected = (before - share * mean[:, None, None]) / np.sqrt(share * variance + 1 - share)[
            :, None, None
        ]
        np.testing.assert_allclose(
            (after - SHIFT[:, None, None]) / SCALE[:, None, None], expected, atol=1e-4, rtol=1e-4
        )


def test_learned_statistics_of_endless_weight_change_no_byte(model, norms, crops):
    assert renormalised(model, norms, crops, prior=np.inf) == model


def test_a_channel_that_normalisation_switched_off_is_left_alone(model, crops):
    scale = SCALE.copy()
    scale[2] = 1e-5
    norms = {"mixing": Norm(scale, SHIFT)}
    (place,) = convolutions(model, norms)
    changed = renormalised(model, norms, crops, prior=0)
    before, after = (values(one, place.weight).reshape(6, 3) for one in (model, changed))
    assert [bool((after[row] == before[row]).all()) for row in range(6)] == [False] * 2 + [True] + [False] * 3
    assert values(changed, place.bias)[2] == values(model, place.bias)[2]


def test_a_channel_that_never_changes_here_is_not_blown_up(model, norms):
    plain = np.full((4, 32, 32, 3), 200, np.uint8)
    (place,) = convolutions(model, norms)
    before, after = (values(one, place.weight) for one in (model, renormalised(model, norms, plain, prior=0)))
    np.testing.assert_allclose(after, before / np.sqrt(LEAST_VARIANCE), rtol=1e-5)


def test_threads_change_no_byte(model, norms, crops):
    assert renormalised(model, norms, crops, threads=3) == renormalised(model, norms, crops)


def test_the_runtime_gives_the_features_that_the_new_weights_say(model, norms, crops):
    changed = renormalised(model, norms, crops)
    session = onnxruntime.InferenceSession(changed)
    (features,) = session.run(["features"], {"crops": scaled(crops)})
    np.testing.assert_allclose(features, maps_of(changed, crops).mean(axis=(2, 3)), atol=1e-5)


def test_another_networks_normalisation_is_refused(model, norms, crops):
    with pytest.raises(BundleError, match="no convolution has the weights"):
        renormalised(model, {"other": norms["mixing"]}, crops)


class TestViews:
    def test_each_cell_is_seen_from_four_sides(self, crops):
        seen = views(crops)
        assert len(seen) == 80
        for turn in range(4):
            np.testing.assert_array_equal(seen[20 * turn + 3], np.rot90(crops[3], turn))

    @pytest.mark.parametrize(("most", "expected"), [(80, 80), (79, 60), (45, 40), (20, 20), (7, 7)])
    def test_of_many_cells_there_are_fewer(self, crops, monkeypatch, most, expected):
        monkeypatch.setattr(renormalise, "MOST_PIXELS", most * 32**2)
        assert len(views(crops)) == expected

    def test_of_very_many_an_even_choice_is_taken(self, crops, monkeypatch):
        monkeypatch.setattr(renormalise, "MOST_PIXELS", 3 * 32**2)
        np.testing.assert_array_equal(views(crops), crops[[0, 10, 19]])
