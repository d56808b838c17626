"""A progress bar on standard error for whatever takes more than two seconds, on a terminal only."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

SOON = 2.0

Item = TypeVar("Item")


def watched(items: Iterable[Item], total: int, *, shown: bool = True, noun: str = "images") -> Iterator[Item]:
    """Passes the items on, and shows how far they are once two seconds have gone by.

    Args:
        items: What is worked through.
        total: How many there will be.
        shown: False to pass them on in silence; nothing is shown either where standard error is no terminal.
        noun: What they are.
    """
    if not shown or not sys.stderr.isatty():
        yield from items
        return
    started = time.monotonic()
    waiting = iter(items)
    done = 0
    for item in waiting:
        yield item
        done += 1
        if time.monotonic() - started > SOON:
            break
    else:
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(noun, total=total, completed=done)
        for item in waiting:
            yield item
            progress.advance(task)
