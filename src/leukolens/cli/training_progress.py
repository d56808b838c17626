"""What a person sees of a running training, and how Ctrl-C is passed on to it."""

from __future__ import annotations

import math
import signal
import sys
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

if TYPE_CHECKING:
    from leukolens.training.loop import Watch
    from leukolens.training.run import Epoch


class Progress:
    """Bars with the time left on a terminal, one line an epoch elsewhere; both on standard error.

    The first Ctrl-C lets the step in hand finish and the state be saved; a second one ends at once.

    Args:
        epochs: How many a part has.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.console = Console(stderr=True)
        self.bars = Bars(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), console=self.console, disable=not sys.stderr.isatty(),
        )  # fmt: skip
        self.stopping = False
        self._before: Any = None
        self._framing: Any = None

    def __enter__(self) -> Progress:
        self._before = signal.signal(signal.SIGINT, self._asked_to_stop)
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()
        signal.signal(signal.SIGINT, self._before)
        if kind is KeyboardInterrupt and self.stopping:
            self.console.print("Saved where it stood; go on with --resume.")

    def framing(self, done: int, total: int) -> None:
        """Shows how many images are framed."""
        if self._framing is None:
            self._framing = self.bars.add_task("framing cells", total=total)
        self.bars.update(self._framing, completed=done, total=total)

    def watch(self, name: str) -> Watch:
        """The watch of one part of the work."""
        from leukolens.training.loop import Watch

        task = self.bars.add_task(name, total=None)

        def step(epoch: int, done: int, steps: int) -> None:
            self.bars.update(task, completed=(epoch - 1) * steps + done, total=self.epochs * steps)

        def epoch_done(epoch: Epoch) -> None:
            line = f"{name}: epoch {epoch.epoch}  training {epoch.train_loss:.3f}"
            if not math.isnan(epoch.train_accuracy):  # a detector has none
                line += f", {epoch.train_accuracy:.3f}"
            if epoch.validation_loss is not None:
                line += f"  held out {epoch.validation_loss:.3f}, {epoch.validation_accuracy:.3f}"
            self.console.print(f"{line}  ({epoch.seconds:.0f} s)", highlight=False)

        return Watch(step, epoch_done, lambda: self.stopping)

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True
