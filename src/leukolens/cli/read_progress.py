"""How far `leukolens read` is: the fields read and, where a page takes long, the fields written on it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from leukolens.cli import progress

if TYPE_CHECKING:
    from rich.progress import Progress

Item = TypeVar("Item")


class ReadProgress:
    """Bars on standard error, on a terminal only, each once its work has taken two seconds.

    Args:
        total: Fields to read; None where nobody knows, and only pages are shown.
        shown: False to stay silent.
    """

    def __init__(self, total: int | None, *, shown: bool) -> None:
        self._total, self._done = total, 0
        self._shown = shown and sys.stderr.isatty()
        self._began = time.monotonic()
        self._bars: Progress | None = None

    def read(self) -> None:
        """One more field is read."""
        self._done += 1
        if self._shown and self._total is not None and (self._bars or _soon(self._began)):
            self._open().update(self._open().task_ids[0], completed=self._done)

    def written(self, fields: Sequence[Item]) -> Iterator[Item]:
        """Passes the fields of a page on as they are written, and shows how far that is."""
        if not self._shown:
            yield from fields
            return
        began, task = time.monotonic(), None
        try:
            for number, field in enumerate(fields, start=1):
                yield field
                if task is None and _soon(began):
                    task = self._open().add_task("page", total=len(fields))
                if task is not None:
                    self._open().update(task, completed=number)
        finally:
            if task is not None:
                self._open().remove_task(task)

    def close(self) -> None:
        """Takes the bars away."""
        if self._bars:
            self._bars.stop()

    def _open(self) -> Progress:
        """The bars, begun when they are first needed: what draws them is slow to import."""
        if self._bars is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
            if self._total is not None:
                self._bars.add_task("fields", total=self._total, completed=self._done)
            self._bars.start()
        return self._bars


def _soon(began: float) -> bool:
    """Whether enough time has gone by for a bar."""
    return time.monotonic() - began > progress.SOON
