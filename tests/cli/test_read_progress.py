"""The bars of `read` count what is read and what is written on a page, and change nothing of it."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from leukolens.cli import progress
from leukolens.cli.main import app
from leukolens.cli.read_progress import ReadProgress


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def terminal_in(monkeypatch: pytest.MonkeyPatch, soon: float = -1.0) -> Terminal:
    """Called by the test itself: pytest sets standard error anew between a fixture and its test."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "SOON", soon)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return stream


def counts(shown: str, noun: str) -> list[str]:
    """What a bar showed, without repetitions."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    found = re.findall(rf"{noun}\s\D*?(\d+)/(\d+)", plain)
    return list(dict.fromkeys("/".join(pair) for pair in found))


def worked_through(bars: ReadProgress, items: Sequence[int], pause: float = 0.15) -> list[int]:
    """The items, slowly enough for each to be drawn (a terminal is drawn ten times a second)."""
    passed = []
    for item in bars.written(items):
        passed.append(item)
        time.sleep(pause)
    return passed


def test_a_page_that_takes_long_moves_a_bar_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_in(monkeypatch)
    bars = ReadProgress(4, shown=True)
    for _ in range(4):
        bars.read()
    assert worked_through(bars, range(5)) == [0, 1, 2, 3, 4]
    bars.close()
    assert counts(terminal.getvalue(), "fields")[-1] == "4/4"
    pages = counts(terminal.getvalue(), "page")
    assert len(pages) >= 3
    assert pages == sorted(pages)
    assert all(page.endswith("/5") for page in pages)
    assert "/" not in terminal.getvalue().rpartition("\x1b[2K")[2]  # the bars are gone again


def test_only_what_takes_long_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_in(monkeypatch, soon=0.25)
    bars = ReadProgress(3, shown=True)
    bars.read()
    assert worked_through(bars, range(3), pause=0.01) == [0, 1, 2]
    assert terminal.getvalue() == ""
    time.sleep(0.3)
    bars.read()
    assert worked_through(bars, range(3), pause=0.01) == [0, 1, 2]
    assert worked_through(bars, range(4)) == [0, 1, 2, 3]
    bars.close()
    assert counts(terminal.getvalue(), "fields") == ["2/3"]
    assert {page.partition("/")[2] for page in counts(terminal.getvalue(), "page")} == {"4"}


def test_where_nobody_knows_how_many_are_read_only_pages_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_in(monkeypatch)
    bars = ReadProgress(None, shown=True)
    bars.read()
    assert terminal.getvalue() == ""
    worked_through(bars, range(2))
    bars.close()
    assert not counts(terminal.getvalue(), "fields")
    assert counts(terminal.getvalue(), "page")


def test_silence_when_asked_and_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SOON", -1.0)
    bars = ReadProgress(2, shown=True)
    bars.read()
    assert worked_through(bars, range(2), pause=0) == [0, 1]
    bars.close()
    assert capsys.readouterr().err == ""
    terminal = terminal_in(monkeypatch)
    quiet = ReadProgress(2, shown=False)
    quiet.read()
    assert worked_through(quiet, range(2), pause=0) == [0, 1]
    quiet.close()
    assert terminal.getvalue() == ""


def test_a_page_that_fails_takes_its_bar_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_in(monkeypatch)
    bars = ReadProgress(None, shown=True)

    def fails() -> None:
        for number in bars.written(range(3)):
            if number == 2:
                raise KeyError("the disk")

    with pytest.raises(KeyError, match="the disk"):
        fails()
    bars.close()
    cleared = terminal.getvalue().rpartition("\x1b[2K")[2]
    assert counts(terminal.getvalue(), "page")
    assert re.fullmatch(r"(\x1b\[\?25h|\r)*", cleared)  # the cursor is there again, the bar is not


def test_read_counts_each_field_of_each_page_once(
    square_reader: Any, squares: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[list[str]] = []

    def watching(self: ReadProgress, fields: Sequence[Any]) -> Any:
        written.append([])
        for field in fields:
            written[-1].append(field.path.name)
            yield field

    monkeypatch.setattr(ReadProgress, "written", watching)
    for sample, count in (("a", 3), ("b", 2)):
        (tmp_path / sample).mkdir()
        for number in range(count):
            squares.draw(tmp_path / sample / f"{number}.png", ["neutrophil"], seed=ord(sample) + number)
    arguments = ["read", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*arguments, "--format", "html,csv,json,geojson,coco,fhir"])
    assert result.exit_code == 0, result.output
    assert written == [["0.png", "1.png", "2.png"], ["0.png", "1.png"]]
