"""What many tests share: where the real images are, if anywhere, and a tiny bundle with a known answer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leukolens.bundle import Bundle, pack, unpack
from leukolens.card import Card, Framing, Judgement

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets; the test is skipped, with the reason, where there is none."""
    named = os.environ.get("LEUKOLENS_DATA")
    root = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not root.is_dir():
        pytest.skip(f"no real images at {root}; set LEUKOLENS_DATA")
    return root


# What each class of the tiny bundle likes: the weights of red, green and blue, in taxonomy order.
TINY_WEIGHTS = {
    "neutrophil": (8, -4, -4),
    "eosinophil": (-4, 8, -4),
    "basophil": (-4, -4, 8),
    "lymphocyte": (4, 4, -8),
    "monocyte": (4, -8, 4),
    "immature_granulocyte": (-8, 4, 4),
    "other": (-5, -5, -5),
}
TINY_BIAS = 0.125


def tiny_graph(
    size: int, weights: Any, *, activation: bool = True, features: bool = False, **names: str
) -> bytes:
    """An ONNX graph whose logits are the crop's mean colour times ``weights`` (classes, 3), plus the bias.

    Its features, where it gives any, are that mean colour.
    """
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = np.asarray(weights, np.float32)
    crops, logits = names.get("crops", "crops"), names.get("logits", "logits")
    stride = size // 4
    nodes = [
        helper.make_node("AveragePool", [crops], ["pooled"], kernel_shape=[stride] * 2, strides=[stride] * 2),
        helper.make_node("Conv", ["pooled", "weights"], ["activation"], kernel_shape=[1, 1]),
        helper.make_node("ReduceMean", ["activation"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Add", ["mean", "bias"], [logits]),
    ]
    outputs = [helper.make_tensor_value_info(logits, kind, ["n", len(weights)])]
    if activation:
        outputs.append(helper.make_tensor_value_info("activation", kind, ["n", len(weights), 4, 4]))
    if features:
        nodes.append(helper.make_node("ReduceMean", [crops], ["features"], axes=[2, 3], keepdims=0))
        outputs.append(helper.make_tensor_value_info("features", kind, ["n", 3]))
    bias = np.full(len(weights), TINY_BIAS, np.float32)
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(crops, kind, ["n", 3, size, size])],
        outputs,
        [
            onnx.numpy_helper.from_array(weights[:, :, None, None], "weights"),
            onnx.numpy_helper.from_array(bias, "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


BundleMaker = Callable[..., Bundle]


@pytest.fixture(scope="session")
def make_bundle() -> BundleMaker:
    """Makes tiny bundles that name a crop by its mean colour; a red one is a neutrophil, see the weights."""

    def make(
        *,
        classes: tuple[str, ...] = tuple(TINY_WEIGHTS),
        framing: Framing | None = None,
        judgement: Judgement | None = None,
        graph: bytes | None = None,
        familiarity: bytes | None = None,
        name: str = "tiny",
    ) -> Bundle:
        framing = framing or Framing(size=32, whole_image=True, white_balance=False)
        if graph is None:
            weights = [TINY_WEIGHTS[key] for key in classes]
            graph = tiny_graph(framing.size, weights, features=familiarity is not None)
        card = Card(
            name=name,
            leukolens="0.1.0",
            network="tiny",
            parameters=4 * len(classes),
            recipe="none",
            recipe_sha256="0" * 64,
            seed=0,
            classes=list(classes),
            framing=framing,
            judgement=judgement or Judgement(accept_above=0.8, accepted_accuracy=0.95, chosen_on="made up"),
            learned_from=[],
        )
        return unpack(pack(card, graph, familiarity=familiarity), name)

    return make


@pytest.fixture(scope="session")
def graph_maker() -> Callable[..., bytes]:
    """`tiny_graph`, for tests that want a broken one."""
    return tiny_graph


@pytest.fixture(scope="session")
def shipped_bundle() -> Bundle:
    """The bundle that ships with the package; the test is skipped where there is none yet."""
    path = REPOSITORY / "src" / "leukolens" / "bundles" / "default.leukolens"
    if not path.is_file():
        pytest.skip("no bundle ships with this checkout yet")
    return unpack(path.read_bytes(), str(path))
