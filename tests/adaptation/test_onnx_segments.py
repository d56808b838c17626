from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from leukolens.adaptation.onnx_segments import loaded, run, segments
from leukolens.errors import BundleError

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def model():
    """Two branches that meet again: what the first gives is still needed two nodes later."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["crops", "w1", "b1"], ["one"]),
        helper.make_node("Relu", ["one"], ["positive"]),
        helper.make_node("Conv", ["positive", "w2", "b2"], ["two"]),
        helper.make_node("Relu", ["two"], ["again"]),
        helper.make_node("Conv", ["again", "w3", "b3"], ["three"]),
        helper.make_node("Add", ["three", "positive"], ["sum"]),
        helper.make_node("ReduceMean", ["sum", "axes"], ["features"], keepdims=0),
    ]
    shapes = {"w1": (4, 3, 3, 3), "w2": (4, 4, 1, 1), "w3": (4, 4, 1, 1), "b1": (4,), "b2": (4,), "b3": (4,)}
    weights = [
        onnx.numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    weights.append(onnx.numpy_helper.from_array(np.array([2, 3]), "axes"))
    given = helper.make_tensor_value_info("crops", kind, ["n", 3, 8, 8])
    gives = helper.make_tensor_value_info("features", kind, ["n", 4])
    graph = helper.make_graph(nodes, "branches", [given], [gives], weights)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8
    ).SerializeToString()


@pytest.fixture(scope="module")
def crops():
    return np.random.default_rng(1).normal(size=(5, 3, 8, 8)).astype(np.float32)


def oracle(model, names, crops):
    """The whole graph's tensors of these names, by ONNX Runtime."""
    whole = onnx.load_from_string(model)
    for name in names:
        whole.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return onnxruntime.InferenceSession(whole.SerializeToString()).run(list(names), {"crops": crops})


def test_pieces_in_turn_give_what_the_whole_gives(model, crops):
    cuts = ["one", "two", "three", "features"]
    values = {"crops": crops}
    for segment, expected in zip(segments(model, cuts), oracle(model, cuts, crops), strict=True):
        run(loaded(segment), segment, values)
        np.testing.assert_allclose(values[segment.gives[-1]], expected, atol=1e-5)
    assert set(values) == {"features"}


def test_what_is_changed_between_pieces_is_what_the_next_sees(model, crops):
    first, second = segments(model, ["one", "features"])
    values = {"crops": crops}
    run(loaded(first), first, values)
    values["one"] *= 0
    run(loaded(second), second, values)
    nothing = oracle(model, ["features"], np.zeros_like(crops))[0]
    # Zero is what a first layer without weights and bias gives.
    bare = onnx.load_from_string(model)
    for tensor in bare.graph.initializer:
        if tensor.name in ("w1", "b1"):
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(np.zeros(tuple(tensor.dims), np.float32), tensor.name)
            )
    expected = oracle(bare.SerializeToString(), ["features"], crops)[0]
    np.testing.assert_allclose(values["features"], expected, atol=1e-5)
    assert not np.allclose(nothing, expected)


def test_only_what_is_needed_is_kept(model):
    found = segments(model, ["one", "two", "three"])
    assert [segment.given for segment in found] == [("crops",), ("one",), ("two",)]
    assert [segment.kept for segment in found] == [{"one"}, {"two"}, {"three"}]
    whole = segments(model, ["one", "two", "three", "features"])
    assert [segment.kept for segment in whole] == [
        {"one"}, {"two", "positive"}, {"three", "positive"}, {"features"},
    ]  # fmt: skip


@pytest.mark.parametrize("cuts", [["elsewhere"], ["two", "one"], ["one", "one"]])
def test_a_tensor_that_no_node_gives_in_this_order_is_refused(model, cuts):
    with pytest.raises(BundleError, match="gives no '"):
        segments(model, cuts)


def test_a_piece_that_cannot_be_loaded_or_run_is_refused(model, crops):
    (segment,) = segments(model, ["one"])
    with pytest.raises(BundleError, match="cannot run"):
        loaded(replace(segment, model=b"none"))
    with pytest.raises(BundleError, match="cannot run"):
        run(loaded(segment), segment, {"crops": crops[:, :2]})
