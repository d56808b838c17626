"""How long each stage of an image's journey takes here, and how many images a second go through together."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leukolens import __version__
from leukolens.datasets.synthetic import DRAWN_CLASSES, draw_single
from leukolens.errors import BundleError, EngineError, ImageError
from leukolens.imaging.decode import decode
from leukolens.imaging.framing import frame_within
from leukolens.imaging.nucleus import slide_of
from leukolens.reading.cell import ImageReading
from leukolens.reading.choice import ENGINES, choose
from leukolens.reading.classifier import LARGEST_BATCH
from leukolens.reading.engine import Engine
from leukolens.reading.inputs import scaled
from leukolens.reading.processor import processors
from leukolens.reading.reader import Reader
from leukolens.reading.verdicts import judged
from leukolens.report.tables import image_entry

STAGES = ("decode", "find", "frame", "identify", "report")
STARTS = 3
RUNS = 5
FEWEST_TOGETHER = 200


@dataclass
class Clock:
    """Seconds that each image spent in each stage."""

    spent: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})


def draw(folder: Path, count: int) -> list[Path]:
    """So many drawn cells of blood-cells' size, as JPEG."""
    rng = np.random.default_rng(0)
    for number in range(count):
        drawn = draw_single(rng, DRAWN_CLASSES[number % len(DRAWN_CLASSES)])
        Image.fromarray(drawn.rgb).save(folder / f"{number:04d}.jpeg", quality=90)
    return sorted(folder.iterdir())


def measured(
    reader: Reader, paths: list[Path], what: str, seconds: float, options: list[str]
) -> dict[str, Any]:
    """All that `leukolens bench` tells.

    Args:
        reader: With the engine that is asked about.
        paths: Images of one cell each.
        what: They are, in words.
        seconds: About how long to measure.
        options: Of `leukolens identify`, that have it read as this reader does.

    Raises:
        ImageError: Where none of the images can be read.
    """
    clock, crops = _one_by_one(reader, paths, seconds / 3)
    together = _together(reader, paths, seconds / 3)
    totals = [sum(parts) for parts in zip(*(clock.spent[stage] for stage in STAGES), strict=True)]
    return {
        "schema": "leukolens.bench/1",
        "leukolens": __version__,
        "bundle": {"name": reader.bundle.card.name, "sha256": reader.bundle.sha256},
        "engine": reader.classifier.runs_on,
        "processors": processors(),
        "images": what,
        "measured": len(totals),
        "stages": [_stage(name, clock.spent[name], sum(totals)) for name in STAGES],
        "latency_ms": {"p50": _ms(np.percentile(totals, 50)), "p99": _ms(np.percentile(totals, 99))},
        "images_a_second": round(together, 1),
        "start_to_first_answer_seconds": round(_start(paths[0], options), 2),
        "peak_megabytes": peak_megabytes(),
        "engines": engines(reader, crops),
    }


def _one_by_one(reader: Reader, paths: list[Path], seconds: float) -> tuple[Clock, NDArray[np.uint8]]:
    """Images one after the other, each stage timed; and the crops of the first round."""
    clock, until = Clock(), time.perf_counter() + seconds
    crops: list[NDArray[np.uint8]] = []
    for number, path in enumerate(cycle(paths)):
        if number >= len(paths) and (time.perf_counter() > until or not crops):
            break
        try:
            began = time.perf_counter()
            rgb = decode(path)
        except ImageError:
            continue
        decoded = time.perf_counter()
        slide, framing = slide_of(rgb), reader.bundle.card.framing
        box = reader.detector.white_cell(rgb, slide) if reader.detector else None
        searched = time.perf_counter()
        if reader.detector is None:
            found = reader.frame(rgb)
        else:
            found = None if box is None else frame_within(rgb, box, framing, slide)
        framed = time.perf_counter()
        cells = tuple(judged(reader.classifier, found[0][None], [found[1]])) if found else ()
        named = time.perf_counter()
        json.dumps(image_entry(ImageReading(path, "ok" if cells else "no_cell", None, cells)))
        told = time.perf_counter()
        times = (began, decoded, searched, framed, named, told)
        for stage, (start, end) in zip(STAGES, pairwise(times), strict=True):
            clock.spent[stage].append(end - start)
        if found and number < len(paths):
            crops.append(found[0])
    if not crops:
        raise ImageError(paths[0], "no cell was found in it, nor in any other", "Name images of white cells")
    return clock, np.stack(crops)


def _together(reader: Reader, paths: list[Path], seconds: float) -> float:
    """Images a second, all processors at work."""
    readings = reader.identify(_until(paths, time.perf_counter() + seconds))
    for _ in islice(readings, FEWEST_TOGETHER // 2):  # the start is told apart
        pass
    began = time.perf_counter()
    done = sum(1 for _ in readings)
    return done / (time.perf_counter() - began)


def _until(paths: list[Path], end: float) -> Iterator[Path]:
    for number, path in enumerate(cycle(paths)):
        if number >= FEWEST_TOGETHER and time.perf_counter() > end:
            return
        yield path


def _stage(name: str, spent: list[float], whole: float) -> dict[str, Any]:
    return {"stage": name, "ms": _ms(np.mean(spent)), "share": round(sum(spent) / whole, 3)}


def _ms(seconds: float | np.floating[Any]) -> float:
    return round(1000 * float(seconds), 2)


def _start(path: Path, options: list[str]) -> float:
    """Seconds from the command's start to its end, for one image; the median of some, the first left out."""
    command = [sys.executable, "-m", "leukolens.cli.main", "identify", str(path), "--quiet", *options]
    taken = []
    for _ in range(STARTS + 1):
        began = time.perf_counter()
        subprocess.run(command, check=False, capture_output=True)
        taken.append(time.perf_counter() - began)
    return median(taken[1:])


def peak_megabytes() -> float | None:
    """Most memory that this process has held, MB; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3))


def engines(reader: Reader, crops: NDArray[np.uint8]) -> list[dict[str, Any]]:
    """Every engine that can be had here: crops a second by the network alone, one portion after the other.

    Args:
        reader: Whose bundle to run.
        crops: uint8 (n, size, size, 3).
    """
    batch = scaled(np.resize(crops, (LARGEST_BATCH, *crops.shape[1:])))
    rows: list[dict[str, Any]] = []
    for key in ENGINES[1:]:
        try:
            chosen = choose(reader.bundle, key)
        except (EngineError, BundleError):
            continue
        if chosen.note:
            rows.append({"engine": key, "crops_a_second": None, "note": chosen.note})
            continue
        rate = _rate(chosen.quick or Engine(reader.bundle), batch)
        rows.append({"engine": key, "crops_a_second": round(rate, 1), "note": ""})
    return rows


def _rate(engine: Engine, batch: NDArray[np.float32]) -> float:
    engine.logits(batch)
    taken = []
    for _ in range(RUNS):
        began = time.perf_counter()
        engine.logits(batch)
        taken.append(time.perf_counter() - began)
    return len(batch) / median(taken)
