from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from leukolens.bundle import Bundle
from leukolens.reading.engine import ACTIVATION, FEATURES, LOGITS, Engine
from leukolens.reading.runtimes import PROVIDERS, REFERENCE, OnnxRuntime, OpenVino, providers


def test_words_name_the_runtime_its_version_and_its_numbers() -> None:
    assert REFERENCE.words.split()[0] == "onnxruntime"
    assert OnnxRuntime(kind="int8").words == f"{REFERENCE.words} int8"
    assert OnnxRuntime(PROVIDERS["cuda"]).words == f"{REFERENCE.words} cuda"


def test_providers_are_of_those_that_are_known() -> None:
    assert set(providers()) <= set(PROVIDERS)


def test_openvino_answers_as_the_reference_does_from_several_threads(
    shipped_bundle: Bundle,
) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    engine, reference = Engine(shipped_bundle, runtime=OpenVino()), Engine(shipped_bundle)
    assert engine.words.startswith("openvino 2")
    side = shipped_bundle.card.framing.size
    rng = np.random.default_rng(0)
    batches = [rng.uniform(-1, 1, (count, 3, side, side)).astype(np.float32) for count in (1, 3, 2, 1)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(engine.logits_and_features, batches))
    for batch, (logits, features) in zip(batches, answers, strict=True):
        expected, seen = reference.logits_and_features(batch)
        assert np.abs(logits - expected).max() < 0.2
        assert np.abs(features - seen).max() < 0.1 * max(1.0, float(np.abs(seen).max()))


def test_the_number_of_processors_changes_no_bit_of_openvinos_answers(shipped_bundle: Bundle) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    side = shipped_bundle.card.framing.size
    batch = np.random.default_rng(1).uniform(-1, 1, (16, 3, side, side)).astype(np.float32)
    one, two = (Engine(shipped_bundle, runtime=OpenVino(count)) for count in (1, 2))
    for count in (1, 7, 16):
        for first, second in zip(
            one.logits_and_features(batch[:count]), two.logits_and_features(batch[:count]), strict=True
        ):
            np.testing.assert_array_equal(first, second)


def test_openvino_pins_no_thread(make_bundle: Callable[..., Bundle]) -> None:
    """Several processes, each of one thread, would all be pinned to the first processor."""
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    loaded = OpenVino(1).load(make_bundle().classifier, 1)
    assert loaded.model.get_property("ENABLE_CPU_PINNING") is False  # type: ignore[attr-defined]
    assert loaded.model.get_property("INFERENCE_NUM_THREADS") == 1  # type: ignore[attr-defined]


def test_openvino_names_inputs_and_outputs(make_bundle: Callable[..., Bundle]) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    loaded = OpenVino().load(make_bundle().classifier, 1)
    assert loaded.given == ("crops",)
    assert {LOGITS, ACTIVATION} <= {*loaded.outputs}
    assert FEATURES not in loaded.outputs
