import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

import leukolens
from leukolens.errors import ReportError
from leukolens.evaluation import ledger
from leukolens.evaluation.ledger import HEADER, Look, Seen, append, code_commit, default_ledger, looks, read

LOOK = Look("0123456789ab", "a" * 64, 3, "b" * 64, "blood-cells", "test")
SEEN = (Seen("accuracy", 0.9123456789, 0.85, 0.95), Seen("balanced accuracy", 0.9))


def test_a_look_adds_a_line_for_every_figure(tmp_path):
    path = tmp_path / "benchmarks" / "ledger.csv"
    assert append(path, LOOK, SEEN) == 1
    first, second = read(path)
    assert (first.figure, first.value, first.low, first.high) == (
        "accuracy",
        "0.912346",
        "0.850000",
        "0.950000",
    )
    assert (second.low, second.high) == ("", "")
    assert (first.commit, first.seed, first.dataset, first.split) == (
        "0123456789ab",
        "3",
        "blood-cells",
        "test",
    )
    assert (first.recipe_sha256, first.bundle_sha256) == ("a" * 64, "b" * 64)
    assert first.look == second.look
    written = datetime.fromisoformat(first.date)
    assert written.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=1)


def test_looks_are_counted_not_lines(tmp_path):
    path = tmp_path / "ledger.csv"
    assert looks(path) == 0
    counts = [append(path, LOOK, SEEN) for _ in range(3)]
    other = Look("0123456789ab", "a" * 64, 3, "b" * 64, "raabin-500", "all")
    counts.append(append(path, other, SEEN[:1]))
    assert counts == [1, 2, 3, 4]
    assert looks(path) == 4
    assert (looks(path, "blood-cells"), looks(path, "raabin-500"), looks(path, "tecom-300")) == (3, 1, 0)
    assert len(read(path)) == 7
    assert [row.looks for row in read(path)] == ["1", "1", "2", "2", "3", "3", "4"]
    assert all(before.date <= after.date for before, after in pairwise(read(path)))


def test_what_stands_there_is_never_changed(tmp_path):
    path = tmp_path / "ledger.csv"
    append(path, LOOK, SEEN)
    before = path.read_bytes()
    append(path, LOOK, SEEN)
    assert path.read_bytes().startswith(before)
    assert before.decode().startswith(HEADER + "\n")


WRITER = """
import sys
from pathlib import Path
from leukolens.evaluation.ledger import Look, Seen, append
for turn in range(25):
    look = Look("c", "r", turn, sys.argv[2], "blood-cells", "test")
    append(Path(sys.argv[1]), look, [Seen(f"figure {number}", turn / 25, 0, 1) for number in range(9)])
"""


def test_two_processes_write_at_once_and_no_line_is_lost_or_torn(tmp_path):
    path = tmp_path / "ledger.csv"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], stderr=subprocess.PIPE, text=True)
        for name in ("first", "second")
    ]
    for writer in writers:
        _, complaint = writer.communicate(timeout=120)
        assert writer.returncode == 0, complaint
    rows = read(path)
    assert len(rows) == 2 * 25 * 9
    assert len(path.read_text().splitlines()) == len(rows) + 1
    assert looks(path) == 50
    assert [int(row.looks) for row in rows[::9]] == list(range(1, 51))
    for start in range(0, len(rows), 9):
        together = rows[start : start + 9]
        assert len({row.look for row in together}) == 1
        assert [row.figure for row in together] == [f"figure {number}" for number in range(9)]


@pytest.mark.parametrize("torn", ["2026-01-01T00:00:00+00:00,c,r,1", '2026-01-01,"open quotation, c'])
def test_a_line_cut_short_by_a_crash_costs_no_other_line(tmp_path, torn):
    path = tmp_path / "ledger.csv"
    append(path, LOOK, SEEN)
    with path.open("a") as stream:
        stream.write(torn)
    assert len(read(path)) == 2
    assert append(path, LOOK, SEEN) == 2
    assert len(read(path)) == 4
    assert torn in path.read_text()


def test_commas_and_line_breaks_stay_in_their_field(tmp_path):
    path = tmp_path / "ledger.csv"
    append(path, Look("c", "r", 0, "b", 'a, "folder"\nof cells', "all"), SEEN)
    assert {row.dataset for row in read(path)} == {'a, "folder" of cells'}


def test_a_file_that_is_no_ledger_is_left_alone(tmp_path):
    path = tmp_path / "ledger.csv"
    path.write_bytes(b"name,size\nx,1\n")
    with pytest.raises(ReportError, match="is no ledger"):
        append(path, LOOK, SEEN)
    with pytest.raises(ReportError, match="is no ledger"):
        looks(path)
    assert path.read_bytes() == b"name,size\nx,1\n"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ReportError, match="is no ledger"):
        read(path)


def test_a_look_without_figures_is_refused(tmp_path):
    with pytest.raises(ReportError, match="without a figure"):
        append(tmp_path / "ledger.csv", LOOK, [])


def test_a_ledger_that_cannot_be_written_says_so(tmp_path, monkeypatch):
    (tmp_path / "a file").touch()
    with pytest.raises(ReportError, match="cannot be written"):
        append(tmp_path / "a file" / "ledger.csv", LOOK, SEEN)

    def full(handle, content):
        raise OSError(28, "No space left on device")

    path = tmp_path / "ledger.csv"
    append(path, LOOK, SEEN)
    monkeypatch.setattr(ledger.os, "write", full)
    with pytest.raises(ReportError, match="must not be reported"):
        append(path, LOOK, SEEN)
    monkeypatch.undo()
    assert append(path, LOOK, SEEN) == 2


def test_a_folder_is_no_ledger(tmp_path):
    with pytest.raises(ReportError, match="cannot be"):
        read(tmp_path)


def test_the_checkouts_ledger_is_taken_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_ledger(Path("out")) == Path("out") / "ledger.csv"
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "ledger.csv").touch()
    assert default_ledger(Path("out")) == Path("benchmarks") / "ledger.csv"
    assert append(default_ledger(Path("out")), LOOK, SEEN) == 1


def _git(folder, *arguments):
    who = {
        "GIT_AUTHOR_NAME": "t",
        "GIT_AUTHOR_EMAIL": "t@t",
        "GIT_COMMITTER_NAME": "t",
        "GIT_COMMITTER_EMAIL": "t@t",
    }
    subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, env=os.environ | who
    )


def test_the_commit_is_that_of_the_checkout_the_code_runs_from(tmp_path, monkeypatch):
    package = tmp_path / "src" / "leukolens"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(leukolens, "__file__", str(package / "__init__.py"))
    assert code_commit() == f"leukolens {leukolens.__version__}"
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-q", "-m", "first")
    clean = code_commit()
    assert len(clean) == 12
    assert int(clean, 16)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "ledger.csv").write_text("a ledger that grew is no change of the code")
    assert code_commit() == clean
    (package / "__init__.py").write_text("changed = True")
    assert code_commit() == f"{clean}-dirty"


def test_a_checkout_around_an_installed_package_lends_no_commit(tmp_path, monkeypatch):
    installed = tmp_path / ".venv" / "site-packages" / "leukolens"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-q", "-m", "someone else's")
    monkeypatch.setattr(leukolens, "__file__", str(installed / "__init__.py"))
    assert code_commit() == f"leukolens {leukolens.__version__}"
