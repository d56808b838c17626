"""A laboratory's cells, unlike anything before, are familiar after; what was unlike both stays so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from leukolens.adaptation.familiar import made_familiar
from leukolens.adaptation.local import Local
from leukolens.adaptation.motion import moved
from leukolens.adaptation.onnx_head import Head
from leukolens.adaptation.outer import Model, Outer
from leukolens.adaptation.replay import Replay
from leukolens.bundle import Bundle
from leukolens.datasets.base import Sample
from leukolens.reading.evidence import evidence_of
from leukolens.reading.familiarity import from_bytes, learned

CELLS, AWAY = 40, 12.0
KEYS = ("neutrophil", "lymphocyte")
SILENT = Head(np.zeros((2, 6)), np.zeros(2))


def cells(rng: np.random.Generator, shift: float, count: int = CELLS) -> tuple[np.ndarray, list[str]]:
    """Two classes of cells, (2 count, 6), moved along the last axis by a stain."""
    labels = [key for key in KEYS for _ in range(count)]
    middles = np.array([[4.0 * (key == "lymphocyte"), 0, 0, 0, 0, shift] for key in labels])
    return (middles + rng.normal(size=middles.shape)).astype(np.float32), labels


def local_of(features: np.ndarray, labels: list[str]) -> Local:
    samples = tuple(
        Sample(Path(f"{number}.png"), label, "ours", "all", f"group-{number}", f"group-{number}")
        for number, label in enumerate(labels)
    )
    truth = np.array([KEYS.index(label) for label in labels])
    groups = tuple(sample.group for sample in samples)
    return Local(
        samples, np.zeros((len(labels), 8, 8, 3), np.uint8), features[:, None], truth, groups, (), ()
    )


@pytest.fixture
def parent(colour_bundle: Bundle) -> Bundle:
    rng = np.random.default_rng(1)
    rows, labels = cells(rng, 0, 200)
    known = learned(rows, labels, ["theirs"] * len(labels))
    limits = np.quantile(known.distance(cells(rng, 0, 200)[0]), [0.95, 0.99])
    judgement = colour_bundle.card.judgement.model_copy(
        update={"usual_within": float(limits[0]), "unlike_beyond": float(limits[1])}
    )
    card = colour_bundle.card.model_copy(update={"judgement": judgement, "classes": list(KEYS)})
    return replace(colour_bundle, card=card, familiarity=known.to_bytes())


def model_of(local: Local, head: Head = SILENT) -> Model:
    return Model(head, None, local.features)


def folds(local: Local, head: Head = SILENT) -> Outer:
    return Outer(np.arange(len(local)) % 5, (model_of(local, head),) * 5, None)


def test_what_was_unlike_anything_is_familiar_and_other_things_stay_unlike(parent: Bundle) -> None:
    rng = np.random.default_rng(2)
    local = local_of(*cells(rng, AWAY))
    fresh, _ = cells(rng, AWAY, 200)
    before = parent.card.judgement
    assert before.usual_within is not None
    assert parent.familiarity is not None
    assert (from_bytes(parent.familiarity).distance(fresh) > before.usual_within).mean() > 0.99
    content, after = made_familiar(parent, before, local, model_of(local), None, folds(local), "ours")
    assert content is not None
    assert after.usual_within is not None
    known = from_bytes(content)
    assert (known.distance(fresh) <= after.usual_within).mean() > 0.9
    assert (known.distance(cells(rng, 0, 200)[0]) <= after.usual_within).mean() > 0.9
    assert (known.distance(cells(rng, -AWAY, 200)[0]) > after.usual_within).mean() > 0.99


def test_limits_only_widen_and_keep_their_order(parent: Bundle) -> None:
    local = local_of(*cells(np.random.default_rng(3), AWAY))
    before = parent.card.judgement
    _, after = made_familiar(parent, before, local, model_of(local), None, folds(local), "ours")
    assert before.usual_within is not None and before.unlike_beyond is not None  # noqa: PT018
    assert after.usual_within is not None and after.unlike_beyond is not None  # noqa: PT018
    assert after.usual_within >= before.usual_within
    assert after.unlike_beyond >= max(before.unlike_beyond, after.usual_within)


@pytest.mark.parametrize("count", [4, 9])
def test_under_twenty_cells_the_limits_stay(parent: Bundle, count: int) -> None:
    local = local_of(*cells(np.random.default_rng(4), AWAY, count))
    _, after = made_familiar(
        parent, parent.card.judgement, local, model_of(local), None, folds(local), "ours"
    )
    assert after == parent.card.judgement


def test_a_bundle_that_knows_nothing_of_it_stays_so(colour_bundle: Bundle) -> None:
    local = local_of(*cells(np.random.default_rng(5), AWAY))
    judgement = colour_bundle.card.judgement
    assert made_familiar(colour_bundle, judgement, local, model_of(local), None, folds(local), "ours") == (
        None,
        judgement,
    )


def test_evidence_is_what_the_new_head_gives_of_both(parent: Bundle) -> None:
    """The old head says little of the stain, so that its own cells would stay far; the new one says much."""
    rng = np.random.default_rng(6)
    known_features, labels = cells(rng, 0, 200)
    own_features, own_labels = cells(rng, AWAY)
    local = local_of(own_features, own_labels)
    deaf = Head(np.array([[1.0, 0, 0, 0, 0, -3], [2, 0, 0, 0, 0, -3]]), np.zeros(2))
    hears = Head(np.array([[1.0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0]]), np.zeros(2))
    assert parent.familiarity is not None
    replay = Replay(known_features, np.array([KEYS.index(label) for label in labels]))
    known = replace(
        from_bytes(parent.familiarity),
        evidence=evidence_of(deaf.weight, deaf.bias, KEYS, known_features, labels),
    )
    whole = replace(parent, familiarity=known.to_bytes())
    content, after = made_familiar(
        whole, parent.card.judgement, local, model_of(local, hears), replay, folds(local, hears), "ours"
    )
    assert content is not None
    assert after.usual_within is not None
    found, fresh = from_bytes(content), cells(rng, AWAY, 200)[0]
    unheard = known.extended(own_features, own_labels, "ours")
    assert (unheard.distance(fresh) > after.usual_within).mean() > 0.9
    assert (found.distance(fresh) <= after.usual_within).mean() > 0.9
    assert (found.distance(cells(rng, 0, 200)[0]) <= after.usual_within).mean() > 0.9
    assert found.evidence is not None
    both = np.concatenate([own_features, moved(replay, own_features, own_features).features])
    np.testing.assert_allclose(found.evidence.level[0], found.evidence.of(both).mean(), rtol=1e-5)
