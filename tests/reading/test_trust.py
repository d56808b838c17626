"""The decision follows the probabilities by rules that a person can check by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolens.card import Judgement
from leukolens.reading.trust import decide, percent
from leukolens.taxonomy import CLASS_KEYS

JUDGEMENT = Judgement(accept_above=0.8, accepted_accuracy=0.95)


def spread(**given: float) -> dict[str, float]:
    """Probabilities of all classes: those given, and the rest shared equally."""
    others = [key for key in CLASS_KEYS if key not in given]
    rest = (1 - sum(given.values())) / max(1, len(others))
    return {key: given.get(key, rest) for key in CLASS_KEYS}


@pytest.mark.parametrize(
    ("probabilities", "decision"),
    [
        (spread(neutrophil=0.97), "accept"),
        (spread(neutrophil=0.8), "accept"),
        (spread(neutrophil=0.7999), "review"),
        (spread(lymphocyte=0.5, monocyte=0.45), "review"),
        (spread(other=0.97), "unknown"),
        (spread(other=0.51), "unknown"),
        (spread(other=0.49, neutrophil=0.3), "review"),
        (dict.fromkeys(CLASS_KEYS, 1 / 7), "unknown"),
        (spread(neutrophil=0.2), "unknown"),
        (spread(neutrophil=0.22), "review"),
    ],
)
def test_the_decision(probabilities: dict[str, float], decision: str) -> None:
    assert decide(probabilities, JUDGEMENT)[0] == decision


def test_the_reason_gives_the_numbers_it_rests_on() -> None:
    assert decide(spread(monocyte=0.93), JUDGEMENT)[1] == (
        "monocyte at 93.0 %; from 80.0 % up, 95.0 % were right in validation"
    )
    assert decide(spread(monocyte=0.6, lymphocyte=0.3), JUDGEMENT)[1] == (
        "monocyte at 60.0 %, under the 80.0 % that is needed; next is lymphocyte at 30.0 %"
    )
    assert decide(spread(other=0.9), JUDGEMENT)[1] == (
        "no white cell recognised: all white cell classes together at 10.0 %"
    )
    assert "nothing stands out" in decide(dict.fromkeys(CLASS_KEYS, 1 / 7), JUDGEMENT)[1]
    assert "more likely than not" in decide(spread(other=0.49), JUDGEMENT)[1]


def test_a_threshold_that_nothing_reaches_accepts_nothing() -> None:
    judgement = Judgement(accept_above=1.0)
    assert decide(spread(neutrophil=0.9999), judgement)[0] == "review"


def test_an_accuracy_that_was_not_measured_is_not_claimed() -> None:
    decision, reason = decide(spread(neutrophil=0.97), Judgement(accept_above=0.8))
    assert decision == "accept"
    assert "right" not in reason


def test_a_bundle_of_few_classes() -> None:
    two = Judgement(accept_above=0.9)
    assert decide({"neutrophil": 0.95, "monocyte": 0.05}, two)[0] == "accept"
    assert decide({"neutrophil": 0.8, "monocyte": 0.2}, two)[0] == "review"
    assert decide({"neutrophil": 0.55, "monocyte": 0.45}, two)[0] == "unknown"
    assert decide({"neutrophil": 1.0}, two)[0] == "accept"
    assert decide({"other": 1.0}, two)[0] == "unknown"


AWAY = JUDGEMENT.model_copy(update={"usual_within": 8.0, "unlike_beyond": 10.0})


@pytest.mark.parametrize(
    ("probabilities", "distance", "decision", "word"),
    [
        (spread(neutrophil=0.97), 7.9, "accept", "right in validation"),
        (spread(neutrophil=0.97), 8.0, "accept", "right in validation"),
        (spread(neutrophil=0.97), 8.1, "review", "unusual"),
        (spread(neutrophil=0.97), 10.1, "unknown", "unlike any cell that it learned from"),
        (spread(neutrophil=0.97), None, "accept", "right in validation"),
        (spread(neutrophil=0.7), 8.1, "review", "under the 80.0 % that is needed"),
        (spread(neutrophil=0.7), 10.1, "unknown", "unlike"),
        (spread(other=0.97), 10.1, "unknown", "no white cell recognised"),
    ],
)
def test_a_cell_far_from_what_was_learned(
    probabilities: dict[str, float], distance: float | None, decision: str, word: str
) -> None:
    said, reason = decide(probabilities, AWAY, distance)
    assert (said, word in reason) == (decision, True)


def test_a_distance_changes_nothing_where_the_bundle_has_no_limits() -> None:
    assert decide(spread(neutrophil=0.97), JUDGEMENT, 1e9) == decide(spread(neutrophil=0.97), JUDGEMENT)


def test_the_reason_says_how_far_and_how_far_is_usual() -> None:
    assert decide(spread(monocyte=0.93), AWAY, 12.34)[1] == (
        "unlike any cell that it learned from (12.3 away; of known cells 99 % are within 10.0): monocyte at 93.0 % "
        "means nothing here"
    )
    assert decide(spread(monocyte=0.93), AWAY, 9.0)[1] == (
        "monocyte at 93.0 %, but the cell is unusual (9.0 away from what was learned; "
        "of known cells 95 % are within 8.0)"
    )


def test_looks_that_disagree_are_told_of_where_a_person_should_look() -> None:
    doubtful = spread(monocyte=0.6, lymphocyte=0.3)
    assert decide(doubtful, JUDGEMENT, None, 0.75)[1].endswith(
        "turned or mirrored it looks like another class"
    )
    assert "turned" not in decide(doubtful, JUDGEMENT, None, 1.0)[1]
    assert decide(doubtful, JUDGEMENT, None, 0.75)[0] == "review"


@given(
    st.lists(st.floats(0, 1), min_size=7, max_size=7).filter(lambda row: sum(row) > 0),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_a_higher_threshold_never_accepts_more(row: list[float], low: float, high: float) -> None:
    low, high = sorted((low, high))
    probabilities = {key: value / sum(row) for key, value in zip(CLASS_KEYS, row, strict=True)}
    lenient, _ = decide(probabilities, Judgement(accept_above=low))
    strict, reason = decide(probabilities, Judgement(accept_above=high))
    assert reason
    assert (strict == "unknown") == (lenient == "unknown")
    if strict == "accept":
        assert lenient == "accept"
        assert max(probabilities.values()) >= high
        assert max(probabilities, key=probabilities.__getitem__) != "other"


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0, "0.0 %"),
        (1, "100.0 %"),
        (0.99996, "> 99.9 %"),
        (0.00004, "< 0.1 %"),
        (0.999, "99.9 %"),
        (0.5, "50.0 %"),
    ],
)
def test_percent_never_claims_certainty(probability: float, text: str) -> None:
    assert percent(probability) == text
