"""The command line's frame: quick help, and one line and an exit code for whatever goes wrong."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import leukolens
from leukolens.cli.endings import Commands
from leukolens.cli.main import app
from leukolens.errors import LeukolensError

HEAVY = ("torch", "numpy", "cv2", "PIL", "onnxruntime", "pydantic", "matplotlib", "lightning_fabric")


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "leukolens.cli.main", *arguments],
        capture_output=True,
        text=True,
        check=False,
        **options,  # type: ignore[call-overload]
    )


def test_the_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"leukolens {leukolens.__version__}\n", "")


@pytest.mark.parametrize(("said", "meant"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")])
def test_numpy_multiplies_on_one_thread_unless_told_otherwise(said: dict[str, str], meant: str) -> None:
    program = (
        "import atexit, os, sys; sys.argv[1:] = ['--version']; from leukolens.cli.main import main\n"
        "atexit.register(lambda: print(os.environ['OPENBLAS_NUM_THREADS'], 'numpy' in sys.modules)); main()"
    )
    kept = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=kept | said
    )
    assert done.stdout.splitlines()[-1] == f"{meant} False"


def test_the_version_is_the_installed_one() -> None:
    try:
        installed = importlib.metadata.version("leukolens")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("leukolens is not installed here, only on the path")
    assert leukolens.__version__ == installed


def test_help_names_every_command_and_what_this_is_not_for() -> None:
    done = run("--help")
    assert done.returncode == 0
    for name in ("read", "identify", "train", "evaluate", "export", "data", "demo"):
        assert f"\n  {name} " in done.stdout
    assert "not a certified medical device" in done.stdout
    assert run().returncode == 2


def test_help_imports_nothing_heavy() -> None:
    program = f"""
import sys
sys.argv = ["leukolens", "--help"]
from leukolens.cli.main import main
try:
    main()
except SystemExit as ending:
    assert ending.code == 0
print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.split() == []


def test_help_is_quick() -> None:
    resource = pytest.importorskip("resource")

    def seconds(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert subprocess.run([sys.executable, *command], capture_output=True, check=False).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return float(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    # Processor time, since a busy machine's clock says nothing about us; beside typer's own, which is most of it.
    typer = min(seconds("-c", "import typer, typer.rich_utils") for _ in range(3))
    assert min(seconds("-m", "leukolens.cli.main", "--help") for _ in range(3)) < 1.5 * typer
    assert min(seconds("-m", "leukolens.cli.main", "identify", "--help") for _ in range(3)) < 2.2 * typer


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["identify"], ["identify", "--nonsense", "a.png"], ["--nonsense"]]
)
def test_wrong_usage_leaves_with_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failure_is_one_line(tmp_path: Path) -> None:
    done = run("identify", str(tmp_path), "--bundle", str(tmp_path / "none.leukolens"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_terminal_without_unicode_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "血.txt").touch()
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = run("identify", str(tmp_path / "血.txt"), "--bundle", str(tmp_path / "血"), env=environment)
    assert done.returncode == 1
    assert "\\u8840" in done.stderr
    assert "Traceback" not in done.stderr


# How commands end, each by a command made for it


def ending(raised: BaseException | None) -> tuple[int, str, str]:
    made = typer.Typer(cls=Commands, pretty_exceptions_enable=False, rich_markup_mode=None)

    @made.callback()
    def _group() -> None:
        pass

    @made.command()
    def act() -> None:
        typer.echo("done so far")
        if raised is not None:
            raise raised

    result = CliRunner().invoke(made, ["act"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_success() -> None:
    assert ending(None) == (0, "done so far\n", "")


def test_a_known_error_is_one_line_and_1() -> None:
    code, out, err = ending(LeukolensError("a.png is\nodd", "Try another"))
    assert (code, out) == (1, "done so far\n")
    assert err == "a.png is odd. Try another.\n"


def test_an_interruption_is_one_line_and_130() -> None:
    assert ending(KeyboardInterrupt()) == (130, "done so far\n", "Interrupted.\n")
    assert ending(typer.Abort()) == (130, "done so far\n", "Interrupted.\n")


def test_an_exit_keeps_its_code() -> None:
    assert ending(typer.Exit(7))[0] == 7


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        ending(ZeroDivisionError())


def test_the_app_itself_ends_that_way() -> None:
    result = CliRunner().invoke(app, ["identify", "nothing-here", "--bundle", "no-bundle-here"])
    assert result.exit_code == 1
    assert "no-bundle-here cannot be read" in result.stderr


def started(program: str, command: str) -> subprocess.Popen[str]:
    made = f"import time\nfrom leukolens.cli import main\n{program}\nmain.main()"
    return subprocess.Popen(
        [sys.executable, "-c", made, command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_ctrl_c_ends_a_running_command_within_a_moment() -> None:
    program = """
@main.app.command("wait")
def wait() -> None:
    print("waiting", flush=True)
    time.sleep(60)
"""
    with started(program, "wait") as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "waiting\n"
        clock = time.monotonic()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert (out, err) == ("", "Interrupted.\n")
    assert time.monotonic() - clock < 20


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_a_second_ctrl_c_does_not_break_the_way_out() -> None:
    program = """
import atexit
atexit.register(time.sleep, 1.5)  # a thread with an image in hand holds the process up like this
@main.app.command("wait")
def wait() -> None:
    print("waiting", flush=True)
    time.sleep(60)
"""
    with started(program, "wait") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.send_signal(signal.SIGINT)
        assert running.stderr.readline() == "Interrupted.\n"
        running.send_signal(signal.SIGINT)
        err = running.stderr.read()
    assert (running.returncode, err) == (130, "")


@pytest.mark.parametrize(
    "command", [["train", "default", "--out", "x"], ["export", "."], ["evaluate", "a", "b", "--out", "x"]]
)
def test_a_command_that_needs_the_train_extra_says_how_to_get_it(command: list[str], tmp_path: Path) -> None:
    program = "import sys; sys.modules.update(torch=None, matplotlib=None); from leukolens.cli import main; main.main()"
    ended = subprocess.run(
        [sys.executable, "-c", program, *command], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert ended.returncode == 1
    assert 'is not installed. Install it with `pip install "leukolens[train]"`' in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="pipes are POSIX")
def test_a_reader_that_goes_away_is_no_error() -> None:
    program = """
@main.app.command("talk")
def talk() -> None:
    for _ in range(100000):
        print("a line that nobody reads")
"""
    with started(program, "talk") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 141
