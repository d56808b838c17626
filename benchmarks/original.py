"""The first version, measured as it was and as it should have been.

    leukolens train original --fold none --out runs/original
    python benchmarks/original.py runs/original --out results/original

The first version chose its epoch by TEST_SIMPLE, which shows TEST's own photographs: that figure is printed
beside the one at the last epoch, as what it is, a choice made on the test. Every epoch's checkpoint is needed
(the recipe keeps all).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from official_test import limits, measured

from leukolens.bundle import Bundle
from leukolens.datasets.base import data_root
from leukolens.training.export import export_run
from leukolens.training.run import Run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    root, epochs = data_root(options.data), len(Run(options.run).epochs())
    options.out.mkdir(parents=True, exist_ok=True)
    uncalibrated = options.out / "judgement.json"
    uncalibrated.write_text(json.dumps({"epoch": epochs, "judgement": {}}), encoding="utf-8")

    def at(epoch: int) -> tuple[Bundle, Path]:
        out = options.out / f"epoch-{epoch:03d}"
        bundle = export_run(
            options.run, out / "model.leukolens", root=root, cache=options.cache,
            judgement=uncalibrated, epoch=epoch,
        )  # fmt: skip
        return bundle, out

    simple = {}
    for epoch in range(1, epochs + 1):
        bundle, out = at(epoch)
        simple[epoch] = measured(bundle, "test_simple", root, out).headline.accuracy.value
    chosen = max(simple, key=lambda epoch: (simple[epoch], epoch))
    last = {split: measured(*_split(at(epochs), split, root)).headline for split in ("train", "test")}
    figures = {
        f"TRAIN at epoch {epochs}": last["train"].accuracy,
        f"TEST at epoch {epochs}": last["test"].accuracy,
        f"TEST at epoch {chosen}, chosen on TEST_SIMPLE": measured(
            *_split(at(chosen), "test", root)
        ).headline.accuracy,
    }
    for name, figure in figures.items():
        print(f"{name}: {figure.value:.3f} ({limits(figure)})")
    print("TEST_SIMPLE by epoch:", ", ".join(f"{value:.3f}" for value in simple.values()))


def _split(exported: tuple[Bundle, Path], split: str, root: Path) -> tuple[Bundle, str, Path, Path]:
    bundle, out = exported
    return bundle, split, root, out


if __name__ == "__main__":
    main()
