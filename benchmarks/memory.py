"""Peak memory of `identify` over 10,000 images beside that over 100: what is read is not kept.

Run with `python benchmarks/memory.py [--many N] [--json]`, on blood-cells TEST where LEUKOLENS_DATA has it, else on
drawn cells, over and over. Each count is read by a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from itertools import cycle, islice
from pathlib import Path

from speed import images

from leukolens.cli.bench_stages import peak_megabytes
from leukolens.reading.reader import Reader

FEW, MANY = 100, 10_000


def read(folder: Path, count: int) -> None:
    """Reads so many images and prints what this process held at most, MB."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    read = sum(1 for _ in Reader().identify(islice(cycle(files), count)))
    print(json.dumps({"images": read, "peak_megabytes": peak_megabytes()}))


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
