"""Processes that are ended with the server and in time, in a folder that nobody else may look into."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from leukolens.errors import ServerError
from leukolens.server.jobs.reading_client import StoppedError
from leukolens.server.learning import guarded, workshop
from leukolens.server.store.files import Files

PROGRAMS = {
    "says": "import sys\nprint('one')\nprint(sys.argv[1:])\nprint('last words', file=sys.stderr)\nsys.exit(1)\n",
    "waits": "import threading\nprint('begun', flush=True)\nthreading.Event().wait()\n",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, and programs that are modules for whoever is begun."""
    modules = tmp_path / "modules"
    modules.mkdir()
    for name, text in PROGRAMS.items():
        (modules / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(modules))
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def test_what_a_process_says_is_told_and_how_it_ended_is_known(place: Path) -> None:
    told: list[str] = []
    ended = workshop.run(place, "says", ["a", "b"], stopping=threading.Event(), seconds=60, told=told.append)
    assert told == ["one", "['a', 'b']"]
    assert (ended.code, ended.said, ended.complained) == (1, told[-1], "last words")


def test_a_server_that_stops_ends_it_and_so_does_too_long_a_time(place: Path) -> None:
    stopping = threading.Event()
    with pytest.raises(StoppedError):
        workshop.run(place, "waits", [], stopping=stopping, seconds=60, told=lambda _: stopping.set())
    with pytest.raises(ServerError, match="took too long"):
        workshop.run(place, "waits", [], stopping=threading.Event(), seconds=0.1)


def test_what_nobody_wants_any_more_is_ended(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workshop, "ASK_EVERY", 0.05)
    answers = iter([True, False])
    with pytest.raises(workshop.UnwantedError):
        workshop.run(place, "waits", [], stopping=threading.Event(), seconds=60, wanted=lambda: next(answers))
    assert list(answers) == []


def test_it_ends_with_a_server_that_is_killed(place: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "leukolens.server.learning.guarded", str(place), "waits"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.stdin.close()  # as the system does when a process is gone
    assert process.wait(30) == guarded.ABANDONED
    process.stdout.close()


def test_the_folder_is_new_private_and_gone_afterwards(tmp_path: Path) -> None:
    files = Files(tmp_path)
    with workshop.folder(files, 7) as place:
        (place / "cell.png").write_bytes(b"x")
        if os.name != "nt":
            assert stat.S_IMODE(place.stat().st_mode) == 0o700
            assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert not place.exists()
    place.mkdir()
    (place / "left behind").write_bytes(b"x")
    with workshop.folder(files, 7) as again:
        assert list(again.iterdir()) == []
    place.mkdir()
    workshop.clear(files)
    assert not place.exists()
    workshop.clear(files)
