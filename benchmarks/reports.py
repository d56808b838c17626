"""How large a sample's reports become and what they take to write, by the number of fields.

    python benchmarks/reports.py --out results/reports.json
    python benchmarks/reports.py --size 2592x1944 --out results/reports-large.json

Fields are drawn, and a long sample has the same ones again; their white cells are the drawn ones with made-up
answers: nothing is found or named, only written, by what `leukolens read` writes with, on one thread. Each number of
fields has a process of its own, so that its peak memory is its own. Seconds are the processor's, which depend little
on what else runs; `wall_seconds` are the clock's, for all formats together.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from leukolens import __version__
from leukolens.bundle import load
from leukolens.cli.read_fields import digest_of
from leukolens.cli.read_outputs import FORMATS, PAGE, Outputs
from leukolens.datasets.synthetic import DRAWN_CLASSES, PIXELS_PER_MICROMETRE, draw_field
from leukolens.differential.flags import flags
from leukolens.differential.percentages import differential
from leukolens.differential.ranges import load_ranges
from leukolens.reading.cell import Cell, FieldReading
from leukolens.report.sample import Origin, SampleReport, tally
from leukolens.taxonomy import CLASS_KEYS

FIELDS = 10, 100, 500
CELLS_A_FIELD = 3
DRAWN = 20
"""Different fields in a sample."""
USUAL_WIDTH = 640
SEED = 0


def draw(folder: Path, width: int, height: int) -> list[FieldReading]:
    """Draws fields into a folder, with a reading of each."""
    rng = np.random.default_rng(SEED)
    scale = PIXELS_PER_MICROMETRE * width / USUAL_WIDTH
    readings = []
    for number in range(DRAWN):
        labels = [str(label) for label in rng.choice(DRAWN_CLASSES, CELLS_A_FIELD)]
        field = draw_field(rng, width, height, labels, pixels_per_micrometre=scale)
        path = folder / f"{number:03d}.jpeg"
        Image.fromarray(field.rgb).save(path, quality=90)
        cells = tuple(Cell(cell.box, answer(rng, cell.label), *judged(rng)) for cell in field.cells)
        readings.append(
            FieldReading(
                path, "ok", None, digest_of(path) or "", width, height, cells, 140, 9,
                pixels_per_micrometre=scale,
            )
        )  # fmt: skip
    return readings


def answer(rng: np.random.Generator, label: str) -> dict[str, float]:
    """Probabilities of a cell that is named rightly."""
    rest = float(rng.uniform(0.001, 0.05))
    return {key: rest if key != label else 1 - rest * (len(CLASS_KEYS) - 1) for key in CLASS_KEYS}


def judged(rng: np.random.Generator) -> tuple[Any, str]:
    """A decision, one in twenty to review, and its reason."""
    sure = rng.random() > 0.05
    return ("accept", "sure enough") if sure else ("review", "less sure than cells that are named rightly")


def report_of(readings: list[FieldReading], count: int) -> SampleReport:
    """The report of a sample of so many fields."""
    fields = tuple(readings[number % len(readings)] for number in range(count))
    bundle = load(None)
    found = differential(tally(fields, bundle.card.classes), confusion=bundle.card.confusion, white_count=7.2)
    raised = flags(found, load_ranges().for_person(None, None))
    return SampleReport(
        "drawn", fields, found, raised, Origin(__version__, bundle.card.name, bundle.sha256, "none")
    )


def measured(readings: list[FieldReading], count: int, folder: Path) -> dict[str, Any]:
    """Seconds of each format, megabytes of the page, and this process's peak memory.

    The page's seconds have the decoding of every field in them.
    """
    cv2.setNumThreads(1)
    report = report_of(readings, count)
    row: dict[str, Any] = {"fields": count, "cells": sum(len(field.cells) for field in report.fields)}
    began_all = time.perf_counter()
    for name in FORMATS:
        outputs = Outputs(folder, [name], names=False)
        began = time.process_time()
        written = outputs.write(report)
        row[f"{name}_seconds"] = round(time.process_time() - began, 2)
    row["wall_seconds"] = round(time.perf_counter() - began_all, 1)
    row["page_megabytes"] = round((written / PAGE).stat().st_size / 1e6, 1)
    row["peak_megabytes"] = peak_megabytes()
    return row


def peak_megabytes() -> int | None:
    """This process's; None where the system doesn't tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3))


def alone(work: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives, called in a process of its own.

    Drawing goes there too: a process begins with the peak of the one that started it.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="640x480", help="of a field, pixels")
    parser.add_argument("--fields", type=int, nargs="+", default=list(FIELDS))
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    options = parser.parse_args()
    width, height = (int(side) for side in options.size.split("x"))
    with tempfile.TemporaryDirectory() as work:
        readings = alone(draw, Path(work), width, height)
        rows = [alone(measured, readings, count, Path(work) / str(count)) for count in options.fields]
    found = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load": [round(value, 1) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "leukolens": __version__,
        "seed": SEED,
        "size": options.size,
        "rows": rows,
    }
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"{found['machine']}, load {found['load']}, Python {found['python']}, fields of {options.size}")
    columns = list(rows[0])
    print("  ".join(column.replace("_", " ") for column in columns))
    for row in rows:
        print("  ".join(f"{row[column]!s:>{len(column)}}" for column in columns))


if __name__ == "__main__":
    main()
