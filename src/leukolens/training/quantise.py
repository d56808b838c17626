"""A classifier's graph in 8-bit whole numbers, and whether it still says the same."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from leukolens.bundle import Bundle, pack, unpack
from leukolens.card import Quick
from leukolens.datasets.synthetic import DRAWN_CLASSES, draw_single
from leukolens.imaging.framing import frame
from leukolens.reading.choice import WHOLE_NUMBERS, choose
from leukolens.reading.classifier import Classifier
from leukolens.reading.engine import ACTIVATION, INPUT, LOGITS, Engine
from leukolens.reading.inputs import scaled
from leukolens.reading.trust import decide
from leukolens.reading.vectors import Vectors

MOST_CHANGED = 0.002
"""Share of cells that may be given another class; more, and the bundle is not read in whole numbers."""
CALIBRATED_ON = 512
BATCH = 16
DRAWN_EACH = 3


def quickened(bundle: Bundle, teach: NDArray[np.uint8], held_out: NDArray[np.uint8], whence: str) -> Bundle:
    """The bundle with test vectors, and with a graph in whole numbers where that says the same.

    Args:
        bundle: With its judgement.
        teach: Crops that it learned from, uint8 (n, size, size, 3), to calibrate on.
        held_out: Crops to ask of both graphs, as many as there are.
        whence: What these are, in words.

    Returns:
        One without that graph where a larger share than `MOST_CHANGED` changes, or a test vector does.
    """
    card = bundle.card.model_copy(update={"quick": None})
    carrying = replace(bundle, card=card, quick=None, vectors=drawn_vectors(bundle).to_bytes())
    chosen = np.random.default_rng(0).permutation(len(teach))[:CALIBRATED_ON]
    quick = replace(carrying, quick=quantised(bundle.classifier, teach[np.sort(chosen)]))
    if not choose(quick, WHOLE_NUMBERS).note:
        found = compared(
            quick, held_out, f"calibrated on {len(chosen)} crops that taught it, asked of {whence}"
        )
        if found.changed <= MOST_CHANGED:
            carrying = replace(quick, card=card.model_copy(update={"quick": found}))
    return unpack(packed(carrying), bundle.card.name)


def packed(bundle: Bundle) -> bytes:
    """The bundle's file."""
    return pack(bundle.card, bundle.classifier, *bundle.members)


def drawn_vectors(bundle: Bundle) -> Vectors:
    """Drawn cells of every kind, framed as the bundle frames, with what its classifier says of them."""
    rng = np.random.default_rng(0)
    drawn = (draw_single(rng, kind).rgb for kind in DRAWN_CLASSES for _ in range(DRAWN_EACH))
    framed = (frame(rgb, bundle.card.framing) for rgb in drawn)
    crops = np.stack([found[0] for found in framed if found is not None])
    return Vectors(crops, Engine(bundle).logits(scaled(crops)))


def quantised(graph: bytes, crops: NDArray[np.uint8]) -> bytes:
    """The graph with its convolutions in 8-bit whole numbers, weights channel by channel.

    Its last layer stays as it is, in ``logits`` and in ``activation``, so that a laboratory's own can be put in.

    Args:
        graph: A classifier's.
        crops: uint8 (n, size, size, 3), that say how large values get.
    """
    model = onnx.load_from_string(graph)
    last = [node.name for node in model.graph.node if {LOGITS, ACTIVATION} & {*node.output}]
    # What onnxruntime would do before, torch's exporter has done; it warns unless told.
    model.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "quick.onnx"
        quantize_static(
            model, out, _Batches(crops), quant_format=QuantFormat.QDQ, per_channel=True,
            weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8,
            calibrate_method=CalibrationMethod.MinMax, nodes_to_exclude=last,
        )  # fmt: skip
        return out.read_bytes()


class _Batches(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is not typed
    def __init__(self, crops: NDArray[np.uint8]) -> None:
        self._left: Iterator[NDArray[np.uint8]] = iter(
            [crops[at : at + BATCH] for at in range(0, len(crops), BATCH)]
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        batch = next(self._left, None)
        return None if batch is None else {INPUT: scaled(batch)}


def compared(bundle: Bundle, crops: NDArray[np.uint8], chosen_on: str) -> Quick:
    """How the bundle's quick graph, with all that is asked again, differs from its own on crops."""
    plain, whole = Classifier(bundle), Classifier(bundle, engine=WHOLE_NUMBERS)
    expected, said = plain.answers(crops), whole.answers(crops)
    judgement = bundle.card.judgement
    decisions = []
    for answers in (expected, said):
        away = [None] * len(crops) if answers.distance is None else answers.distance.tolist()
        rows = [dict(zip(plain.classes, row, strict=True)) for row in answers.probabilities.tolist()]
        parts = zip(rows, away, answers.agreement.tolist(), strict=True)
        decisions.append(
            [decide(row, judgement, distance, agreement)[0] for row, distance, agreement in parts]
        )
    classes = (expected.probabilities.argmax(1), said.probabilities.argmax(1))
    return Quick(
        changed=float(np.mean(classes[0] != classes[1])),
        decided=float(np.mean([one != other for one, other in zip(*decisions, strict=True)])),
        again=float(said.again.mean()),
        cells=len(crops),
        chosen_on=chosen_on,
    )
