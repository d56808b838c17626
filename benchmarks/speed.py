"""How fast the command line answers here: help, one image, all of blood-cells TEST, bccd's fields, start included.

Run with `python benchmarks/speed.py [--json]`. TEST is looked for where LEUKOLENS_DATA says, else in ./data;
without it as many drawn cells of the same size are identified, and drawn fields read. Speed is no look at TEST: the
answers are not compared with anything.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from leukolens.datasets.base import data_root
from leukolens.datasets.synthetic import DRAWN_CLASSES, draw_field, draw_single

LEUKOLENS = [sys.executable, "-m", "leukolens.cli.main"]
RUNS = 11
DRAWN = 500
DRAWN_FIELDS = 60


def seconds(*arguments: str) -> float:
    """Wall time of one run of the command, from start to exit."""
    began = time.perf_counter()
    subprocess.run([*LEUKOLENS, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def median_seconds(*arguments: str) -> float:
    """Median of some runs, after one that fills the file cache."""
    seconds(*arguments)
    return statistics.median(seconds(*arguments) for _ in range(RUNS))


def throughput(
    count: int, *arguments: str, again: Callable[[], None] = lambda: None
) -> tuple[float, float | None]:
    """Images a second over a whole run, and its peak memory in MB (None where the system doesn't tell).

    Args:
        count: Of images.
        arguments: Of the command.
        again: Undoes what the first run left, which only fills the file cache.
    """
    seconds(*arguments)
    again()
    began = time.perf_counter()
    with subprocess.Popen(
        [*LEUKOLENS, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        if not hasattr(os, "wait4"):
            process.wait()
            return count / (time.perf_counter() - began), None
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    taken = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{arguments[0]} ended with {process.returncode}")
    return count / taken, usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


@contextmanager
def images() -> Iterator[tuple[str, Path, list[Path]]]:
    """What is identified, its folder, and the files in it."""
    folder = data_root() / "blood-cells" / "images" / "TEST"
    if found := sorted(folder.rglob("*.jpeg")):
        yield "blood-cells TEST", folder, found
        return
    with tempfile.TemporaryDirectory() as name:
        rng = np.random.default_rng(0)
        for number in range(DRAWN):
            field = draw_single(rng, DRAWN_CLASSES[number % len(DRAWN_CLASSES)])
            Image.fromarray(field.rgb).save(Path(name) / f"{number:04d}.jpeg", quality=90)
        yield "drawn cells", Path(name), sorted(Path(name).iterdir())


def read_fields(work: Path) -> tuple[str, int, float, float | None]:
    """What was read, how many fields of 640x480, fields a second with every report written, peak memory in MB."""
    folder, what = data_root() / "bccd" / "JPEGImages", "bccd"
    if not folder.is_dir():
        folder, what = work / "fields", "drawn fields"
        folder.mkdir()
        rng = np.random.default_rng(0)
        for number in range(DRAWN_FIELDS):
            field = draw_field(rng, 640, 480, ("neutrophil", "lymphocyte"))
            Image.fromarray(field.rgb).save(folder / f"{number:04d}.jpeg", quality=90)
    out, count = work / "read", len(list(folder.iterdir()))
    rate, memory = throughput(count, "read", str(folder), "--out", str(out), again=lambda: shutil.rmtree(out))
    return what, count, rate, memory


def main() -> None:
    """Measures and prints, as a table or as JSON."""
    with images() as (what, folder, files), tempfile.TemporaryDirectory() as work:
        rate, memory = throughput(len(files), "identify", str(folder), "--recursive", "--json")
        read, fields, field_rate, field_memory = read_fields(Path(work))
        measured = {
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "python": platform.python_version(),
            "help_seconds": round(median_seconds("--help"), 3),
            "one_image_seconds": round(median_seconds("identify", str(files[0])), 3),
            "runs": RUNS,
            "identified": what,
            "images": len(files),
            "images_a_second": round(rate, 1),
            "peak_megabytes": memory and round(memory),
            "read": read,
            "fields": fields,
            "fields_a_second": round(field_rate, 1),
            "fields_peak_megabytes": field_memory and round(field_memory),
        }
    if "--json" in sys.argv[1:]:
        print(json.dumps(measured, indent=2))
        return
    for name, value in measured.items():
        print(f"{name.replace('_', ' '):20} {value}")


if __name__ == "__main__":
    main()
