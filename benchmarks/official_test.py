"""Protocol question 1: runs of one recipe with several seeds, each looked at once on blood-cells TEST.

Train them first, choosing everything by cross-fitting on TRAIN:

    leukolens train default --sets blood-cells --cross-fit --out runs/official-0
    leukolens train default --sets blood-cells --fold none --seed 1 --out runs/official-1
    leukolens train default --sets blood-cells --fold none --seed 2 --out runs/official-2
    python benchmarks/official_test.py runs/official-0 runs/official-1 runs/official-2 \
        --judgement runs/official-0/judgement.json --out results/official

Prints the table of the README, and writes it with every per-image probability below --out.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path

from leukolens.bundle import Bundle
from leukolens.datasets.base import data_root
from leukolens.datasets.catalogue import open_dataset
from leukolens.evaluation.document import to_json
from leukolens.evaluation.evaluate import Evaluation, evaluate
from leukolens.evaluation.ledger import default_ledger, looks
from leukolens.evaluation.measures import Measure
from leukolens.evaluation.official_test import OverSeeds, fields_in_train, over_seeds
from leukolens.evaluation.page import page
from leukolens.reading.reader import Reader
from leukolens.training.export import export_run


def measured(bundle: Bundle, split: str, root: Path, out: Path) -> Evaluation:
    dataset = open_dataset("blood-cells", root)
    out.mkdir(parents=True, exist_ok=True)
    evaluation = evaluate(
        Reader(bundle, engine="onnxruntime"),
        dataset,
        split,
        command=shlex.join(["python", *sys.argv]),
        ledger_path=default_ledger(out),
    )
    (out / f"{split}.json").write_text(to_json(evaluation), encoding="utf-8")
    (out / f"{split}.html").write_text(page(evaluation, dataset.root), encoding="utf-8")
    return evaluation


def row(entry: OverSeeds) -> str:
    seeds = ", ".join(f"{value:.3f}" for value in entry.values)
    return (
        f"| {entry.variant} | {entry.figure} | {entry.mean.value:.3f} | {limits(entry.mean)} "
        f"| {entry.spread:.3f} | {seeds} |"
    )


def limits(measure: Measure) -> str:
    """The interval as the tables print it; a dash where there are too few photographs for one."""
    return f"{measure.interval.low:.3f} to {measure.interval.high:.3f}" if measure.interval else "–"


def arguments(description: str | None) -> argparse.Namespace:
    """What is typed to measure some runs that share one judgement."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--judgement", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    options = arguments(__doc__)
    root = data_root(options.data)
    tests, train = [], []
    for run in options.runs:
        out = options.out / run.name
        bundle = export_run(
            run, out / "model.leukolens", root=root, cache=options.cache, judgement=options.judgement
        )
        tests.append(measured(bundle, "test", root, out))
        train.append(measured(bundle, "train", root, out).headline.accuracy.value)
    dataset = open_dataset("blood-cells", root)
    table = over_seeds([test.predictions for test in tests], fields_in_train(dataset.samples()))
    ledger = default_ledger(options.out)
    seen = looks(ledger, "blood-cells")
    document = {
        "train_accuracy": train,
        "test": [asdict(entry) for entry in table],
        "looks": seen,
        "decisions": [[asdict(decision) for decision in test.decisions] for test in tests],
    }
    (options.out / "official.json").write_text(json.dumps(document, indent=1, default=str), encoding="utf-8")
    print(f"TRAIN accuracy, undistorted: {', '.join(f'{value:.4f}' for value in train)}")
    print(
        "| TEST | figure | mean | 95 % by photograph | spread over seeds | seeds |\n|---|---|---|---|---|---|"
    )
    print("\n".join(row(entry) for entry in table))
    print(f"Looks at blood-cells' held-out photographs so far: {seen} ({ledger})")


if __name__ == "__main__":
    main()
