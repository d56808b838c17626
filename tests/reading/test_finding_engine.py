"""The engine of a detector gives the graph's numbers, and refuses a graph that does not fit its card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from leukolens.bundle import Bundle
from leukolens.errors import BundleError
from leukolens.reading.engine import FindingEngine

Maker = Callable[..., Bundle]


def field_graph(kinds: int = 3, stride: int = 4, weight: float = 1.0, **names: str) -> bytes:
    """An ONNX graph of a detector whose heat is the mean colour of each four pixels."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    outputs = {names.get("heat", "heat"): kinds, names.get("shape", "shape"): 4}
    given = names.get("fields", "fields")
    nodes = [helper.make_node("AveragePool", [given], ["p"], kernel_shape=[stride] * 2, strides=[stride] * 2)]
    nodes += [helper.make_node("Conv", ["p", f"w-{name}"], [name], kernel_shape=[1, 1]) for name in outputs]
    weights = [
        onnx.numpy_helper.from_array(
            (np.eye(count, 3) * weight).astype(np.float32)[:, :, None, None], f"w-{name}"
        )
        for name, count in outputs.items()
    ]
    graph = helper.make_graph(
        nodes, "fields", [helper.make_tensor_value_info(given, kind, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info(name, kind, ["n", count, "r", "c"]) for name, count in outputs.items()],
        weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def test_the_engine_gives_the_graphs_numbers(make_bundle: Maker, finding_bundle: Maker) -> None:
    engine = FindingEngine(finding_bundle(make_bundle(), field_graph()))
    field = np.random.default_rng(0).uniform(-1, 1, (3, 32, 48)).astype(np.float32)
    heat, shape = engine.peaks(field)
    pooled = field.reshape(3, 8, 4, 12, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(heat, pooled, atol=1e-6)
    np.testing.assert_allclose(shape[:3], pooled, atol=1e-6)
    assert not shape[3].any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fields": "crops"}, "input"), ({"shape": "size"}, "no output"), ({"kinds": 2}, "answers"),
        ({"stride": 8}, "answers"), ({"weight": 1e38}, "no number"),
    ],
)  # fmt: skip
def test_a_detectors_graph_that_does_not_fit_its_card_is_refused(
    changes: dict[str, Any], message: str, make_bundle: Maker,
    capfd: pytest.CaptureFixture[str], finding_bundle: Maker,
) -> None:  # fmt: skip
    graph = field_graph(**changes)
    with pytest.raises(BundleError, match=message):
        FindingEngine(finding_bundle(make_bundle(), graph)).peaks(np.full((3, 32, 32), 9, np.float32))
    assert capfd.readouterr().err == ""
