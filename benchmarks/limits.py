"""How often a differential's limits hold the true percentage, on cells whose class is known.

    leukolens train default --cross-fit --out runs/one
    python benchmarks/limits.py runs/one/held_out.json --out results/limits.json

Every sample deals the held-out groups (photographs, slides) in two, class by class. The confusion is counted on one
half. A sample of 100, 200 or 400 cells is drawn from the other, from a population of known composition: for each cell a
group at random, then one of its cells, so that a photograph with ninety copies is no likelier than one with a
single cell. It is read as `leukolens read` would count it. Printed is how often the corrected limits hold the
population's percentage and how wide they are, beside the limits without correction.

A second table asks more: all cells of a sample come from one laboratory, while the confusion is still of all. Classes
of which the laboratory has fewer than nine groups are drawn, but not scored.

The threshold comes from the judgement.json beside the predictions, or from --accept-above. No test set is looked at.
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

from leukolens.card import Judgement
from leukolens.differential.confusion import by_group, confusion_of_groups
from leukolens.differential.correction import corrected_shares
from leukolens.differential.limits import exact_limits
from leukolens.differential.percentages import FEWEST_GROUPS
from leukolens.evaluation.counted import counted
from leukolens.evaluation.predictions import Predictions
from leukolens.taxonomy import cell_class

SIZES = (100, 200, 400)
ONE_LAB = 200  # cells of a sample from one laboratory
SAME_LAB = {"bccd": "blood-cells"}  # sets of one laboratory's photographs
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
    """One class at one sample size; ``lab`` is empty where the samples are of all laboratories."""

    lab: str
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
class Groups:
    """How the cells of each group were answered.

    Attributes:
        classes: Class keys.
        truth: (groups,), true class.
        shares: (groups, classes + 1), share of its cells answered as each class, in the last column as unsure.
        labs: (groups,), where each comes from.
    """

    classes: tuple[str, ...]
    truth: NDArray[np.int64]
    shares: NDArray[np.float64]
    labs: NDArray[np.str_]


def groups_of(predictions: Predictions, judgement: Judgement) -> Groups:
    """What `leukolens read` would count each group's cells as; a group of two classes is one of each."""
    every = counted(predictions, judgement)
    truth, names, shares = by_group(len(every.classes), every.truth, every.answered, every.groups)
    sets = [str(name).split("/")[0] for name in names]
    return Groups(every.classes, truth, shares, np.array([SAME_LAB.get(name, name) for name in sets]))


def halves(truth: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """(groups,), which groups the confusion is counted on: of every class every second, in random order."""
    chosen = np.zeros(len(truth), dtype=bool)
    for label in np.unique(truth):
        members = rng.permutation(np.flatnonzero(truth == label))
        chosen[members[: (len(members) + int(rng.integers(2))) // 2]] = True
    return chosen


def measure(table: Groups, cells: int, samples: int, seed: int, lab: str = "") -> list[Row]:
    """Coverage and width at one sample size, of all laboratories or of one."""
    rng = np.random.default_rng([seed, cells])
    here = table.labs == lab if lab else np.ones(len(table.labs), dtype=bool)
    scored = scored_classes(table, lab)
    names, weights = list(POPULATIONS), population_weights(table.classes)
    held, wide = np.zeros((2, samples, len(scored)), dtype=bool), np.zeros((2, samples, len(scored)))
    drawn_from = np.arange(samples) % len(names)
    for number in range(samples):
        measuring = halves(table.truth, rng)
        confusion = confusion_of_groups(table.classes, table.truth[measuring], table.shares[measuring])
        population = rng.dirichlet(AROUND * weights[drawn_from[number]])
        true, answers = draw(table, ~measuring & here, population, cells, rng)
        shares = corrected_shares(confusion, answers)
        counts = {key: int(count) for key, count in zip(table.classes, answers, strict=False)}
        named = sum(count for key, count in counts.items() if cell_class(key).leukocyte)
        for place, key in enumerate(scored):
            plain = exact_limits(counts[key], named, unsure=int(answers[-1]))
            both = ((shares[key].low, shares[key].high), (100 * plain[0], 100 * plain[1]))
            for way, (low, high) in enumerate(both):
                held[way, number, place] = low <= true[key] <= high
                wide[way, number, place] = high - low
    rows = []
    for place, key in enumerate(scored):
        by_population = {
            name: float(held[0, drawn_from == index, place].mean()) for index, name in enumerate(names)
        }
        least = min(by_population, key=by_population.__getitem__)
        covered, widths = held[:, :, place].mean(axis=1), wide[:, :, place].mean(axis=1)
        rows.append(
            Row(
                lab, cells, key, samples, float(covered[0]), float(widths[0]), least, by_population[least],
                float(covered[1]), float(widths[1]),
            )
        )  # fmt: skip
    return rows


def scored_classes(table: Groups, lab: str = "") -> list[str]:
    """The leukocytes; of one laboratory, those of which it has enough groups."""
    leukocytes = [key for key in table.classes if cell_class(key).leukocyte]
    if not lab:
        return leukocytes
    groups = np.bincount(table.truth[table.labs == lab], minlength=len(table.classes))
    return [key for key in leukocytes if groups[table.classes.index(key)] >= FEWEST_GROUPS]


def population_weights(classes: tuple[str, ...]) -> NDArray[np.float64]:
    """(populations, classes), each row adding up to 1."""
    weights = np.array([[population.get(key, 1.0) for key in classes] for population in POPULATIONS.values()])
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def draw(
    table: Groups,
    source: NDArray[np.bool_],
    population: NDArray[np.float64],
    cells: int,
    rng: np.random.Generator,
) -> tuple[dict[str, float], NDArray[np.int64]]:
    """A sample's true percentages of the leukocytes, and its answers.

    Args:
        table: All groups.
        source: (groups,), those to draw from; classes without one leave the population.
        population: (classes,), shares.
        cells: How many to draw.
        rng: Of the draws.
    """
    pools = [table.shares[source & (table.truth == label)] for label in range(len(table.classes))]
    population = np.where([len(pool) > 0 for pool in pools], population, 0)
    population = population / population.sum()
    answers = np.zeros(len(table.classes) + 1, dtype=np.int64)
    for pool, count in zip(pools, rng.multinomial(cells, population), strict=True):
        if count:
            answers += rng.multinomial(count, pool.mean(axis=0))
    leukocyte = np.array([cell_class(key).leukocyte for key in table.classes])
    true = 100 * population / population[leukocyte].sum()
    return dict(zip(table.classes, true.tolist(), strict=True)), answers


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
    predictions = Predictions.from_json(options.predictions.read_text(encoding="utf-8"))
    table = groups_of(predictions, judgement)
    groups = np.bincount(table.truth, minlength=len(table.classes))
    if lone := [key for key, count in zip(table.classes, groups, strict=True) if count < 2]:
        raise SystemExit(f"{', '.join(lone)}: fewer than two groups. Nothing can be measured on others.")
    rows = [row for cells in SIZES for row in measure(table, cells, options.samples, options.seed)]
    labs = [lab for lab in sorted(set(table.labs.tolist())) if scored_classes(table, lab)]
    of_lab = [row for lab in labs for row in measure(table, ONE_LAB, options.samples, options.seed, lab)]
    document = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "seconds": round(time.perf_counter() - began),
        "seed": options.seed,
        "accept_above": judgement.accept_above,
        "groups": dict(zip(table.classes, groups.tolist(), strict=True)),
        "confusion": confusion_of_groups(table.classes, table.truth, table.shares).model_dump(),
        "populations": POPULATIONS,
        "rows": [asdict(row) for row in rows],
        "one_lab": [asdict(row) for row in of_lab],
    }
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print_table("cells", rows)
    print("\nA sample of one laboratory:\n")
    print_table("laboratory", of_lab)
    print(f"\n{options.samples} samples of each kind, seed {options.seed}, {document['seconds']} s")


def print_table(first: str, rows: list[Row]) -> None:
    print(f"| {first} | class | inside | width | least inside | uncorrected inside | width |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.lab or row.cells} | {row.label} | {row.coverage:.3f} | {row.width:.1f} "
            f"| {row.least_coverage:.3f} ({row.least_covered}) | {row.plain_coverage:.3f} "
            f"| {row.plain_width:.1f} |"
        )


if __name__ == "__main__":
    main()
