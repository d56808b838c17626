"""A graph in whole numbers: smaller, with the last layer as it was, and used only where it says the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from leukolens.adaptation.onnx_head import head_of
from leukolens.bundle import Bundle, load
from leukolens.reading import processor
from leukolens.reading.choice import choose
from leukolens.reading.engine import ACTIVATION, FEATURES, LOGITS, Engine
from leukolens.reading.inputs import scaled
from leukolens.reading.vectors import from_bytes
from leukolens.training import export, quantise, session


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Any, crop_cache: Path) -> Bundle:
    out = tmp_path_factory.mktemp("quick") / "run"
    recipe = tiny_recipe(schedule={"epochs": 2, "batch": 9})
    session.train(recipe, session.Place(out.parent, out, crop_cache, accelerator="cpu"))
    return export.export_run(out, out / "model.leukolens", root=out.parent, cache=crop_cache)


@pytest.fixture(scope="module")
def crops(exported: Bundle) -> np.ndarray:
    assert exported.vectors is not None
    return from_bytes(exported.vectors, 32, len(exported.card.classes)).crops


@pytest.fixture(scope="module")
def graph(exported: Bundle, crops: np.ndarray) -> bytes:
    return quantise.quantised(exported.classifier, crops)


def test_convolutions_are_in_whole_numbers_and_the_last_layer_is_not(exported: Bundle, graph: bytes) -> None:
    assert len(graph) < 0.5 * len(exported.classifier)
    nodes = onnx.load_from_string(graph).graph.node
    last = {name: node for node in nodes for name in node.output if name in (LOGITS, ACTIVATION)}
    scales = {name for node in nodes if node.op_type == "DequantizeLinear" for name in node.output}
    convolutions = [node for node in nodes if node.op_type == "Conv" and ACTIVATION not in node.output]
    assert all(node.input[1] in scales for node in convolutions)
    assert not any(name in scales for node in last.values() for name in node.input[1:])
    assert np.array_equal(head_of(graph).weight, head_of(exported.classifier).weight)


def test_it_answers_nearly_as_the_graph_does(exported: Bundle, graph: bytes, crops: np.ndarray) -> None:
    own, whole = (Engine(exported, graph=given) for given in (None, graph))
    (logits, features), (near, nearby) = (
        engine.logits_and_features(scaled(crops)) for engine in (own, whole)
    )
    # Processors without instructions for it add products in 16 bits, which overflow; they never read by it.
    close = 0.15 if processor.quick_at_whole_numbers() else 0.5
    assert 0 < np.abs(near - logits).max() < close * max(1.0, float(np.abs(logits).max()))
    assert np.abs(nearby - features).max() < close * float(np.abs(features).max())
    assert FEATURES in {output.name for output in onnx.load_from_string(graph).graph.output}


def test_equal_crops_give_equal_bytes(exported: Bundle, graph: bytes, crops: np.ndarray) -> None:
    assert quantise.quantised(exported.classifier, crops) == graph


def test_vectors_are_drawn_cells_with_what_the_graph_says(exported: Bundle, crops: np.ndarray) -> None:
    assert exported.vectors is not None
    vectors = from_bytes(exported.vectors, 32, len(exported.card.classes))
    assert np.allclose(vectors.logits, Engine(exported).logits(scaled(crops)), atol=1e-4)
    assert len(crops) >= 10


def test_what_changes_is_on_the_card(exported: Bundle, crops: np.ndarray, graph: bytes) -> None:
    found = quantise.compared(replace(exported, quick=graph), crops, "drawn ones")
    assert 0 <= found.changed <= 1
    assert found.cells == len(crops)
    assert found.chosen_on == "drawn ones"
    card = exported.card.quick
    assert (card is None) == (exported.quick is None)
    assert card is None or card.changed <= quantise.MOST_CHANGED


def test_a_graph_that_changes_classes_is_left_out(
    exported: Bundle, crops: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    worse = quantise.Quick(changed=0.0021, decided=0.0, again=0.0, cells=1000, chosen_on="")
    monkeypatch.setattr(quantise, "compared", lambda *given: worse)
    without = quantise.quickened(exported, crops, crops, "these")
    assert without.quick is None
    assert without.card.quick is None
    assert without.vectors is not None


def test_one_that_changes_none_comes_along_and_is_used(
    exported: Bundle, crops: np.ndarray, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    same = quantise.Quick(changed=0.002, decided=0.01, again=0.1, cells=1000, chosen_on="")
    monkeypatch.setattr(quantise, "compared", lambda *given: same)
    # What is drawn is named alike by this graph, or the self-check would leave it out.
    monkeypatch.setattr(quantise, "quantised", lambda graph, crops: graph)
    quick = quantise.quickened(exported, crops, crops, "these")
    assert quick.card.quick == same
    (tmp_path / "it").write_bytes(quantise.packed(quick))
    assert load(tmp_path / "it").quick == quick.quick
    chosen = choose(quick, "int8")
    assert chosen.note == ""
    assert chosen.quick is not None
    assert "int8" in chosen.quick.words


def test_a_graph_that_the_test_vectors_refuse_is_not_said_to_change_nothing(
    exported: Bundle, crops: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantise, "quantised", lambda graph, crops: b"no graph")
    without = quantise.quickened(exported, crops, crops, "these")
    assert without.quick is None
    assert without.card.quick is None
