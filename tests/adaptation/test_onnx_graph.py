import numpy as np
import pytest

from leukolens.adaptation.onnx_graph import graph_in
from leukolens.errors import BundleError

onnx = pytest.importorskip("onnx")


def test_nodes_and_weights_are_those_that_onnx_itself_finds(graph_of, colour_head):
    model = graph_of(*colour_head)
    graph, oracle = graph_in(model), onnx.load_from_string(model).graph
    assert [(node.operator, node.inputs, node.outputs) for node in graph.nodes] == [
        (node.op_type, tuple(node.input), tuple(node.output)) for node in oracle.node
    ]
    assert set(graph.weights) == {tensor.name for tensor in oracle.initializer}
    for tensor in oracle.initializer:
        found = graph.weights[tensor.name]
        assert (found.shape, found.kind) == (tuple(tensor.dims), tensor.data_type)
        assert model[found.start : found.start + found.length] == tensor.raw_data


def test_whole_numbers_among_attributes_are_read(graph_of, colour_head):
    last = graph_in(graph_of(*colour_head, across=True)).giver("logits")
    assert last is not None
    assert (last.attributes["transB"], last.attributes["alpha"]) == (1, 1)
    scaled = graph_in(graph_of(*colour_head, alpha=0.5)).giver("logits")
    assert scaled is not None
    assert scaled.attributes["alpha"] is None


@pytest.mark.parametrize("wide", [2**7, 2**14, 2**31])
def test_dimensions_of_many_bytes_are_read_packed_and_one_by_one(wide):
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[wide, 3], raw_data=b"1234")
    model = onnx.ModelProto(graph=onnx.GraphProto(initializer=[tensor]))
    assert graph_in(model.SerializeToString()).weights["w"].shape == (wide, 3)
    # The same by hand, packed: field 1 of the tensor as one run of bytes.
    number = b""
    rest = wide
    while rest > 127:
        number, rest = number + bytes([rest & 127 | 128]), rest >> 7
    dims = number + bytes([rest, 3])
    inner = b"\x0a" + bytes([len(dims)]) + dims + b"\x42\x01w"
    outer = b"\x2a" + bytes([len(inner)]) + inner
    assert graph_in(b"\x3a" + bytes([len(outer)]) + outer).weights["w"].shape == (wide, 3)


@pytest.mark.parametrize("cut", [1, 7, 100, -3])
def test_a_model_that_was_cut_is_refused(graph_of, colour_head, cut):
    model = graph_of(*colour_head)
    with pytest.raises(BundleError, match="cannot be taken apart"):
        graph_in(model[:-cut] if cut > 0 else model + b"\xff" * 3)


def test_noise_is_refused_or_holds_no_graph():
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        try:
            assert graph_in(b"\x3a\x7f" + rng.bytes(127)).weights is not None
        except BundleError:
            refused += 1
    assert refused > 150
