"""Peak memory of `identify` over 10,000 images beside that over 1,000: what is read is not kept.

Run with `python benchmarks/memory.py [--many N] [--json]`, on blood-cells TEST where LEUKOLENS_DATA has it, else on
drawn cells, over and over. Each count is read by a process of its own, with those that it begins; where the system
does not tell what these hold, by that process alone.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from itertools import cycle, islice
from pathlib import Path

from speed import images

from leukolens.cli.bench_stages import peak_megabytes
from leukolens.reading.processor import processors
from leukolens.reading.reader import Reader

FEW, MANY = 1_000, 10_000
EVERY = 25


def held() -> float | None:
    """MB that this process and those that it began hold now, shared pages once; None where Linux doesn't tell."""
    own = Path("/proc/self")
    try:
        begun = [pid for tasks in own.glob("task/*/children") for pid in tasks.read_text().split()]
        told = [(Path("/proc") / pid / "smaps_rollup").read_text() for pid in (str(os.getpid()), *begun)]
    except OSError:
        return None
    return sum(int(re.findall(r"^Pss: +(\d+) kB", text, re.MULTILINE)[0]) for text in told) * 1024 / 1e6


def read(folder: Path, count: int) -> None:
    """Reads so many images and prints what this process, and those that read beside it, held at most, MB."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    reader = Reader(processes=processors())
    read, most = 0, 0.0
    for read, _ in enumerate(reader.identify(islice(cycle(files), count)), start=1):
        if read % EVERY == 0:
            most = max(most, held() or 0.0)
    print(json.dumps({"images": read, "peak_megabytes": round(most) or peak_megabytes()}))


def main() -> None:
    """Measures and prints, as a line or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--many", type=int, default=MANY)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--read", nargs=2, metavar=("FOLDER", "COUNT"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.read:
        read(Path(asked.read[0]), int(asked.read[1]))
        return
    with images() as (what, folder, _):
        found = []
        for count in (FEW, asked.many):
            command = [sys.executable, __file__, "--read", str(folder), str(count)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found.append(json.loads(done.stdout))
    ratio = found[1]["peak_megabytes"] / found[0]["peak_megabytes"]
    measured = {"images": what, "read": found, "ratio": round(ratio, 3)}
    print(json.dumps(measured, indent=2) if asked.json else measured)


if __name__ == "__main__":
    main()
