"""Portions of things worked on beside each other, answered in their order, taken only as they are needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def in_order(
    items: Iterator[Item], work: Callable[[Sequence[Item], int], list[Answer]], portion: int, beside: int
) -> Iterator[Answer]:
    """The answers to all items, in their order.

    Args:
        items: Taken ``2 * beside`` portions ahead at most.
        work: Answers a portion, given the place of its first item among all; called by several threads.
        portion: Items that go together.
        beside: Portions that are worked on at a time.
    """
    waiting: deque[Future[list[Answer]]] = deque()
    first = 0
    with ThreadPoolExecutor(beside, thread_name_prefix="leukolens") as pool:
        try:
            while True:
                while len(waiting) < 2 * beside and (taken := list(islice(items, portion))):
                    waiting.append(pool.submit(work, taken, first))
                    first += len(taken)
                if not waiting:
                    return
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
