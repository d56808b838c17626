import io

import numpy as np
import pytest

from leukolens.adaptation.normalisation import LARGEST, Norm, pack, unpack
from leukolens.errors import BundleError


@pytest.fixture
def norms():
    rng = np.random.default_rng(0)
    return {
        name: Norm(rng.random(width, dtype=np.float32), rng.random(width, dtype=np.float32))
        for name, width in (("network.conv.weight", 4), ("network.stages.0.0.conv1.weight", 7))
    }


def archive(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_it_comes_back_as_it_was(norms):
    again = unpack(pack(norms))
    assert set(again) == set(norms)
    for name, norm in norms.items():
        np.testing.assert_array_equal(again[name].scale, norm.scale)
        np.testing.assert_array_equal(again[name].shift, norm.shift)


def test_equal_ones_give_equal_bytes_in_any_order(norms):
    assert pack(dict(reversed(norms.items()))) == pack(norms)


def test_each_is_a_plain_array_of_scale_and_shift(norms):
    with np.load(io.BytesIO(pack(norms)), allow_pickle=False) as stored:
        pair = stored["network.conv.weight"]
    assert (pair.dtype, pair.shape) == (np.float32, (2, 4))
    np.testing.assert_array_equal(pair[0], norms["network.conv.weight"].scale)


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({}, "is empty"),
        ({"w": np.ones((2, 3))}, r"'w' is float64 \(2, 3\)"),
        ({"w": np.ones((3, 2), np.float32)}, r"'w' is float32 \(3, 2\)"),
        ({"w": np.ones(2, np.float32)}, r"'w' is float32 \(2,\)"),
        ({"w": np.ones((2, 0), np.float32)}, r"'w' is float32 \(2, 0\)"),
        ({"w": np.full((2, 3), np.nan, np.float32)}, "no number"),
        ({"w": np.array([[None], [None]])}, r"cannot be read \(ValueError\)"),
        ({"w": np.zeros((2, LARGEST // 8), np.float32)}, r"cannot be read \(ValueError\)"),
    ],
    ids=["empty", "double", "three rows", "flat", "no channel", "nan", "pickled", "too large"],
)
def test_what_is_no_scale_and_shift_is_refused(arrays, why):
    with pytest.raises(BundleError, match=why) as caught:
        unpack(archive(**arrays))
    assert "Export the bundle" in caught.value.remedy


def test_a_damaged_one_is_refused(norms):
    content = pack(norms)
    for broken in (b"", content[:40], content[:-30], b"PK" + content[2:200]):
        with pytest.raises(BundleError, match="damaged: it cannot be read"):
            unpack(broken)
