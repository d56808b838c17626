"""Portions beside each other: answered in order, taken as needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from leukolens.reading.order import in_order


def test_answers_stand_in_the_order_of_what_was_asked() -> None:
    waits = np.random.default_rng(0).uniform(0, 0.01, 200)

    def work(items: Sequence[int], first: int) -> list[tuple[int, int]]:
        time.sleep(waits[first])
        return [(item, first + place) for place, item in enumerate(items)]

    found = list(in_order(iter(range(100, 271)), work, portion=7, beside=4))
    assert found == [(100 + place, place) for place in range(171)]


def test_items_are_taken_as_they_are_needed_and_no_thread_stays() -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    answers = in_order(endless(), lambda items, first: list(items), portion=5, beside=3)
    for number in range(100):
        assert next(answers) == number + 1
        assert taken <= number + 1 + (2 * 3 + 1) * 5
    answers.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("leukolens")]


def test_what_goes_wrong_comes_out_in_its_place() -> None:
    def work(items: Sequence[int], first: int) -> list[int]:
        if first == 10:
            raise ZeroDivisionError
        return list(items)

    answers = in_order(iter(range(100)), work, portion=5, beside=2)
    assert [next(answers) for _ in range(10)] == list(range(10))
    with pytest.raises(ZeroDivisionError):
        next(answers)
