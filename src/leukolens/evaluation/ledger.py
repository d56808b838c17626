"""Who looked at held-out data, when, and what was seen: a table that only grows.

Every look at blood-cells TEST or TEST_SIMPLE, or at a lab that a model was never shown, adds its figures.
The more often one looks, the more the best figure owes to luck; a reader should know how often it was.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import leukolens
from leukolens.errors import ReportError

DEFAULT_LEDGER = Path("benchmarks") / "ledger.csv"


@dataclass(frozen=True, slots=True)
class Look:
    """What was looked at, and by which model.

    Attributes:
        commit: Of the code that looked; ``leukolens <version>`` outside a checkout.
        recipe_sha256: Recipe that the model was trained by.
        seed: Seed that it was trained from.
        bundle_sha256: The model.
        dataset: The data set's name.
        split: The split, e.g. ``test``.
    """

    commit: str
    recipe_sha256: str
    seed: int
    bundle_sha256: str
    dataset: str
    split: str


@dataclass(frozen=True, slots=True)
class Seen:
    """One figure that a look showed; ``low`` and ``high`` are its interval, None where it has none."""

    figure: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the ledger, every field as it stands there.

    Attributes:
        date: UTC, ISO 8601 with microseconds; one look's lines share it.
        commit: As in ``Look``, and so on down to ``split``.
        recipe_sha256: As in ``Look``.
        seed: As in ``Look``.
        bundle_sha256: As in ``Look``.
        dataset: As in ``Look``.
        split: As in ``Look``.
        figure: Name of the figure.
        value: Its value.
        low: Lower end of its interval, empty where it has none.
        high: Upper end.
        looks: How many looks the ledger held when this was written, this one included.
    """

    date: str
    commit: str
    recipe_sha256: str
    seed: str
    bundle_sha256: str
    dataset: str
    split: str
    figure: str
    value: str
    low: str
    high: str
    looks: str

    @property
    def look(self) -> tuple[str, ...]:
        """What the lines of one look, and of no other, share."""
        return (self.date, self.commit, self.seed, self.bundle_sha256, self.dataset, self.split)


HEADER = ",".join(field.name for field in fields(Row))


def default_ledger(out: Path) -> Path:
    """The ledger of the checkout that one stands in, where it has one; else one in the output folder."""
    return DEFAULT_LEDGER if DEFAULT_LEDGER.is_file() else out / DEFAULT_LEDGER.name


def read(path: Path) -> tuple[Row, ...]:
    """The ledger's lines; none where there is no ledger yet. A line that a crash cut short is left out.

    Raises:
        ReportError: Where it cannot be read or is no ledger.
    """
    try:
        return _rows(path, path.read_bytes())
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ReportError(f"{path} cannot be read ({error.strerror})", "Check its permissions") from error


def looks(path: Path, dataset: str | None = None) -> int:
    """How many distinct looks the ledger holds, at this data set or at any."""
    return len({row.look for row in read(path) if dataset in {None, row.dataset}})


def append(path: Path, look: Look, seen: Sequence[Seen]) -> int:
    """Adds one look and returns how many looks the ledger holds with it.

    The lines go to the end in a single write, under a lock that the operating system lets go of when the
    process ends, however it ends. Nothing that stands in the file is ever written over.

    Args:
        path: The ledger; made where there is none.
        look: What was looked at.
        seen: At least one figure.

    Raises:
        ReportError: Where it cannot be written, or what is there is no ledger.
    """
    if not seen:
        raise ReportError("a look without a figure cannot be entered in the ledger", "Name what was seen")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        try:
            with _locked(handle):
                content = _all_of(handle)
                # Entered under the lock, so that dates rise down the file and no two looks share one.
                date = datetime.now(UTC).isoformat(timespec="microseconds")
                count = len({row.look for row in _rows(path, content)}) + 1
                lines = "".join(
                    _line((date, *map(str, astuple(look)), *_texts(figure), str(count))) for figure in seen
                )
                if not content:
                    lines = HEADER + "\n" + lines
                elif not content.endswith(b"\n"):
                    lines = "\n" + lines
                _write_all(handle, lines.encode())
                os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise ReportError(
            f"{path} cannot be written ({error.strerror})",
            "Free some space or name another ledger; a look that is not entered must not be reported",
        ) from error
    return count


def code_commit() -> str:
    """The commit of the checkout that this code runs from, ``-dirty`` where its ``src`` differs from it.

    Outside a checkout, as in an installed wheel, ``leukolens <version>``.
    """
    package = Path(leukolens.__file__).resolve().parent
    try:
        top = _git(package, "rev-parse", "--show-toplevel")
        # An environment inside somebody's own checkout must not lend its commit.
        if Path(top).resolve() / "src" / "leukolens" != package:
            raise FileNotFoundError
        dirty = (
            "-dirty" if _git(package, "status", "--porcelain", "--untracked-files=no", "--", ":/src") else ""
        )
        return _git(package, "rev-parse", "HEAD")[:12] + dirty
    except (OSError, subprocess.SubprocessError):
        return f"leukolens {leukolens.__version__}"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


def _rows(path: Path, content: bytes) -> tuple[Row, ...]:
    try:
        # Line by line: a quotation mark that a crash left open must not swallow what follows.
        table = [next(csv.reader([line]), []) for line in content.decode().split("\n")]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ReportError(f"{path} is no ledger ({error})", "Name another file") from error
    if content and ",".join(table[0]) != HEADER:
        raise ReportError(f"{path} is no ledger: its first line is not {HEADER}", "Name another file")
    width = len(fields(Row))
    return tuple(Row(*cells) for cells in table[1:] if len(cells) == width)


def _line(cells: Sequence[str]) -> str:
    buffer = StringIO()
    csv.writer(buffer, lineterminator="\n").writerow([" ".join(cell.split()) for cell in cells])
    return buffer.getvalue()


def _texts(seen: Seen) -> tuple[str, str, str, str]:
    low, high = ("" if end is None else f"{end:.6f}" for end in (seen.low, seen.high))
    return seen.figure, f"{seen.value:.6f}", low, high


def _all_of(handle: int) -> bytes:
    os.lseek(handle, 0, os.SEEK_SET)
    parts = []
    while part := os.read(handle, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _write_all(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]


if sys.platform == "win32":
    import msvcrt

    # Locks there keep others from reading, too; a byte far behind the end bars nobody.
    _FAR_BEHIND = 1 << 30

    @contextmanager
    def _locked(handle: int) -> Iterator[None]:
        os.lseek(handle, _FAR_BEHIND, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
        try:
            yield
        finally:
            os.lseek(handle, _FAR_BEHIND, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    @contextmanager
    def _locked(handle: int) -> Iterator[None]:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)
