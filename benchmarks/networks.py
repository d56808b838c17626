"""ResNet-24 beside its kin under one recipe: accuracy, parameters, and crops a second, in one process.

leukolens train default --sets blood-cells --network resnet18 --fold none --out runs/resnet18
leukolens train default --sets blood-cells --network resnet50 --fold none --out runs/resnet50
python benchmarks/networks.py runs/official-0 runs/resnet18 runs/resnet50 \
        --judgement runs/official-0/judgement.json --out results/official

A run that was measured into --out before is not looked at again.
"""

from __future__ import annotations

import json
import time

import numpy as np
from official_test import arguments, measured

from leukolens.bundle import Bundle, load
from leukolens.datasets.base import data_root
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
    options = arguments(__doc__)
    root = data_root(options.data)
    bundles, tests = [], []
    for run in options.runs:
        out = options.out / run.name
        model, answers = out / "model.leukolens", out / "test.json"
        if not answers.is_file():
            bundle = export_run(run, model, root=root, cache=options.cache, judgement=options.judgement)
            measured(bundle, "test", root, out)
        bundles.append(load(model))
        tests.append(json.loads(answers.read_text(encoding="utf-8"))["headline"]["accuracy"])
    print("| network | parameters | TEST | 95 % by photograph | crops a second, one thread | ratio |")
    print("|---|---|---|---|---|---|")
    speeds = rates(bundles)
    for bundle, test, speed in zip(bundles, tests, speeds, strict=True):
        print(
            f"| {bundle.card.network} | {bundle.card.parameters:,} | {test['value']:.3f} "
            f"| {test['low']:.3f} to {test['high']:.3f} | {speed:.0f} | {speed / speeds[0]:.2f} |"
        )


if __name__ == "__main__":
    main()
