"""How often a differential's limits hold the true percentage, on cells whose class is known.

    leukolens train default --cross-fit --out runs/one
    python benchmarks/limits.py runs/one/held_out.json --out results/limits.json

Every sample deals the held-out groups (photographs, slides) in two, class by class. The confusion is counted on one
half; a sample of 100, 200 or 400 cells is drawn from the other, from a population of known composition, and read as
`leukolens read` would count it. Printed is how often the corrected limits hold the population's percentage and how
wide they are, beside the limits without correction. The threshold comes from the judgement.json beside the
predictions, or from --accept-above. No test set is looked at.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leukolens.bundle import Judgement
from leukolens.differential.confusion import confusion_of_counts
from leukolens.differential.correction import corrected_shares
from leukolens.differential.limits import exact_limits
from leukolens.evaluation.predictions import Predictions
from leukolens.reading.trust import decide
from leukolens.taxonomy import cell_class

SIZES = (100, 200, 400)
# Percent of the cells that a finder would find; classes that the predictions do not know are left out.
POPULATIONS: dict[str, dict[str, float]] = {
    "healthy adult": {
        "neutrophil": 60, "eosinophil": 3, "basophil": 1, "lymphocyte": 30, "monocyte": 6, "other": 3,
    },
    "neutrophilia": {
        "neutrophil": 82, "eosinophil": 1, "basophil": 1, "lymphocyte": 10, "monocyte": 5,
        "immature_granulocyte": 4, "other": 3,
    },
    "lymphocytosis": {
        "neutrophil": 28, "eosinophil": 2, "basophil": 1, "lymphocyte": 63, "monocyte": 6, "other": 3,
    },
    "eosinophilia": {
        "neutrophil": 45, "eosinophil": 25, "basophil": 1, "lymphocyte": 24, "monocyte": 5, "other": 3,
    },
    "monocytosis": {
        "neutrophil": 50, "eosinophil": 2, "basophil": 1, "lymphocyte": 29, "monocyte": 18, "other": 3,
    },
    "neutropenia": {
        "neutrophil": 12, "eosinophil": 4, "basophil": 2, "lymphocyte": 70, "monocyte": 12, "other": 3,
    },
}  # fmt: skip
AROUND = 60.0  # how closely a sample's population keeps to the one it is named after (Dirichlet)


@dataclass(frozen=True, slots=True)
class Row:
    """One class at one sample size."""

    cells: int
    label: str
    samples: int
    coverage: float
    width: float
    least_covered: str
    least_coverage: float
    plain_coverage: float
    plain_width: float


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """Answers by group: one row a group of one class.

    Attributes:
        classes: Class keys.
        truth: (groups,), true class.
        answers: (groups, classes + 1), the last column unsure.
    """

    classes: tuple[str, ...]
    truth: NDArray[np.int64]
    answers: NDArray[np.int64]


def counted(predictions: Predictions, judgement: Judgement) -> Counted:
    """What `leukolens read` would count each cell as; images in which no cell was found are left out."""
    found = predictions.only(predictions.found)
    answered = np.array([counted_as(row, found.classes, judgement) for row in found.probabilities])
    unit = {pair: n for n, pair in enumerate(sorted(set(zip(found.truth, found.groups, strict=True))))}
    table = np.zeros((len(unit), len(found.classes) + 1), dtype=np.int64)
    rows = [unit[pair] for pair in zip(found.truth, found.groups, strict=True)]
    np.add.at(table, (rows, answered), 1)
    return Counted(found.classes, np.array([label for label, _ in unit]), table)


def counted_as(row: NDArray[np.float64], classes: tuple[str, ...], judgement: Judgement) -> int:
    probabilities = dict(zip(classes, row.tolist(), strict=True))
    best = int(row.argmax())
    accepted = decide(probabilities, judgement)[0] == "accept"
    return best if accepted or not cell_class(classes[best]).leukocyte else len(classes)


def halves(truth: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """(groups,), which groups the confusion is counted on: of every class every second, in random order."""
    chosen = np.zeros(len(truth), dtype=bool)
    for label in np.unique(truth):
        members = rng.permutation(np.flatnonzero(truth == label))
        chosen[members[: (len(members) + int(rng.integers(2))) // 2]] = True
    return chosen


def measure(table: Counted, cells: int, samples: int, seed: int) -> list[Row]:
    """Coverage and width at one sample size."""
    rng = np.random.default_rng([seed, cells])
    width = len(table.classes)
    leukocyte = np.array([cell_class(key).leukocyte for key in table.classes])
    named = [key for key in table.classes if cell_class(key).leukocyte]
    names, weights = list(POPULATIONS), np.zeros((len(POPULATIONS), width))
    for place, population in enumerate(POPULATIONS.values()):
        weights[place] = [population.get(key, 1.0) for key in table.classes]
    weights /= weights.sum(axis=1, keepdims=True)
    held, wide = np.zeros((2, samples, len(named)), dtype=bool), np.zeros((2, samples, len(named)))
    drawn_from = np.arange(samples) % len(names)
    for number in range(samples):
        measuring = halves(table.truth, rng)
        confusion = confusion_of_counts(table.classes, table.truth[measuring], table.answers[measuring])
        population = rng.dirichlet(AROUND * weights[drawn_from[number]])
        answers = np.zeros(width + 1, dtype=np.int64)
        for label, count in enumerate(rng.multinomial(cells, population)):
            spread = table.answers[~measuring & (table.truth == label)].sum(axis=0)
            answers += rng.multinomial(count, spread / spread.sum())
        true = 100 * population[leukocyte] / population[leukocyte].sum()
        shares = corrected_shares(confusion, answers)
        counts = answers[:-1][leukocyte]
        for place, key in enumerate(named):
            plain = exact_limits(int(counts[place]), int(counts.sum()), unsure=int(answers[-1]))
            both = ((shares[key].low, shares[key].high), (100 * plain[0], 100 * plain[1]))
            for way, (low, high) in enumerate(both):
                held[way, number, place] = low <= true[place] <= high
                wide[way, number, place] = high - low
    rows = []
    for place, key in enumerate(named):
        by_population = {
            name: float(held[0, drawn_from == index, place].mean()) for index, name in enumerate(names)
        }
        least = min(by_population, key=by_population.__getitem__)
        covered, widths = held[:, :, place].mean(axis=1), wide[:, :, place].mean(axis=1)
        rows.append(
            Row(
                cells, key, samples, float(covered[0]), float(widths[0]), least, by_population[least],
                float(covered[1]), float(widths[1]),
            )
        )  # fmt: skip
    return rows


def judgement_for(options: argparse.Namespace) -> Judgement:
    if options.accept_above is not None:
        return Judgement(accept_above=options.accept_above)
    beside = options.predictions.with_name("judgement.json")
    if not beside.is_file():
        raise SystemExit(f"{beside} is not there. Give --accept-above.")
    return Judgement.model_validate(json.loads(beside.read_text(encoding="utf-8"))["judgement"])


def main() -> None:
    """Measures, prints a table and writes it with all that it depends on."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("predictions", type=Path, help="held_out.json of a run with --cross-fit")
    parser.add_argument("--accept-above", type=float, help="probability from which a cell is accepted")
    parser.add_argument("--samples", type=int, default=2000, help="samples of each size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where to write the JSON document")
    options = parser.parse_args()
    began = time.perf_counter()
    judgement = judgement_for(options)
    table = counted(Predictions.from_json(options.predictions.read_text(encoding="utf-8")), judgement)
    groups = np.bincount(table.truth, minlength=len(table.classes))
    if lone := [key for key, count in zip(table.classes, groups, strict=True) if count < 2]:
        raise SystemExit(f"{', '.join(lone)}: fewer than two groups. Nothing can be measured on others.")
    rows = [row for cells in SIZES for row in measure(table, cells, options.samples, options.seed)]
    document = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "seconds": round(time.perf_counter() - began),
        "seed": options.seed,
        "accept_above": judgement.accept_above,
        "groups": dict(zip(table.classes, groups.tolist(), strict=True)),
        "confusion": confusion_of_counts(table.classes, table.truth, table.answers).model_dump(),
        "populations": POPULATIONS,
        "rows": [asdict(row) for row in rows],
    }
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print("| cells | class | inside | width | least inside | uncorrected inside | width |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.cells} | {row.label} | {row.coverage:.3f} | {row.width:.1f} "
            f"| {row.least_coverage:.3f} ({row.least_covered}) | {row.plain_coverage:.3f} "
            f"| {row.plain_width:.1f} |"
        )
    print(f"{options.samples} samples of each size, seed {options.seed}, {document['seconds']} s")


if __name__ == "__main__":
    main()
