"""A bar shows on a terminal, after two seconds, and never changes what passes by."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import StringIO

import pytest

from leukolens.cli import progress
from leukolens.cli.progress import watched


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def terminal_in(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Called by the test itself: pytest sets standard error anew between a fixture and its test."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    return stream


def test_nothing_shows_where_standard_error_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(watched(range(5), 5)) == [0, 1, 2, 3, 4]
    assert capsys.readouterr().err == ""


def test_nothing_shows_for_what_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_in(monkeypatch)
    assert list(watched(range(5), 5)) == [0, 1, 2, 3, 4]
    assert terminal.getvalue() == ""


def test_a_bar_shows_once_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_in(monkeypatch)
    monkeypatch.setattr(progress, "SOON", -1.0)
    assert list(watched(iter(range(50)), 50, noun="smears")) == list(range(50))
    assert "smears" in terminal.getvalue()
    assert "/50" in terminal.getvalue()


def test_silence_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_in(monkeypatch)
    monkeypatch.setattr(progress, "SOON", -1.0)
    assert list(watched(range(5), 5, shown=False)) == [0, 1, 2, 3, 4]
    assert terminal.getvalue() == ""


def test_an_error_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_in(monkeypatch)
    monkeypatch.setattr(progress, "SOON", -1.0)

    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("from below")

    with pytest.raises(KeyError, match="from below"):
        list(watched(failing(), 5))
    assert terminal.getvalue().endswith("\x1b[2K")  # the bar is gone again
