from dataclasses import replace

import numpy as np
import pytest

from leukolens.adaptation.normalisation import Norm
from leukolens.adaptation.onnx_convs import Affine, convolutions, with_outputs
from leukolens.errors import BundleError

onnx = pytest.importorskip("onnx")

ONE = np.ones(6, np.float32)
MIXING = {"mixing": Norm(ONE, 0 * ONE)}


@pytest.fixture
def model(graph_of, colour_head):
    return graph_of(*colour_head)


def edited(model, change):
    graph = onnx.load_from_string(model)
    change(graph.graph)
    return graph.SerializeToString()


def test_a_convolution_is_found_by_the_name_of_its_weights(model):
    (found,) = convolutions(model, MIXING)
    assert (found.output, found.weight.name, found.bias.name) == ("map", "mixing", "middle")


def test_its_changed_weights_are_those_that_onnx_would_have_written(model):
    rng = np.random.default_rng(0)
    change = Affine(rng.uniform(0.5, 2, 6), rng.normal(size=6))
    (place,) = convolutions(model, MIXING)

    def scaled(graph):
        for tensor in graph.initializer:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float64)
            if tensor.name == "mixing":
                values = values * change.factor[:, None, None, None]
            elif tensor.name == "middle":
                values = values * change.factor + change.offset
            else:
                continue
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), tensor.name))

    assert with_outputs(model, {place: change}) == edited(model, scaled)


def other_type(graph):
    for tensor in graph.initializer:
        if tensor.name == "mixing":
            values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def not_raw(graph):
    for tensor in graph.initializer:
        if tensor.name == "mixing":
            values = onnx.numpy_helper.to_array(tensor).ravel().tolist()
            tensor.ClearField("raw_data")
            tensor.float_data.extend(values)


def twice(graph):
    graph.node.add().CopyFrom(graph.node[1])
    graph.node[-1].output[0] = "again"


def no_bias(graph):
    del graph.node[1].input[2]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (other_type, "'mixing' are not kept as plain float32"),
        (not_raw, "'mixing' are not kept as plain float32"),
        (twice, "'mixing' serve two layers"),
        (no_bias, "convolution of 'mixing' has no bias"),
    ],
)
def test_a_graph_of_another_build_is_refused(model, change, why):
    with pytest.raises(BundleError, match=why) as caught:
        convolutions(edited(model, change), MIXING)
    assert "leukolens export" in caught.value.remedy


def test_another_networks_normalisation_is_refused(model):
    with pytest.raises(BundleError, match="no convolution has the weights 'elsewhere'"):
        convolutions(model, {**MIXING, "elsewhere": MIXING["mixing"]})
    with pytest.raises(BundleError, match="and 4 channels are known"):
        convolutions(model, {"mixing": Norm(ONE[:4], ONE[:4])})


def test_what_is_no_number_is_not_written(model):
    (place,) = convolutions(model, MIXING)
    change = Affine(np.ones(6), np.zeros(6))
    for broken in (replace(change, factor=np.full(6, np.inf)), replace(change, offset=np.full(6, np.nan))):
        with pytest.raises(BundleError, match="no number"):
            with_outputs(model, {place: broken})
