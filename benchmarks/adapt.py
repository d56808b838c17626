"""Protocol question 3: a laboratory that a bundle never saw, before and after a few of its labelled cells.

The bundle must have left that laboratory out. At most 20 cells a class are drawn, never more than half of a class, by
whole groups, five times; the rest of the laboratory is the test, asked before and after. On blood-cells the cells are
one copy each of up to 16 TRAIN photographs a class, of fields that TEST does not share, and the test is all of TEST.

    python benchmarks/adapt.py leave-tecom-out.leukolens tecom-300 --out results/adapt-tecom

With `--fine-tune` the same draws are learned twice: by the last layer alone, and by all layers, which takes torch.

A look at a laboratory called unseen is entered in the ledger. Prints the table, and writes it with every draw.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from leukolens.adaptation.adapt import Adaptation, adapt, adapt_unlabelled
from leukolens.adaptation.comparison import Change, Comparison, compare
from leukolens.bundle import Bundle, load
from leukolens.datasets.base import CellDataset, Sample, data_root
from leukolens.datasets.catalogue import open_dataset
from leukolens.datasets.folder import Folder
from leukolens.errors import LeukolensError
from leukolens.evaluation import ledger
from leukolens.evaluation.answers import ask
from leukolens.evaluation.calibration import reliability
from leukolens.evaluation.evaluate import is_held_out
from leukolens.evaluation.measures import Measure
from leukolens.evaluation.predictions import Predictions
from leukolens.reading.reader import Reader
from leukolens.taxonomy import in_order

MOST_A_CLASS = 20
PHOTOGRAPHS_A_CLASS = 16
DRAWS = 5
FEWEST_FOR_RATES = 30, 5  # cells and groups


@dataclass(frozen=True, slots=True)
class Draw:
    """One division of a laboratory's images."""

    taught: tuple[Sample, ...]
    asked: tuple[Sample, ...]


def draw(samples: Sequence[Sample], rng: np.random.Generator, most: int) -> Draw:
    """Whole groups, up to so many cells a class and half of it; the rest is asked."""
    members: dict[str, list[Sample]] = {}
    for sample in samples:
        members.setdefault(sample.group, []).append(sample)
    total: dict[str, int] = {}
    for sample in samples:
        total[sample.label] = total.get(sample.label, 0) + 1
    taken = dict.fromkeys(total, 0)
    chosen: set[str] = set()
    for group in rng.permutation(sorted(members)).tolist():
        counts = dict.fromkeys(total, 0)
        for sample in members[group]:
            counts[sample.label] += 1
        if all(
            taken[label] + count <= min(most, total[label] // 2) for label, count in counts.items() if count
        ):
            chosen.add(group)
            for label, count in counts.items():
                taken[label] += count
    return Draw(
        tuple(sample for sample in samples if sample.group in chosen),
        tuple(sample for sample in samples if sample.group not in chosen),
    )


def draw_blood_cells(dataset: CellDataset, rng: np.random.Generator) -> Draw:
    """One copy each of some TRAIN photographs whose field TEST does not share; all of TEST is asked."""
    asked = dataset.samples("test")
    fields = {sample.field for sample in asked}
    copies: dict[tuple[str, str], list[Sample]] = {}
    for sample in dataset.samples("train"):
        if sample.field not in fields:
            copies.setdefault((sample.label, sample.group), []).append(sample)
    taken: dict[str, int] = {}
    taught = []
    for index in rng.permutation(len(copies)).tolist():
        label, group = sorted(copies)[index]
        if taken.get(label, 0) < PHOTOGRAPHS_A_CLASS:
            taken[label] = taken.get(label, 0) + 1
            those = copies[label, group]
            taught.append(those[int(rng.integers(len(those)))])
    return Draw(tuple(taught), asked)


def laid_out(samples: Sequence[Sample], root: Path, *, labelled: bool) -> Path:
    """A folder of class folders that links to the images, with their groups; one folder where labels are kept back."""
    rows = ["image,group"]
    for index, sample in enumerate(samples):
        folder = root / (sample.label if labelled else "images")
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / f"{index:05d}{sample.path.suffix.lower()}"
        link.symlink_to(sample.path.resolve())
        rows.append(f'{link.relative_to(root).as_posix()},"{sample.group}"')
    if labelled:
        (root / "groups.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What a bundle says of images.

    Attributes:
        predictions: Restricted to the laboratory's classes, an image without a cell wrong.
        trust: What it accepts of them, as a user meets it among all classes, the share of that which is right, and
            the expected calibration error of the restricted answers.
    """

    predictions: Predictions
    trust: dict[str, float]


def said(bundle: Bundle, samples: Sequence[Sample], classes: Sequence[str], root: Path) -> Said:
    given = ask(Reader(bundle, threads=2, engine="onnxruntime"), samples, root)
    restricted = given.predictions.restricted(in_order(set(classes)))
    accepted = np.array([decision == "accept" for decision in given.decisions])
    right = given.predictions.correct[accepted]
    return Said(
        restricted,
        {
            "accepted": float(accepted.mean()),
            "accuracy (accepted)": float(right.mean()) if len(right) else float("nan"),
            "expected calibration error": reliability(restricted).expected_error,
        },
    )


Way = Callable[[Reader, Path, Path, int], Adaptation]
"""From a reader, a laboratory's folder, the new bundle's file and a seed to the new bundle."""


def by_last_layer(reader: Reader, folder: Path, out: Path, seed: int) -> Adaptation:
    return adapt(reader, Folder(folder), out, seed=seed)


def by_all_layers(reader: Reader, folder: Path, out: Path, seed: int) -> Adaptation:
    # Not imported with the rest: the other ways take no torch.
    from leukolens.training.fine_tuning import network_teacher

    teacher = network_teacher(reader.bundle, threads=reader.threads)
    return adapt(reader, Folder(folder), out, teacher=teacher, seed=seed)


def without_labels(reader: Reader, folder: Path, out: Path, seed: int) -> Adaptation:
    return adapt_unlabelled(reader, folder, out)


def one_draw(
    bundle: Bundle, dataset: CellDataset, drawn: Draw, seed: int, way: Way, before: Said
) -> dict[str, Any]:
    asked = in_order({sample.label for sample in drawn.asked})
    with TemporaryDirectory(prefix="leukolens-") as scratch:
        folder = laid_out(drawn.taught, Path(scratch) / "lab", labelled=way is not without_labels)
        out, refused = Path(scratch) / "own.leukolens", ""
        reader = Reader(bundle, threads=2, engine="onnxruntime")
        started, spent = time.perf_counter(), time.process_time()
        try:
            own = way(reader, folder, out, seed).bundle
        except LeukolensError as error:
            # What a user would meet: the bundle stays as it is.
            own, refused = bundle, str(error)
        seconds, processor = time.perf_counter() - started, time.process_time() - spent
        after = said(own, drawn.asked, asked, dataset.root)
    found = compare(before.predictions, after.predictions)
    return {
        "taught": {key: sum(sample.label == key for sample in drawn.taught) for key in asked},
        "asked": len(drawn.asked),
        "seconds": seconds,
        "processor_seconds": processor,
        "refused": refused,
        "trust": {"before": before.trust, "after": after.trust},
        "figures": figures(found),
        "classes": {
            line.key: {
                "cells": line.cells,
                "groups": line.groups,
                "before": round(line.recall.before.value * line.cells),
                "after": round(line.recall.after.value * line.cells),
            }
            for line in found.classes
        },
    }


def figures(found: Comparison) -> dict[str, Any]:
    lines = {"accuracy": found.accuracy, "balanced accuracy": found.balanced}
    lines |= {f"{line.key} recall": line.recall for line in found.classes}
    return {
        name: {part: limits(change, part) for part in ("before", "after", "difference")}
        for name, change in lines.items()
    }


def limits(change: Change, part: str) -> dict[str, float | None]:
    measure: Measure = getattr(change, part)
    interval = measure.interval
    return {
        "value": measure.value,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
    }


def mean_over(draws: Sequence[dict[str, Any]], name: str, part: str) -> dict[str, float | None]:
    """Value and ends of the interval, each the mean over draws; no interval where a draw has none."""
    found = [one["figures"][name][part] for one in draws if name in one["figures"]]
    ends: dict[str, float | None] = {}
    for end in ("value", "low", "high"):
        values = [one[end] for one in found]
        ends[end] = None if None in values else float(np.mean(values))
    return ends


def trusted(draws: Sequence[dict[str, Any]], part: str) -> dict[str, float]:
    """What is accepted and how sure it sounds, each the mean over the draws in which there is anything."""
    entries = [one["trust"][part] for one in draws]
    return {name: float(np.nanmean([entry[name] for entry in entries])) for name in entries[0]}


def text(entry: dict[str, float | None], sign: str = "") -> str:
    value = f"{entry['value']:{sign}.3f}"
    return (
        value if entry["low"] is None else f"{value} ({entry['low']:{sign}.3f} to {entry['high']:{sign}.3f})"
    )


def table(draws: Sequence[dict[str, Any]], tuned: Sequence[dict[str, Any]] = ()) -> str:
    """Before, after and difference; with fine-tuned bundles beside, after and difference of both."""
    ways = [("last layer", draws), ("all layers", tuned)] if tuned else [("", draws)]
    heads = [f"{part}{', ' if way else ''}{way}" for way, _ in ways for part in ("after", "difference")]
    rows = [f"| figure | before | {' | '.join(heads)} |", "|---" * (2 + len(heads)) + "|"]
    least_cells, least_groups = FEWEST_FOR_RATES
    for name in draws[0]["figures"]:
        key = name.removesuffix(" recall")
        lines = [one["classes"][key] for one in draws if key in one["classes"]]
        rare = any(line["cells"] < least_cells or line["groups"] < least_groups for line in lines)
        before = counts(draws, key, "before") if rare else text(mean_over(draws, name, "before"))
        cells = [before]
        for _, found in ways:
            if rare:
                cells += [counts(found, key, "after"), "–"]
            else:
                cells += [
                    text(mean_over(found, name, "after")),
                    text(mean_over(found, name, "difference"), "+"),
                ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def counts(draws: Sequence[dict[str, Any]], key: str, part: str) -> str:
    lines = [one["classes"][key] for one in draws if key in one["classes"]]
    return ", ".join(f"{line[part]} of {line['cells']}" for line in lines)


def entered(
    bundle: Bundle,
    dataset: CellDataset,
    draws: Sequence[dict[str, Any]],
    tuned: Sequence[dict[str, Any]],
    out: Path,
) -> None:
    """Enters the look in the ledger, where it is one."""
    split = "test" if dataset.lab == "blood-cells" else "all"
    if not is_held_out(dataset, dataset.samples(split), bundle.card):
        return
    seen = []
    parts = [(draws, "before", "before adapting"), (draws, "after", "after adapting")]
    parts += [(tuned, "after", "after fine-tuning")] if tuned else []
    for found, part, words in parts:
        for name in ("accuracy", "balanced accuracy"):
            entry = mean_over(found, name, part)
            value = float(entry["value"] or 0)
            seen.append(ledger.Seen(f"{name} ({words})", value, entry["low"], entry["high"]))
        for name, value in trusted(found, part).items():
            if np.isfinite(value):  # of nothing accepted no share is right
                seen.append(ledger.Seen(f"{name} ({words})", value))
    card = bundle.card
    look = ledger.Look(
        ledger.code_commit(), card.recipe_sha256, card.seed, bundle.sha256, dataset.name, split
    )
    ledger.append(ledger.default_ledger(out), look, seen)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("dataset")
    parser.add_argument("--unlabelled", action="store_true", help="match statistics of 50 cells instead")
    parser.add_argument("--fine-tune", action="store_true", help="beside the last layer alone, all layers")
    parser.add_argument("--most", type=int, default=MOST_A_CLASS)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.fine_tune and options.unlabelled:
        parser.error("--fine-tune learns from labels")
    bundle, dataset = load(options.bundle), open_dataset(options.dataset, data_root(options.data))
    options.out.mkdir(parents=True, exist_ok=True)
    draws, tuned = [], []
    seen: tuple[tuple[Sample, ...], Said] | None = None
    for seed in range(options.draws):
        rng = np.random.default_rng(seed)
        if dataset.name == "blood-cells":
            drawn = draw_blood_cells(dataset, rng)
        else:
            known = [sample for sample in dataset.samples() if sample.label in bundle.card.classes]
            drawn = draw(known, rng, options.most)
        if options.unlabelled:
            order = rng.permutation(len(drawn.taught))[:50]
            drawn = Draw(tuple(drawn.taught[index] for index in order), drawn.asked)
        asked = in_order({sample.label for sample in drawn.asked})
        if seen is None or seen[0] != drawn.asked:  # on blood-cells it is all of TEST, every time
            seen = drawn.asked, said(bundle, drawn.asked, asked, dataset.root)
        learned = partial(one_draw, bundle, dataset, drawn, seed, before=seen[1])
        draws.append(learned(without_labels if options.unlabelled else by_last_layer))
        if options.fine_tune:
            tuned.append(learned(by_all_layers))
    entered(bundle, dataset, draws, tuned, options.out)
    document = {
        "command": shlex.join(["python", *sys.argv]),
        "bundle": {"name": bundle.card.name, "sha256": bundle.sha256},
        "dataset": dataset.name,
        "processors": os.cpu_count(),
        "draws": draws,
        "fine_tuned": tuned,
    }
    (options.out / "adapt.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    show(dataset.name, draws, tuned)


def show(name: str, draws: Sequence[dict[str, Any]], tuned: Sequence[dict[str, Any]]) -> None:
    print(f"{name}, mean over {len(draws)} draws; intervals are the draws' own, averaged")
    print(table(draws, tuned))
    for words, found, part in (
        ("before", draws, "before"),
        ("after", draws, "after"),
        ("all layers", tuned, "after"),
    ):
        if found:
            shown = ", ".join(f"{figure} {value:.3f}" for figure, value in trusted(found, part).items())
            print(f"{words}: {shown}")
    for words, found in (("", draws), (" (all layers)", tuned)):
        if found:
            print(f"Seconds on two threads{words}: {seconds_of(found, 'seconds')}")
            print(f"Of a processor{words}: {seconds_of(found, 'processor_seconds')}")
        for one in found:
            if one["refused"]:
                print(f"refused{words}: {one['refused']}")


def seconds_of(draws: Sequence[dict[str, Any]], which: str) -> str:
    return ", ".join(f"{one[which]:.1f}" for one in draws)


if __name__ == "__main__":
    main()
