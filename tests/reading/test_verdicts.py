"""Everything that is said of a cell rests on one look at it, and says so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from leukolens.bundle import Bundle
from leukolens.card import Judgement
from leukolens.imaging.framing import Box
from leukolens.reading.classifier import Classifier
from leukolens.reading.familiarity import learned
from leukolens.reading.trust import decide
from leukolens.reading.verdicts import judged

JUDGEMENT = Judgement(
    accept_above=0.8,
    usual_within=4.0,
    unlike_beyond=8.0,
    outside_share=0.1,
    sets={"neutrophil": 0.6, "monocyte": 1e-3},
)


def plain(*colours: tuple[int, int, int]) -> np.ndarray:
    return np.stack([np.full((32, 32, 3), colour, np.uint8) for colour in colours])


def reds() -> bytes:
    """What a model knows that has learned red crops: mean colours near (1, -1, -1)."""
    clouds = np.random.default_rng(0).normal((1, -1, -1), 0.05, (60, 3))
    return learned(clouds, ["neutrophil"] * 60, ["here"] * 60).to_bytes()


def test_a_learned_cell_is_accepted_and_a_sure_but_strange_one_is_unknown(
    make_bundle: Callable[..., Bundle],
) -> None:
    classifier = Classifier(make_bundle(familiarity=reds(), judgement=JUDGEMENT))
    boxes = [Box(0, 0, 9, 9), Box(1, 1, 9, 9)]
    known, strange = judged(classifier, plain((255, 0, 0), (0, 0, 255)), boxes)
    assert [known.box, strange.box] == boxes
    assert (known.label, known.decision) == ("neutrophil", "accept")
    assert known.distance is not None
    assert known.distance < 4
    assert (strange.label, strange.decision) == ("basophil", "unknown")
    assert strange.probabilities["basophil"] > 0.99
    assert "unlike any cell" in strange.reason
    for cell in (known, strange):
        assert (cell.decision, cell.reason) == decide(cell.probabilities, JUDGEMENT, cell.distance)


def test_the_set_goes_with_the_probabilities(make_bundle: Callable[..., Bundle]) -> None:
    boxes = [Box(0, 0, 9, 9)]
    (cell,) = judged(Classifier(make_bundle(judgement=JUDGEMENT)), plain((255, 0, 0)), boxes)
    assert cell.class_set == ("neutrophil",)
    (cell,) = judged(Classifier(make_bundle()), plain((255, 0, 0)), boxes)
    assert (cell.class_set, cell.distance) == (None, None)
