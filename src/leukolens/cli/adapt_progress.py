"""What a person sees of a fine-tuning: one bar on standard error, over all that is trained."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leukolens.adaptation.teacher import Teacher
    from leukolens.reading.reader import Reader


@contextmanager
def fine_tuning(reader: Reader) -> Iterator[Teacher]:
    """A teacher of all layers, whose steps are shown on a terminal from the first one on.

    Raises:
        BundleError: Where the reader's bundle cannot be trained on.
        ModuleNotFoundError: Without the `train` extra.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from leukolens.training.fine_tuning import network_teacher, steps_of

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bars = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    task = bars.add_task("steps", total=steps_of(), start=False)

    def tick(steps: int) -> None:
        if not bars.live.is_started:
            bars.start()
            bars.start_task(task)
        bars.advance(task, steps)

    try:
        yield network_teacher(reader.bundle, threads=reader.threads, tick=tick)
    finally:
        bars.stop()
