"""ResNet-24 beside its kin under one recipe: accuracy, parameters, and crops a second, in one process.

leukolens train default --sets blood-cells --network resnet18 --fold none --out runs/resnet18
leukolens train default --sets blood-cells --network resnet50 --fold none --out runs/resnet50
python benchmarks/networks.py runs/official-0 runs/resnet18 runs/resnet50 \
        --judgement runs/official-0/judgement.json --out results/networks
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from official_test import limits, measured

from leukolens.bundle import Bundle
from leukolens.datasets.base import data_root
from leukolens.evaluation.evaluate import Evaluation
from leukolens.reading.engine import Engine
from leukolens.training.export import export_run

ROUNDS, BATCH = 9, 16


def rates(bundles: list[Bundle]) -> list[float]:
    """Median crops a second of each, on one thread, taken in turn so that a noisy machine is noisy to all."""
    engines = [Engine(bundle) for bundle in bundles]
    rng = np.random.default_rng(0)
    taken: list[list[float]] = [[] for _ in engines]
    for turn in range(ROUNDS + 1):
        for engine, times, bundle in zip(engines, taken, bundles, strict=True):
            size = bundle.card.framing.size
            crops = rng.uniform(-1, 1, (BATCH, 3, size, size)).astype(np.float32)
            began = time.perf_counter()
            engine.logits(crops)
            if turn:
                times.append(time.perf_counter() - began)
    return [BATCH / float(np.median(times)) for times in taken]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--judgement", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    root = data_root(options.data)
    bundles: list[Bundle] = []
    tests: list[Evaluation] = []
    for run in options.runs:
        out = options.out / run.name
        bundles.append(
            export_run(
                run, out / "model.leukolens", root=root, cache=options.cache, judgement=options.judgement
            )
        )
        tests.append(measured(bundles[-1], "test", root, out))
    print("| network | parameters | TEST | 95 % by photograph | crops a second, one thread | ratio |")
    print("|---|---|---|---|---|---|")
    speeds = rates(bundles)
    for bundle, test, speed in zip(bundles, tests, speeds, strict=True):
        accuracy, card = test.headline.accuracy, bundle.card
        print(
            f"| {card.network} | {card.parameters:,} | {accuracy.value:.3f} | {limits(accuracy)} "
            f"| {speed:.0f} | {speed / speeds[0]:.2f} |"
        )


if __name__ == "__main__":
    main()
