"""A sample is called new where clearly more of its cells lie outside than in any known laboratory."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from leukolens.card import Judgement
from leukolens.imaging.framing import Box
from leukolens.reading.batch_check import LEVEL, BatchCheck, asked_of, check
from leukolens.reading.cell import Cell

JUDGEMENT = Judgement(usual_within=8.0, unlike_beyond=10.0, outside_share=0.17)


def sample(inside: int, outside: int) -> list[float]:
    return [5.0] * inside + [9.0] * outside


@pytest.mark.parametrize("cells", [20, 50, 400])
def test_it_is_where_the_exact_lower_limit_passes_the_usual_share(cells: int) -> None:
    for outside in range(cells + 1):
        said = check(sample(cells - outside, outside), JUDGEMENT)
        assert said is not None
        expected = binomtest(outside, cells).proportion_ci(LEVEL, "exact").low > 0.17
        assert said == BatchCheck(cells, outside, 0.17, bool(expected))


def test_samples_of_the_hardest_known_laboratory_are_left_in_peace() -> None:
    rng = np.random.default_rng(0)
    drawn = [check(np.where(rng.random(50) < 0.17, 9.0, 5.0).tolist(), JUDGEMENT) for _ in range(2000)]
    assert np.mean([said is not None and said.unlike for said in drawn]) < 0.003


def test_the_message_says_how_many_and_what_to_do() -> None:
    said = check(sample(37, 63), JUDGEMENT)
    assert said is not None
    assert said.message == (
        "This stain is new to the model: 63 % of 100 cells lie outside what it has learned, 17 % at most in the "
        "laboratories that it knows. Label about 60 cells and run `leukolens adapt` before trusting this."
    )
    quiet = check(sample(95, 5), JUDGEMENT)
    assert quiet is not None
    assert quiet.message == ""


def test_too_few_cells_and_a_bundle_that_does_not_know_say_nothing() -> None:
    assert check(sample(0, 19), JUDGEMENT) is None
    assert check(sample(0, 20), JUDGEMENT) is not None
    assert check(sample(0, 50), Judgement()) is None


def test_whole_white_cells_are_asked_alone() -> None:
    box, white, other = Box(0, 0, 9, 9), {"monocyte": 0.9, "other": 0.1}, {"monocyte": 0.1, "other": 0.9}
    cells = [
        Cell(box, white, "accept", "", distance=3.0),
        Cell(box, white, "accept", "", distance=None),
        Cell(box, white, "accept", "", at_edge=True, distance=4.0),
        Cell(box, other, "unknown", "", distance=5.0),
    ]
    assert asked_of(cells) == [3.0]
