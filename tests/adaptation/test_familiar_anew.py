from dataclasses import replace

import numpy as np
import pytest

from leukolens.adaptation.familiar_anew import familiar_anew
from leukolens.reading.familiarity import from_bytes, learned


def cells(rng, count, middle=0.0):
    return (middle + rng.normal(size=(count, 6))).astype(np.float32)


@pytest.fixture
def parent(colour_bundle):
    rng = np.random.default_rng(0)
    known = learned(cells(rng, 200), ["neutrophil"] * 200, ["theirs"] * 200)
    judgement = colour_bundle.card.judgement.model_copy(
        update={"usual_within": 3.5, "unlike_beyond": 4.2, "outside_share": 0.2}
    )
    card = colour_bundle.card.model_copy(update={"judgement": judgement})
    return replace(colour_bundle, card=card, familiarity=known.to_bytes())


def test_cells_like_those_at_hand_are_familiar_and_others_are_not(parent):
    rng = np.random.default_rng(1)
    content, judgement = familiar_anew(parent, parent.card.judgement, cells(rng, 60, 9), "ours")
    known = from_bytes(content)
    assert known.kinds == ("ours/unlabelled",)
    fresh = known.distance(cells(rng, 2000, 9))
    assert 0.90 < (fresh <= judgement.usual_within).mean() < 0.99
    assert (fresh <= judgement.unlike_beyond).mean() > 0.95
    # What the parent knew stood in another normalisation: it is no yardstick any more.
    assert (known.distance(cells(rng, 200)) > judgement.unlike_beyond).all()
    assert judgement.outside_share == 0.2


@pytest.mark.parametrize("count", [1, 19])
def test_few_cells_leave_nothing_that_could_tell(parent, count):
    rows = cells(np.random.default_rng(2), count)
    content, judgement = familiar_anew(parent, parent.card.judgement, rows, "ours")
    assert content is None
    assert (judgement.usual_within, judgement.unlike_beyond, judgement.outside_share) == (None, None, None)


def test_a_bundle_that_could_not_tell_still_cannot(colour_bundle):
    rows = cells(np.random.default_rng(3), 40)
    content, judgement = familiar_anew(colour_bundle, colour_bundle.card.judgement, rows, "ours")
    assert (content, judgement.usual_within) == (None, None)
