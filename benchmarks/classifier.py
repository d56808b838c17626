"""The classifier alone on one processor: torch eager beside every engine, and the share of the machine's matrix rate.

Run with `python benchmarks/classifier.py [--json]`. All sides answer the same 32 crops in turn, and the
median of their times counts. The matrix rate is that of numpy's float32 product of two square matrices.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch

from leukolens.bundle import load
from leukolens.errors import EngineError
from leukolens.models.resnet import resnet24
from leukolens.reading.choice import ENGINES, choose
from leukolens.reading.engine import Engine
from leukolens.reading.processor import flags

CROPS = 32
ROUNDS = 15
MATRIX = 1024
COPIED = 256 * 2**20


def work(side: int, classes: int) -> tuple[int, int]:
    """Multiplications of one crop, and bytes of values that its layers write: counted as torch runs them."""
    counted = written = 0

    def count(module: torch.nn.Module, given: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        nonlocal counted, written
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            written += out.numel() * out.element_size()
        if isinstance(module, torch.nn.Conv2d):
            taps = module.kernel_size[0] * module.kernel_size[1]
            counted += out[0].numel() * module.in_channels // module.groups * taps
        elif isinstance(module, torch.nn.Linear):
            counted += module.in_features * module.out_features

    network = resnet24(classes, size=side).eval()
    for module in network.modules():
        module.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, 3, side, side))
    return counted, written


def bytes_a_second() -> float:
    """That this processor copies, read and written, in arrays that no cache holds; the best of some."""
    source = np.ones(COPIED, np.uint8)
    target = np.zeros_like(source)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - began)
    return 2 * COPIED / best


def sides(bundle: Any) -> dict[str, Callable[[np.ndarray], Any]]:
    """What answers crops, by name."""
    card = bundle.card
    network = resnet24(len(card.classes), size=card.framing.size).eval()
    torch.set_num_threads(1)

    def eager(crops: np.ndarray) -> Any:
        with torch.inference_mode():
            return network(torch.from_numpy(crops))

    found: dict[str, Callable[[np.ndarray], Any]] = {"torch eager": eager}
    for key in ENGINES[1:]:
        try:
            chosen = choose(bundle, key)
        except EngineError:
            continue
        if not chosen.note:
            found[key] = (chosen.quick or Engine(bundle)).logits
    return found


def main() -> None:
    """Measures and prints, as a table or as JSON."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # OpenVINO takes all that it may
    bundle = load()
    side, classes = bundle.card.framing.size, len(bundle.card.classes)
    rng = np.random.default_rng(0)
    crops = rng.uniform(-1, 1, (CROPS, 3, side, side)).astype(np.float32)
    square = rng.standard_normal((MATRIX, MATRIX)).astype(np.float32)
    answering = sides(bundle) | {"matrix": lambda crops: square @ square}
    for answer in answering.values():
        answer(crops)
    taken: dict[str, list[float]] = {name: [] for name in answering}
    for _ in range(ROUNDS):
        for name, answer in answering.items():
            began = time.perf_counter()
            answer(crops)
            taken[name].append(time.perf_counter() - began)
    seconds = {name: statistics.median(times) for name, times in taken.items()}
    matrix_rate = MATRIX**3 / seconds.pop("matrix")
    multiplied, written = work(side, classes)
    rows = [
        {
            "engine": name,
            "crops_a_second": round(CROPS / second, 1),
            "against_torch_eager": round(seconds["torch eager"] / second, 2),
            "share_of_matrix_rate": round(CROPS * multiplied / second / matrix_rate, 2),
        }
        for name, second in seconds.items()
    ]
    measured = {
        "processor": sorted(flags() & {"avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "avx2"}),
        "million_multiplications_a_crop": round(multiplied / 1e6, 1),
        "megabytes_written_a_crop": round(written / 1e6, 1),
        "gigabytes_copied_a_second": round(bytes_a_second() / 1e9, 1),
        "thousand_million_multiplications_a_second": round(matrix_rate / 1e9, 1),
        "engines": rows,
    }
    if "--json" in sys.argv[1:]:
        print(json.dumps(measured, indent=2))
        return
    for name, value in measured.items():
        if name != "engines":
            print(f"{name.replace('_', ' '):42} {value}")
    for row in rows:
        print("  ".join(f"{value!s:>14}" for value in row.values()))


if __name__ == "__main__":
    main()
