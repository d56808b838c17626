"""Probabilities are the softmax of calibrated logits, whatever the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import special

from leukolens.bundle import Bundle
from leukolens.card import Judgement
from leukolens.errors import BundleError, EngineError
from leukolens.reading.classifier import LARGEST_BATCH, Answers, Classifier, close_to_any, softmax
from leukolens.reading.engine import Engine
from leukolens.reading.familiarity import from_bytes, learned
from leukolens.reading.inputs import scaled, side_of
from leukolens.reading.runtimes import REFERENCE
from leukolens.reading.vectors import Vectors

WEIGHTS = np.array(
    [[8, -4, -4], [-4, 8, -4], [-4, -4, 8], [4, 4, -8], [4, -8, 4], [-8, 4, 4], [-5, -5, -5]], np.float64
)
BIAS = 0.125


def crops(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def oracle(given: NDArray[np.uint8], temperature: float) -> NDArray[np.float64]:
    colour = given.mean(axis=(1, 2), dtype=np.float64) / 127.5 - 1
    return np.asarray(special.softmax((colour @ WEIGHTS.T + BIAS) / temperature, axis=1))


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("count", [1, 2, LARGEST_BATCH, 2 * LARGEST_BATCH + 3])
def test_probabilities(make_bundle: Callable[..., Bundle], count: int, temperature: float) -> None:
    classifier = Classifier(make_bundle(judgement=Judgement(temperature=temperature)))
    probabilities = classifier.probabilities(crops(count))
    assert probabilities.dtype == np.float64
    assert np.allclose(probabilities, oracle(crops(count), temperature), atol=1e-6)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-12)


def test_no_crops_give_no_rows(make_bundle: Callable[..., Bundle]) -> None:
    assert Classifier(make_bundle()).probabilities(crops(0)).shape == (0, 7)


def test_activation_goes_with_the_same_probabilities(make_bundle: Callable[..., Bundle]) -> None:
    classifier = Classifier(make_bundle(judgement=Judgement(temperature=1.7)))
    crop = crops(3)[2]
    probabilities, maps = classifier.activation(crop)
    assert np.allclose(probabilities, classifier.probabilities(crop[None])[0], atol=1e-12)
    logits = maps.astype(np.float64).mean(axis=(1, 2)) + BIAS
    assert np.allclose(special.softmax(logits / 1.7), probabilities, atol=1e-6)


def familiarity() -> bytes:
    """Two clouds of mean colours."""
    rng = np.random.default_rng(0)
    clouds = np.concatenate([rng.normal(0, 0.1, (40, 3)), rng.normal(0.5, 0.1, (40, 3))])
    return learned(clouds, ["neutrophil"] * 40 + ["monocyte"] * 40, ["here"] * 80).to_bytes()


@pytest.mark.parametrize("count", [0, 1, LARGEST_BATCH + 5])
def test_features_and_distances_come_from_the_run_that_names(
    make_bundle: Callable[..., Bundle], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    judgement = Judgement(temperature=1.7)
    knows, plain = (
        make_bundle(familiarity=familiarity(), judgement=judgement),
        make_bundle(judgement=judgement),
    )
    classifier = Classifier(knows)
    runs: list[int] = []
    run = classifier._engine._graph.run

    def counting(outputs: list[str], value: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        runs.append(len(value))
        return run(outputs, value)

    monkeypatch.setattr(classifier._engine._graph, "run", counting)
    answers = classifier.answers(crops(count))
    assert sum(runs) == count
    assert np.array_equal(answers.probabilities, Classifier(plain).probabilities(crops(count)))
    features = classifier.features(crops(count))
    colour = crops(count).mean(axis=(1, 2), dtype=np.float64) / 127.5 - 1
    assert features.shape == (count, 3)
    assert np.allclose(features, colour, atol=1e-5)
    assert answers.agreement.tolist() == [1.0] * count
    if count:
        assert answers.distance is not None
        assert np.array_equal(answers.distance, from_bytes(familiarity()).distance(features))


def test_a_bundle_that_knows_nothing_of_learned_cells(make_bundle: Callable[..., Bundle]) -> None:
    classifier = Classifier(make_bundle())
    answers = classifier.answers(crops(2))
    assert (answers.features, answers.distance) == (None, None)
    with pytest.raises(BundleError, match="features"):
        classifier.features(crops(2))


def test_damaged_knowledge_of_learned_cells_is_refused(make_bundle: Callable[..., Bundle]) -> None:
    with pytest.raises(BundleError, match=r"familiarity\.npz"):
        Classifier(make_bundle(familiarity=b"nothing"))


def test_crops_are_scaled_as_the_bundle_says() -> None:
    crop = np.array([[[0, 127, 255]]], np.uint8)[None]
    assert scaled(crop).shape == (1, 3, 1, 1)
    assert scaled(crop).dtype == np.float32
    assert np.allclose(scaled(crop).ravel(), [-1, 127 / 127.5 - 1, 1], atol=1e-7)


@given(hnp.arrays(np.float32, (3, 5), elements=st.floats(-1e4, 1e4, width=32)))
def test_softmax_is_scipys(logits: NDArray[np.float32]) -> None:
    before = logits.copy()
    assert np.allclose(softmax(logits), special.softmax(logits.astype(np.float64), axis=1), atol=1e-12)
    assert np.array_equal(logits, before)


def test_there_are_eight_sides_and_each_is_the_crop_turned_or_mirrored() -> None:
    crop = crops(1)
    sides = [side_of(crop, number) for number in range(8)]
    assert np.array_equal(sides[0], crop)
    assert len({side.tobytes() for side in sides}) == 8
    again = [side_of(side, 4) for side in sides]
    assert {side.tobytes() for side in again} == {side.tobytes() for side in sides}
    assert np.array_equal(side_of(crop, 1)[0, 0], crop[0, :, -1])


def test_a_cell_under_the_threshold_is_looked_at_from_every_side(
    make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    judgement = Judgement(accept_above=0.7, sides=8)
    classifier = Classifier(make_bundle(classes=("neutrophil", "lymphocyte"), judgement=judgement))
    seen: list[int] = []

    def corner(given: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(len(given))
        light = given[:, 0, 0, 0]
        return np.stack([light, np.zeros_like(light)], axis=1)

    monkeypatch.setattr(classifier._engine, "logits", corner)
    given = np.zeros((2, 32, 32, 3), np.uint8)
    given[0] = 255
    given[1, 0, 0] = 140  # one corner alone is light: unsure there, and another answer elsewhere
    sure, unsure = classifier.probabilities(given)
    expected = special.softmax([[140 / 127.5 - 1, 0.0]] * 2 + [[-1.0, 0.0]] * 6, axis=1).mean(axis=0)
    assert np.allclose(unsure, expected, atol=1e-6)
    # Two looks say neutrophil, as the corner is lighter than nothing; six and the mean say lymphocyte.
    assert classifier.answers(given).agreement.tolist() == [1.0, 0.75]
    assert np.allclose(sure, special.softmax([1.0, 0.0]), atol=1e-6)
    assert seen == [2, 7] * 2  # the other sides in one run


def test_what_a_quick_engine_leaves_close_is_asked_of_the_reference(
    make_bundle: Callable[..., Bundle], graph_maker: Callable[..., bytes]
) -> None:
    """The quick graph here is another one, which is wrong by a little wherever it answers."""
    plain = make_bundle(judgement=Judgement(accept_above=0.8), familiarity=familiarity())
    colours = np.stack([np.full((32, 32, 3), value, np.uint8) for value in range(60, 250, 5)])
    colours[..., 0] = 130
    vectors = Vectors(colours[:1], Engine(plain).logits(scaled(colours[:1])))
    quick = graph_maker(32, WEIGHTS * 1.01, features=True)
    both = replace(plain, quick=quick, vectors=vectors.to_bytes())
    expected = Classifier(plain).answers(colours)
    alone = Classifier(replace(plain, classifier=quick)).answers(colours)
    said = Classifier(both, engine="int8").answers(colours)
    again = close_to_any(alone, plain.card.judgement)
    assert 0 < again.sum() < len(again)
    assert np.array_equal(said.again, again)
    assert not expected.again.any()
    assert np.array_equal(said.probabilities[again], expected.probabilities[again])
    assert np.array_equal(said.probabilities[~again], alone.probabilities[~again])
    assert not np.array_equal(said.probabilities, expected.probabilities)
    assert said.distance is not None
    assert expected.distance is not None
    assert np.array_equal(said.distance[again], expected.distance[again])


@pytest.mark.parametrize(
    ("probabilities", "distance", "close"),
    [
        ((0.99, 0.01), 1.0, False),
        ((0.81, 0.19), 1.0, True),
        ((0.79, 0.21), 1.0, True),
        ((0.51, 0.49), 1.0, True),
        ((0.60, 0.40), 1.0, False),
        ((0.99, 0.01), 4.95, True),
        ((0.99, 0.01), 10.1, True),
        ((0.99, 0.01), 7.0, False),
    ],
)
def test_close_is_close_to_a_threshold_or_a_tie(
    probabilities: tuple[float, float], distance: float, close: bool
) -> None:
    answers = Answers(
        np.array([probabilities]), np.ones(1), None, np.array([distance]), np.zeros(1, np.bool_)
    )
    judgement = Judgement(accept_above=0.8, usual_within=5.0, unlike_beyond=10.0)
    assert close_to_any(answers, judgement).tolist() == [close]


def test_engines_are_named(make_bundle: Callable[..., Bundle]) -> None:
    assert Classifier(make_bundle()).runs_on == REFERENCE.words
    with pytest.raises(EngineError):
        Classifier(make_bundle(), engine="int8")
