"""A worker says how it ended, or why it cannot begin."""

from __future__ import annotations

import json
import os
import sys
import threading
import time

import pytest

from leukolens.reading import worker_client
from leukolens.reading.worker_client import EndedError, UnstartableError, Worker

HELLO = """
import os, struct, sys
import leukolens
def say(text): os.write(1, struct.pack(">Q", len(text)) + text.encode())
say('{"note": "", "package": "' + PACKAGE + '"}')
"""


def worker(monkeypatch: pytest.MonkeyPatch, program: str, package: str = "leukolens.__file__") -> Worker:
    program = HELLO.replace("PACKAGE", package) + program
    monkeypatch.setattr(worker_client, "COMMAND", (sys.executable, "-P", "-c", program))
    return Worker("auto", b"a bundle")


def test_an_answer_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = worker(monkeypatch, "say('[1, 2]'); sys.stdin.read()")
    assert json.loads(asked.ask(["a.png"])) == [1, 2]
    asked.stop()


POSIX = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")


@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("", "exit status 0"),
        ("sys.exit(3)", "exit status 3"),
        pytest.param("os.abort()", "SIGABRT", marks=POSIX),
    ],
)
def test_an_end_says_how(monkeypatch: pytest.MonkeyPatch, program: str, how: str) -> None:
    asked = worker(monkeypatch, program)
    for _ in range(2):  # it begins anew each time
        with pytest.raises(EndedError, match=how):
            asked.ask(["a.png"])


def test_what_cannot_begin_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (("no-such-python",), ("",), (sys.executable, "-c", "print('hello')")):
        monkeypatch.setattr(worker_client, "COMMAND", command)
        with pytest.raises(UnstartableError):
            Worker("auto", b"").ask(["a.png"])
    with pytest.raises(UnstartableError, match=r"another leukolens, elsewhere"):
        worker(monkeypatch, "", package="'elsewhere'").ask(["a.png"])
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(UnstartableError, match="no Python"):
        worker(monkeypatch, "").ask(["a.png"])


def test_one_that_never_begins_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_client, "COMMAND", (sys.executable, "-c", "import time; time.sleep(600)"))
    monkeypatch.setattr(worker_client, "START_SECONDS", 0.5)
    with pytest.raises(UnstartableError):
        Worker("auto", b"").ask(["a.png"])


def test_stopping_cuts_an_answer_off_and_is_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = worker(monkeypatch, "import time; time.sleep(600)")
    ended: list[Exception] = []

    def ask() -> None:
        try:
            asked.ask(["a.png"])
        except EndedError as error:
            ended.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    while asked._process is None:
        time.sleep(0.01)
    asked.stop()
    asking.join(60)
    assert len(ended) == 1
    with pytest.raises(EndedError, match="closed"):
        asked.ask(["a.png"])
