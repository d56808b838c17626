"""`leukolens identify` over many images, read by processes beside each other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from leukolens.cli.main import app


def identify(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["identify", *map(str, arguments)])


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_ctrl_c_ends_the_processes_that_read_too(
    bundle_file: Path,
    tmp_path: Path,
    workers_of: Callable[[int], list[int]],
    gone: Callable[[list[int]], bool],
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    Image.new("RGB", (2000, 2000), "red").save(folder / "0000.png")
    for number in range(1, 3000):
        (folder / f"{number:04d}.png").hardlink_to(folder / "0000.png")
    program = """
from leukolens.cli import main
from leukolens.reading import processor
processor.processors = lambda: 2
main.main()
"""
    command = [sys.executable, "-c", program, "identify", str(folder), "--bundle", str(bundle_file)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        assert running.stdout is not None
        assert all(running.stdout.readline() for _ in range(3))
        workers = workers_of(running.pid)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to the workers too
        _, err = running.communicate(timeout=180)
    assert len(workers) == 2
    assert (running.returncode, err) == (130, "Interrupted.\n")
    assert gone(workers)


def test_where_processes_cannot_be_started_one_line_says_so(
    bundle_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leukolens.reading.processor.processors", lambda: 2)
    monkeypatch.setattr("leukolens.reading.reader.FILES_EACH", 2)
    monkeypatch.setattr("leukolens.reading.worker_client.COMMAND", ("no-such-python",))
    for number in range(4):
        Image.new("RGB", (32, 24), "red").save(tmp_path / f"{number}.png")
    result = identify(tmp_path, "--bundle", bundle_file)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 1 + 4
    assert result.stderr.startswith("processes are not used: ")
    assert result.stderr.count("\n") == 1
    assert identify(tmp_path, "--bundle", bundle_file, "--quiet").stderr == ""
