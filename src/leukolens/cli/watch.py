"""Images as a microscope's camera drops them into a folder: each is passed on once it is whole."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

STILL_SECONDS = 2.0
LOOK_EVERY = 0.5
AT_MOST = 16  # so that a full folder shows results, and Ctrl-C is heard, soon

_State = tuple[int, int]


class Stopping:
    """Turns the first Ctrl-C into a wish to stop; a second one ends at once, as it always does.

    Attributes:
        wanted: Whether somebody wished to.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._before: Any = None

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._asked)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True


class Arrivals:
    """The whole images of a folder that fills.

    An image is whole when its size and time have stood still for a while and it can be decoded. One that
    cannot is waited for: it may still be growing, however slowly. What never becomes whole is passed on at
    the end, so that its reading says what is wrong with it.

    Args:
        listed: The folder's images as they are now.
        stopping: Whether to come to an end.
        decodes: Whether an image can be decoded.
        still: How long an image has to stand still, seconds.
        clock: Seconds, ever rising.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        listed: Callable[[], list[str]],
        stopping: Callable[[], bool],
        decodes: Callable[[Path], bool],
        *,
        still: float = STILL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._listed, self._stopping, self._decodes = listed, stopping, decodes
        self._still, self._clock, self._sleep = still, clock, sleep
        self._since: dict[str, tuple[_State, float]] = {}
        self._broken: dict[str, _State] = {}
        self._passed: set[str] = set()

    def __iter__(self) -> Iterator[list[str]]:
        """Those that have become whole since the last time, by name; waits until there are some.

        Ends when somebody wishes to stop, with those that are left.
        """
        while not self._stopping():
            waiting = (image for image in self._listed() if image not in self._passed)
            if whole := list(islice(filter(self._whole, waiting), AT_MOST)):
                self._passed.update(whole)
                yield whole
            else:
                self._sleep(LOOK_EVERY)
        left = [image for image in self._listed() if image not in self._passed]
        if left:
            yield left

    def _whole(self, image: str) -> bool:
        path = Path(image)
        try:
            status = path.stat()
        # Gone again: some cameras write under one name and move to another.
        except OSError:
            return False
        state, now = (status.st_size, status.st_mtime_ns), self._clock()
        before, since = self._since.get(image, (None, now))
        if state != before:
            self._since[image] = state, now
            return False
        if now - since < self._still or self._broken.get(image) == state:
            return False
        if self._decodes(path):
            del self._since[image]
            return True
        self._broken[image] = state
        return False
