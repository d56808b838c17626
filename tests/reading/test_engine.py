"""The engine gives the graph's numbers, to the bit every time, and says what is wrong with a broken one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from leukolens.bundle import Bundle
from leukolens.errors import BundleError
from leukolens.reading.engine import Engine

WEIGHTS = np.array(
    [[8, -4, -4], [-4, 8, -4], [-4, -4, 8], [4, 4, -8], [4, -8, 4], [-8, 4, 4], [-5, -5, -5]], np.float64
)
BIAS = 0.125


def crops(count: int, size: int = 32) -> NDArray[np.float32]:
    return np.random.default_rng(count).uniform(-1, 1, (count, 3, size, size)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 7])
def test_logits_are_the_graphs_arithmetic(make_bundle: Callable[..., Bundle], count: int) -> None:
    given = crops(count)
    expected = given.mean(axis=(2, 3), dtype=np.float64) @ WEIGHTS.T + BIAS
    assert np.allclose(Engine(make_bundle()).logits(given), expected, atol=1e-5)


def test_the_mean_of_an_activation_map_and_the_bias_are_the_logit(make_bundle: Callable[..., Bundle]) -> None:
    logits, activation = Engine(make_bundle()).logits_and_activation(crops(3))
    assert activation.shape == (3, 7, 4, 4)
    assert np.allclose(activation.mean(axis=(2, 3)) + BIAS, logits, atol=1e-5)


def test_threads_and_neighbours_change_no_bit(make_bundle: Callable[..., Bundle]) -> None:
    bundle, given = make_bundle(), crops(9)
    engine = Engine(bundle)
    alone = engine.logits(given)
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(lambda _: engine.logits(given), range(40)))
    assert all(np.array_equal(alone, other) for other in beside)
    assert np.array_equal(Engine(bundle, threads=2).logits(given), alone)


def test_batches_agree(make_bundle: Callable[..., Bundle]) -> None:
    engine, given = Engine(make_bundle()), crops(7)
    one_by_one = np.concatenate([engine.logits(given[i : i + 1]) for i in range(7)])
    assert np.allclose(engine.logits(given), one_by_one, atol=1e-5)


def test_nothing_is_loaded_before_the_first_run() -> None:
    program = """
import sys
from leukolens.bundle import Bundle
from leukolens.reading.engine import Engine
Engine(Bundle(None, b"no graph at all", ""))
assert "onnxruntime" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def refusal(bundle: Bundle) -> str:
    with pytest.raises(BundleError) as caught:
        Engine(bundle).logits(crops(2))
    assert bundle.card.name in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("graph", [b"", b"no graph at all", b"\x08\x08" * 40])
def test_a_graph_that_is_none(
    make_bundle: Callable[..., Bundle], graph: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "cannot be loaded" in refusal(make_bundle(graph=graph))
    assert capfd.readouterr().err == ""


def test_a_cut_graph(make_bundle: Callable[..., Bundle]) -> None:
    whole = make_bundle().classifier
    assert "damaged" in refusal(make_bundle(graph=whole[: len(whole) // 2]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crops": "pictures"}, "input"),
        ({"logits": "answers"}, "no output"),
        ({"weights": WEIGHTS[:4]}, "its card says"),
        ({"size": 64}, "cannot run"),
        ({"weights": WEIGHTS * np.float64(np.inf)}, "no number"),
    ],
)
def test_a_graph_that_does_not_fit_its_card(
    make_bundle: Callable[..., Bundle],
    graph_maker: Callable[..., bytes],
    changes: dict[str, Any],
    message: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    graph = graph_maker(**{"size": 32, "weights": WEIGHTS, **changes})
    assert message in refusal(make_bundle(graph=graph))
    assert capfd.readouterr().err == ""


def test_logits_are_a_linear_map_of_the_features_from_the_same_run(
    make_bundle: Callable[..., Bundle], graph_maker: Callable[..., bytes]
) -> None:
    engine = Engine(make_bundle(graph=graph_maker(32, WEIGHTS, features=True)))
    logits, features = engine.logits_and_features(crops(5))
    assert features.shape == (5, 3)
    assert np.allclose(features @ WEIGHTS.T + BIAS, logits, atol=1e-5)
    assert np.array_equal(logits, engine.logits(crops(5)))


def test_no_features_are_said_with_what_to_do(make_bundle: Callable[..., Bundle]) -> None:
    engine = Engine(make_bundle())
    assert not engine.gives_features
    with pytest.raises(BundleError, match="gives no features") as caught:
        engine.logits_and_features(crops(1))
    assert "export" in caught.value.remedy


def test_no_activation_is_said_before_it_is_needed(
    make_bundle: Callable[..., Bundle], graph_maker: Callable[..., bytes]
) -> None:
    engine = Engine(make_bundle(graph=graph_maker(32, WEIGHTS, activation=False)))
    assert engine.logits(crops(1)).shape == (1, 7)
    with pytest.raises(BundleError, match="activation maps"):
        engine.check_activation()
    with pytest.raises(BundleError, match="activation maps"):
        engine.logits_and_activation(crops(1))
    Engine(make_bundle()).check_activation()
