"""A bundle whose features are known: each is the share of one colour, and the last layer is plain to see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leukolens.adaptation.replay import Replay
from leukolens.adaptation.replay import pack as pack_replay
from leukolens.bundle import Bundle, pack, unpack
from leukolens.card import Card, Framing, Judgement

onnx = pytest.importorskip("onnx")

CLASSES = ("neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte")
WIDTH = 6
# The colour that the bundle was taught for each class, as shares of red, green and blue.
COLOURS = {
    "neutrophil": (0.5, 0.1, 0.1),
    "eosinophil": (0.1, 0.5, 0.1),
    "basophil": (0.1, 0.1, 0.5),
    "lymphocyte": (0.5, 0.5, 0.1),
    "monocyte": (0.1, 0.5, 0.5),
}
MIXING = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0], [0, 0.5, 0.5], [0.3, 0.3, 0.3]], dtype=np.float32
)


def features_at(colours: np.ndarray) -> np.ndarray:
    """What the graph's features are of plain colours, shares (n, 3)."""
    return np.asarray(colours @ MIXING.T, np.float32)


def taught_head() -> tuple[np.ndarray, np.ndarray]:
    """A last layer that names the nearest of the taught colours."""
    rows = features_at(np.array([COLOURS[key] for key in CLASSES]))
    return (20 * rows).astype(np.float32), (-10 * (rows**2).sum(axis=1)).astype(np.float32)


def make_graph(
    weight: np.ndarray, bias: np.ndarray, *, across: bool = True, operator: str = "Gemm", shared: bool = False,
    features: str = "features", alpha: float = 1.0, external: bool = False, doubled: bool = False,
) -> bytes:  # fmt: skip
    """crops -> 1x1 convolution (the mixing, of value / 2 + 1 / 2) -> mean -> the last layer, and its maps."""
    helper, tensor = onnx.helper, onnx.numpy_helper.from_array
    kind = onnx.TensorProto.FLOAT
    stored = weight if across else np.ascontiguousarray(weight.T)
    layer = (
        helper.make_node("Gemm", [features, "weight", "bias"], ["logits"], transB=int(across), alpha=alpha)
        if operator == "Gemm"
        else helper.make_node("MatMul", [features, "weight"], ["logits"])
    )
    nodes = [
        helper.make_node("AveragePool", ["crops"], ["pooled"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Conv", ["pooled", "mixing", "middle"], ["map"], kernel_shape=[1, 1]),
        helper.make_node("ReduceMean", ["map"], [features], axes=[2, 3], keepdims=0),
        layer,
        helper.make_node(
            "Conv", ["map", "weight4" if not shared else "again"], ["activation"], kernel_shape=[1, 1]
        ),
    ]
    weights = [
        tensor(MIXING[:, :, None, None] / (1 if doubled else 2), "mixing"),
        tensor(MIXING.sum(axis=1) / (1 if doubled else 2), "middle"),
        tensor(stored.astype(np.float32), "weight"),
        tensor(bias.astype(np.float32), "bias"),
    ]
    if shared:
        nodes.insert(-1, helper.make_node("Unsqueeze", ["weight", "axes"], ["again"]))
        weights.append(tensor(np.array([2, 3], np.int64), "axes"))
    else:
        weights.append(tensor(weight.astype(np.float32)[:, :, None, None], "weight4"))
    if external:
        for initialiser in weights:
            if initialiser.name == "weight":
                values = onnx.numpy_helper.to_array(initialiser).ravel().tolist()
                initialiser.ClearField("raw_data")
                initialiser.float_data.extend(values)
    outputs = [
        helper.make_tensor_value_info("logits", kind, ["n", len(weight)]),
        helper.make_tensor_value_info(features, kind, ["n", WIDTH]),
        helper.make_tensor_value_info("activation", kind, ["n", len(weight), 4, 4]),
    ]
    given = helper.make_tensor_value_info("crops", kind, ["n", 3, 32, 32])
    graph = helper.make_graph(nodes, "colours", [given], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def graph_of() -> Callable[..., bytes]:
    """`make_graph`."""
    return make_graph


@pytest.fixture(scope="session")
def colour_head() -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of `taught_head`."""
    return taught_head()


@pytest.fixture(scope="session")
def colour_bundle() -> Bundle:
    """The bundle, with a replay of ten cells a class."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(len(CLASSES)), 10)
    colours = np.array([COLOURS[CLASSES[label]] for label in truth]) + rng.normal(0, 0.03, (len(truth), 3))
    replay = pack_replay(Replay(features_at(colours), truth))
    card = Card(
        name="colours", leukolens="0.1.0", network="colours", parameters=35, recipe="none",
        recipe_sha256="0" * 64, seed=0, classes=list(CLASSES),
        framing=Framing(size=32, whole_image=True, white_balance=False),
        judgement=Judgement(accept_above=0.6, temperature=1.0), learned_from=[],
    )  # fmt: skip
    return unpack(pack(card, make_graph(*taught_head()), replay=replay), "colours")


LabMaker = Callable[..., Path]


@pytest.fixture
def make_lab(tmp_path: Path) -> LabMaker:
    """Writes a laboratory's folder of class folders: the taught colours, moved by this laboratory's stain."""

    def make(
        counts: dict[str, int], *, stain: tuple[float, float, float] = (0, 0, 0), name: str = "lab", seed: int = 0,
        noise: float = 0.03, copies: int = 1,
    ) -> Path:  # fmt: skip
        rng = np.random.default_rng(seed)
        root = tmp_path / name
        for key, count in counts.items():
            (root / key).mkdir(parents=True)
            for index in range(count):
                colour = np.array(COLOURS[key]) + stain + rng.normal(0, noise, 3)
                # Speckles of its own, so that no two pictures are taken for copies of one.
                speckle = rng.normal(0, 0.08, (8, 8, 3))
                speckle -= speckle.mean(axis=(0, 1))
                pixels = np.clip(255 * (colour + np.kron(speckle, np.ones((4, 4, 1)))), 0, 255)
                image = Image.fromarray(pixels.round().astype(np.uint8))
                for copy in range(copies):
                    image.save(root / key / f"{index:03d}-{copy}.png")
        return root

    return make
