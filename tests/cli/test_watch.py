"""A folder that fills: half-written images wait, whole ones come once, and the end takes what is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leukolens.cli.watch import AT_MOST, Arrivals, Stopping

STILL = 2.0


class Bench:
    """A folder, a clock that moves only while somebody waits, and what happens at which second."""

    def __init__(self, folder: Path, *, ends_at: float) -> None:
        self.folder, self.now, self.ends_at = folder, 0.0, ends_at
        self.happenings: list[tuple[float, Callable[[], object]]] = []
        self.tried: list[str] = []

    def at(self, second: float, name: str, content: str) -> None:
        """Writes a file at this second; one that says "whole" can be decoded."""

        def write() -> None:
            path = self.folder / name
            path.write_text(content)
            os.utime(path, (second, second))

        self.happenings.append((second, write))

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        due = [happening for happening in self.happenings if happening[0] <= self.now]
        for happening in due:
            self.happenings.remove(happening)
            happening[1]()

    def decodes(self, path: Path) -> bool:
        self.tried.append(path.name)
        return path.read_text() == "whole"

    def arrivals(self) -> Iterator[tuple[float, list[str]]]:
        self.sleep(0)
        listed = lambda: [str(path) for path in sorted(self.folder.iterdir())]  # noqa: E731
        waiting = Arrivals(
            listed, lambda: self.now >= self.ends_at, self.decodes,
            still=STILL, clock=lambda: self.now, sleep=self.sleep,
        )  # fmt: skip
        for images in waiting:
            yield self.now, [Path(image).name for image in images]


def test_images_come_once_and_when_they_have_stood_still(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ends_at=20)
    bench.at(0, "b.png", "whole")
    bench.at(0, "a.png", "whole")
    bench.at(5, "c.png", "whole")
    assert list(bench.arrivals()) == [(2.0, ["a.png", "b.png"]), (7.0, ["c.png"])]


def test_one_that_grows_is_waited_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ends_at=20)
    for second in range(5):
        bench.at(second, "a.png", "who" + "." * second)
    bench.at(5, "a.png", "whole")
    assert list(bench.arrivals()) == [(7.0, ["a.png"])]
    assert bench.tried == ["a.png"]


def test_one_rewritten_at_the_same_size_is_waited_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ends_at=20)
    bench.at(0, "a.png", "WHOLE")
    bench.at(1.5, "a.png", "whole")
    assert list(bench.arrivals()) == [(3.5, ["a.png"])]


def test_one_that_stands_still_half_written_is_tried_once_until_it_changes(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ends_at=20)
    bench.at(0, "a.png", "who")
    bench.at(10, "a.png", "whole")
    assert list(bench.arrivals()) == [(12.0, ["a.png"])]
    assert bench.tried == ["a.png", "a.png"]


def test_what_never_becomes_whole_comes_at_the_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ends_at=4)
    bench.at(0, "broken.png", "who")
    bench.at(0, "good.png", "whole")
    bench.at(3.5, "late.png", "whole")
    assert list(bench.arrivals()) == [(2.0, ["good.png"]), (4.0, ["broken.png", "late.png"])]


def test_a_full_folder_comes_in_parts(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ends_at=10)
    for number in range(AT_MOST + 3):
        bench.at(0, f"{number:02d}.png", "whole")
    assert [len(images) for _, images in bench.arrivals()] == [AT_MOST, 3]


def test_one_that_goes_again_is_no_trouble(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ends_at=6)
    bench.at(0, "a.png", "whole")
    bench.happenings.append((1, (tmp_path / "a.png").unlink))
    assert list(bench.arrivals()) == []


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_the_first_ctrl_c_is_a_wish_and_the_second_an_order() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Stopping() as stopping:
        assert not stopping.wanted
        signal.raise_signal(signal.SIGINT)
        assert stopping.wanted
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
