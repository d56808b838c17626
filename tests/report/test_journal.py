"""The journal gives back what it was told, loses nothing that was done, and has one writer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leukolens.errors import ReportError
from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, FieldReading
from leukolens.report.journal import JOURNAL, LOCK, Journal

WITH = {"leukolens": "0.1.0", "bundle": "b" * 64, "engine": "onnxruntime 1"}


def field(digest: str = "1", **changes: Any) -> FieldReading:
    cell = Cell(
        Box(-1, 2, 30, 41), {"neutrophil": 0.1 + 0.2, "other": 2 / 3}, "review", "why", at_edge=True, score=1 / 3
    )  # fmt: skip
    made = FieldReading(Path("a.png"), "ok", None, digest * 64, 640, 480, (cell, cell), 90, 4, 6.28)
    return replace(made, **changes)


def reasons(folder: Path, **changed: str) -> dict[str, str | None]:
    with Journal(folder, {**WITH, **changed}) as journal:
        found = {digest: journal.find(digest * 64, Path("x")) for digest in "123"}
    return {digest: reading.reason for digest, reading in found.items() if reading}


def test_it_gives_back_the_reading_to_the_last_digit(tmp_path: Path) -> None:
    empty = field("2", status="no_cell", reason="nothing there", cells=(), pixels_per_micrometre=None)
    with Journal(tmp_path, WITH) as journal:
        journal.add(field())
        journal.add(empty)
        assert journal.find("1" * 64, Path("a.png")) == field()
    with Journal(tmp_path, WITH) as journal:
        assert journal.find("1" * 64, Path("a.png")) == field()
        assert journal.find("2" * 64, Path("other.png")) == replace(empty, path=Path("other.png"))
        assert journal.find("3" * 64, Path("a.png")) is None
        assert len(journal) == 2


@pytest.mark.parametrize("what", WITH)
def test_another_program_bundle_or_engine_reads_anew(tmp_path: Path, what: str) -> None:
    with Journal(tmp_path, WITH) as journal:
        journal.add(field(reason="old"))
    assert reasons(tmp_path, **{what: "another"}) == {}
    with Journal(tmp_path, {**WITH, what: "another"}) as journal:
        journal.add(field(reason="new"))
    assert reasons(tmp_path) == {"1": "old"}
    assert reasons(tmp_path, **{what: "another"}) == {"1": "new"}


def test_failures_are_tried_again_and_no_path_is_kept(tmp_path: Path) -> None:
    with Journal(tmp_path, WITH) as journal:
        journal.add(field("1", status="failed"))
        journal.add(field("2", path=Path("patients/Jane Doe.png")))
        assert len(journal) == 1
    assert "Jane" not in (tmp_path / JOURNAL).read_text()


def test_every_line_says_what_it_was_made_with(tmp_path: Path) -> None:
    with Journal(tmp_path, WITH) as journal:
        journal.add(field("1"))
        journal.add(field("2"))
    lines = [json.loads(line) for line in (tmp_path / JOURNAL).read_text().splitlines()]
    assert [line["sha256"] for line in lines] == ["1" * 64, "2" * 64]
    assert all(WITH.items() <= line.items() for line in lines)


@pytest.mark.parametrize("cut", [2, 40, 400])
def test_a_line_that_was_cut_off_costs_its_field_alone(tmp_path: Path, cut: int) -> None:
    with Journal(tmp_path, WITH) as journal:
        journal.add(field("1", reason="first"))
        journal.add(field("2", reason="second"))
    path = tmp_path / JOURNAL
    path.write_bytes(path.read_bytes()[:-cut])
    assert reasons(tmp_path) == {"1": "first"}
    with Journal(tmp_path, WITH) as journal:
        journal.add(field("3", reason="third"))
    assert reasons(tmp_path) == {"1": "first", "3": "third"}


@pytest.mark.parametrize(
    "rubbish",
    [b"\0" * 4096, b"\xff\xfe\n", b"{}\n[]\nnull\n17\n", b"[" * 100_000 + b"\n", b"dear diary", b"\n\n"],
    ids=range(6),
)
def test_rubbish_is_passed_over_and_left_alone(tmp_path: Path, rubbish: bytes) -> None:
    path = tmp_path / JOURNAL
    path.write_bytes(rubbish)
    with Journal(tmp_path, WITH) as journal:
        journal.add(field("1", reason="kept"))
    assert path.read_bytes().startswith(rubbish)
    assert reasons(tmp_path) == {"1": "kept"}


@pytest.mark.parametrize("key", ["cells", "status", "width"])
def test_a_line_of_another_shape_is_passed_over(tmp_path: Path, key: str) -> None:
    with Journal(tmp_path, WITH) as journal:
        journal.add(field("1"))
    line = json.loads((tmp_path / JOURNAL).read_text())
    (tmp_path / JOURNAL).write_text(json.dumps({**line, key: "nonsense"}) + "\n")
    assert reasons(tmp_path) == {}


def test_a_second_writer_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with Journal(tmp_path, WITH) as journal:
        with pytest.raises(ReportError, match=r"is in use: another .* --out"):
            Journal(tmp_path, WITH)
        journal.add(field())
    with Journal(tmp_path, WITH) as journal:
        assert len(journal) == 1
    assert (tmp_path / LOCK).is_file()


def test_a_killed_writer_leaves_no_lock_and_every_line(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from leukolens.reading.cell import FieldReading
from leukolens.report.journal import Journal
journal = Journal(Path({str(tmp_path)!r}), {WITH!r})
for digest in "123":
    journal.add(FieldReading(Path("a"), "no_cell", "killed", digest * 64, 1, 1))
try:
    Journal(Path({str(tmp_path)!r}), {WITH!r})
except Exception as error:
    print(type(error).__name__, flush=True)
os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert ended.stdout == "ReportError\n"
    assert reasons(tmp_path) == dict.fromkeys("123", "killed")


def test_it_is_on_the_disk_within_a_second_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[float] = []
    now = 0.0
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (synced.append(now), sync(number)))
    with Journal(tmp_path, WITH, clock=lambda: now) as journal:
        for digest in range(10):
            now = 0.4 * digest
            journal.add(field(str(digest)))
    assert synced == pytest.approx([1.2, 2.4, 3.6, 3.6])


def broken(number: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_full_disk_is_one_error_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", broken(28))
    journal = Journal(tmp_path, WITH)
    with pytest.raises(ReportError, match=r"journal.jsonl cannot be written \(No space left"), journal:
        journal.add(field())
    with pytest.raises(KeyError), Journal(tmp_path, WITH):
        raise KeyError("the cause is not hidden by the disk")


@pytest.mark.skipif(os.name == "nt", reason="limits are POSIX")
def test_a_disk_that_fills_within_a_line_costs_that_line_alone(tmp_path: Path) -> None:
    with Journal(tmp_path, WITH) as journal:
        journal.add(field("1", reason="first"))
    room = (tmp_path / JOURNAL).stat().st_size + 100
    program = f"""
import resource
from pathlib import Path
from leukolens.errors import ReportError
from leukolens.reading.cell import FieldReading
from leukolens.report.journal import Journal
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
try:
    with Journal(Path({str(tmp_path)!r}), {WITH!r}) as journal:
        journal.add(FieldReading(Path("a"), "no_cell", "second", "2" * 64, 1, 1))
except ReportError as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "journal.jsonl cannot be written (No space left on device)" in ended.stdout
    assert (tmp_path / JOURNAL).stat().st_size == room
    with Journal(tmp_path, WITH) as journal:
        journal.add(field("3", reason="third"))
    assert reasons(tmp_path) == {"1": "first", "3": "third"}


def test_a_folder_that_is_none_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="cannot be written"):
        Journal(tmp_path / "missing", WITH)
