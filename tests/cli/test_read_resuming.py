"""However a reading came to its end, its answer is the same: read again, stopped, killed, gone on with or watched."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from leukolens.bundle import Bundle
from leukolens.cli.main import app

CELLS = ["neutrophil"] * 4 + ["lymphocyte"] * 2 + ["monocyte"]
ALL = ("--format", "html,csv,json,geojson,coco,fhir")


def read(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["read", *map(str, arguments)])


def outcome(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and not path.name.startswith("journal.")
    }


# Equal answers, however they came about


def test_equal_input_gives_equal_bytes(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    first = read(smear, "--out", tmp_path / "a", "--json", *ALL)
    again = read(smear, "--out", tmp_path / "b", "--json", *ALL)
    assert first.stdout == again.stdout
    assert outcome(tmp_path / "a") == outcome(tmp_path / "b")


def test_a_finished_run_is_told_again_without_reading(
    square_reader: Any, smear: Path, tmp_path: Path
) -> None:
    first = read(smear, "--out", tmp_path / "out", "--json", *ALL)
    before = outcome(tmp_path / "out")
    assert square_reader.read_files == ["0.png", "1.png", "2.png"]
    (smear / "2.png").rename(smear / "3.png")
    again = read(smear, "--out", tmp_path / "out", "--json", *ALL)
    assert len(square_reader.read_files) == 3
    assert again.stdout == first.stdout.replace("2.png", "3.png")
    assert outcome(tmp_path / "out") == before


def test_a_journal_of_another_bundle_is_not_used(
    square_reader: Any, smear: Path, tmp_path: Path, make_bundle: Callable[..., Bundle]
) -> None:
    read(smear, "--out", tmp_path / "out")
    square_reader.bundle = make_bundle(name="another")
    read(smear, "--out", tmp_path / "out")
    assert len(square_reader.read_files) == 6


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_stopped_run_continues_to_the_same_bytes(
    square_reader: Any, smear: Path, tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (smear / "1b.png").write_text("broken")
    whole = read(smear, "--out", tmp_path / "whole", "--json", *ALL)
    one = square_reader._one

    def stopping(path: Path) -> object:
        if path.name == f"{after}.png":
            raise KeyboardInterrupt
        return one(path)

    monkeypatch.setattr(square_reader, "_one", stopping)
    stopped = read(smear, "--out", tmp_path / "out", *ALL)
    assert stopped.exit_code == 130
    assert stopped.stderr.splitlines()[-1] == "Interrupted."
    assert re.match(r"\d of 4 fields are done; the same command goes on from there\.", stopped.stderr)
    assert outcome(tmp_path / "out") == {}
    monkeypatch.setattr(square_reader, "_one", one)
    square_reader.read_files.clear()
    continued = read(smear, "--out", tmp_path / "out", "--json", *ALL)
    assert continued.stdout == whole.stdout
    assert outcome(tmp_path / "out") == outcome(tmp_path / "whole")
    assert len(square_reader.read_files) == 4 - after


DRIVER = """
import sys
from pathlib import Path
from leukolens.bundle import load
from leukolens.cli import main
import leukolens.cli.read as command
import squares
slowness = float(sys.argv.pop(1))
command.open_reader = lambda bundle, engine: squares.SquareReader(load(bundle), slowness=slowness)
main.main()
"""


def started(slowness: float, *arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(slowness), "read", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def journalled(out: Path) -> int:
    path = out / "journal.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def wait_for(happened: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


@pytest.fixture
def many(squares: ModuleType, tmp_path: Path) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(60):
        squares.draw(folder / f"{number:02d}.png", CELLS[: number % 7], seed=number)
    return folder


def test_a_killed_run_loses_nothing_that_was_done(many: Path, bundle_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = (many, "--bundle", bundle_file, "--json")
    with started(0.05, *arguments, "--out", out) as running:
        wait_for(lambda: journalled(out) >= 5)
        running.kill()
    done = journalled(out)
    assert 5 <= done < 60
    with started(0, *arguments, "--out", out) as running:
        continued, err = running.communicate(timeout=120)
        assert (running.returncode, err) == (0, "")
    assert journalled(out) == 60
    with started(0, *arguments, "--out", tmp_path / "whole") as running:
        whole, _ = running.communicate(timeout=120)
    assert continued == whole
    assert outcome(out) == outcome(tmp_path / "whole")


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_ctrl_c_stops_in_a_moment_and_a_second_writer_is_refused(
    many: Path, bundle_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with started(0.1, many, "--bundle", bundle_file, "--out", out) as running:
        wait_for(lambda: journalled(out) >= 2)
        with started(0, many, "--bundle", bundle_file, "--out", out) as second:
            _, err = second.communicate(timeout=60)
        assert second.returncode == 1
        said = f"{out} is in use: another `leukolens read` writes there."
        assert err == f"{said} Wait until it ends, or choose another folder with --out.\n"
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert re.fullmatch(
        r"\d+ of 60 fields are done; the same command goes on from there\.\nInterrupted\.\n", err
    )


@pytest.mark.skipif(os.name == "nt", reason="limits are POSIX")
def test_a_full_disk_is_one_line(many: Path, bundle_file: Path, tmp_path: Path) -> None:
    program = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n" + DRIVER
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTHONDONTWRITEBYTECODE": "1"}
    out = tmp_path / "out"
    ended = subprocess.run(
        [sys.executable, "-c", program, "0", "read", many, "--bundle", bundle_file, "--out", out],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "cannot be written" in ended.stderr
    with started(0, many, "--bundle", bundle_file, "--out", out, "--json") as running:
        continued, _ = running.communicate(timeout=60)
    with started(0, many, "--bundle", bundle_file, "--out", tmp_path / "whole", "--json") as running:
        whole, _ = running.communicate(timeout=60)
    assert continued == whole


# A folder that fills


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_a_watched_folder_is_read_as_it_fills_and_reported_at_ctrl_c(
    squares: ModuleType, bundle_file: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "camera", tmp_path / "out"
    folder.mkdir()
    late = squares.draw(tmp_path / "late.png", CELLS).read_bytes()
    arguments = (folder, "--bundle", bundle_file, "--json")
    with started(0, *arguments, "--watch", "--out", out) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == f"Watching {folder}. Ctrl-C ends it and writes the report.\n"
        squares.draw(folder / "b.png", ["lymphocyte"])
        (folder / "a.png").write_bytes(late[:80])
        assert running.stderr.readline() == "1\tb.png\t1 white cell\n"
        assert journalled(out) == 1
        (folder / "a.png").write_bytes(late)
        assert running.stderr.readline() == "2\ta.png\t7 white cells\n"
        (folder / "c.png").write_bytes(late[:80])
        folder.rename(tmp_path / "away")  # as a network drive may be for a while
        time.sleep(1)
        (tmp_path / "away").rename(folder)
        running.send_signal(signal.SIGINT)
        watched, err = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "c.png\tnot read: is truncated or damaged" in err
    assert err.endswith("1 of 3 fields could not be read; the report says why.\n")
    with started(0, *arguments, "--out", tmp_path / "whole") as running:
        whole, _ = running.communicate(timeout=60)
    assert watched == whole
    assert outcome(out) == outcome(tmp_path / "whole")


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_a_watched_folder_that_stays_empty_is_no_report(bundle_file: Path, tmp_path: Path) -> None:
    (tmp_path / "camera").mkdir()
    with started(
        0, tmp_path / "camera", "--bundle", bundle_file, "--watch", "--out", tmp_path / "out"
    ) as running:
        assert running.stderr is not None
        running.stderr.readline()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert (running.returncode, len(err.splitlines())) == (1, 1)
    assert "no field came into" in err
