from collections import Counter

import numpy as np
import pytest

from leukolens.adaptation.replay import LARGEST, Replay, chosen, pack, room, unpack
from leukolens.errors import BundleError


@pytest.fixture
def replay():
    rng = np.random.default_rng(0)
    return Replay(rng.gamma(1, 1, (30, 8)).astype(np.float32), np.arange(30) % 3)


def test_it_comes_back_in_half_precision(replay):
    again = unpack(pack(replay), 8, 3)
    np.testing.assert_allclose(again.features, replay.features, rtol=1e-3)
    np.testing.assert_array_equal(again.truth, replay.truth)


def test_equal_replays_give_equal_bytes(replay):
    assert pack(replay) == pack(replay)


@pytest.mark.parametrize("width", [512, 2048])
def test_as_many_as_there_is_room_for_fit_in_a_bundle(width):
    features = np.random.default_rng(0).gamma(1, 1, (room(width), width)).astype(np.float32)
    assert len(features) >= 100
    assert len(pack(Replay(features, np.zeros(room(width), np.int64)))) < LARGEST


def test_more_than_fits_is_refused():
    features = np.random.default_rng(0).normal(size=(600, 512)).astype(np.float32)
    with pytest.raises(BundleError, match="too large"):
        pack(Replay(features, np.zeros(600, np.int64)))


def test_scarce_kinds_are_taken_whole_and_the_rest_is_shared_evenly():
    truth = np.array([0] * 100 + [1] * 100 + [1] * 5)
    labs = ["a"] * 100 + ["a"] * 50 + ["b"] * 50 + ["c"] * 5
    index = chosen(truth, labs, np.random.default_rng(0), most=65)
    assert Counter((truth[place], labs[place]) for place in index) == {
        (0, "a"): 20, (1, "a"): 20, (1, "b"): 20, (1, "c"): 5,
    }  # fmt: skip
    assert index.tolist() == sorted(set(index.tolist()))


def test_no_more_are_chosen_than_there_are():
    assert chosen(np.zeros(3, np.int64), ["a"] * 3, np.random.default_rng(0), 9).tolist() == [0, 1, 2]
    assert len(chosen(np.zeros(0, np.int64), [], np.random.default_rng(0), 9)) == 0


@pytest.mark.parametrize(("width", "classes"), [(9, 3), (8, 2)])
def test_another_bundles_is_refused(replay, width, classes):
    with pytest.raises(BundleError, match="replay is damaged"):
        unpack(pack(replay), width, classes)


def test_a_damaged_one_is_refused(replay):
    content = pack(replay)
    for broken in (b"", content[:100], b"PK" + content[40:], content[:60] + bytes(60) + content[120:]):
        with pytest.raises(BundleError, match="replay is damaged"):
            unpack(broken, 8, 3)


def test_balanced_share_weighs_classes_alike():
    replay = Replay(np.zeros((4, 1), np.float32), np.array([0, 0, 0, 1]))
    always_first = np.array([[1.0, 0.0]] * 4)
    assert replay.balanced(always_first) == 0.5
    assert replay.only(np.array([True, True, False, False])).balanced(always_first[:2]) == 1.0
