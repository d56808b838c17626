"""How well cells are found in fields: bccd's photographs of TEST, five folds of bccd, a lab never seen.

    python benchmarks/finding.py test --out DIR                   # fields of TEST's photographs: a look, entered
    python benchmarks/finding.py misses --out DIR                 # what becomes of red cells, on held-out fields
    python benchmarks/finding.py folds --out DIR                  # five-fold over all of bccd; trains five
    leukolens train detector --sets bccd,pbc-224,tecom-300 --out RUN
    leukolens export RUN --into BUNDLE --out UNSEEN.leukolens
    python benchmarks/finding.py unseen --bundle UNSEEN.leukolens --out DIR    # raabin-500 by one that never saw it

Each prints a table and writes JSON. Intervals are over fields (2,000 resamples, fixed seed). Beside
the detector stands the nucleus finder, which gives one place and no box: it is counted as right where that place
lies in a labelled box, and asked for the most conspicuous cell only.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from boxed_fields import CHANGES, Boxes, Labelled, Pixels, bccd_fields, labelled

from leukolens.bundle import Bundle, load
from leukolens.datasets.base import data_root
from leukolens.datasets.bccd import Bccd
from leukolens.datasets.raabin import Raabin
from leukolens.evaluation.detection import (
    SAME,
    Matched,
    average_precision,
    best_threshold,
    counted,
    matched,
)
from leukolens.evaluation.ledger import Look, Seen, append, code_commit, default_ledger
from leukolens.imaging.nucleus import find_nucleus
from leukolens.models.detector import KINDS
from leukolens.reading.detector import LEAST, Detector
from leukolens.reading.fields import FieldReader
from leukolens.reading.peaks import Finds, overlaps

RESAMPLES = 2000
EDGE = 4
CROWDED = 0.1


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    words: str = ""


def found_in(detector: Detector, fields: list[Labelled]) -> list[Finds]:
    """Each field's finds of every score."""
    return [detector.find(field.rgb, least=LEAST).finds for field in fields]


def answers(found: list[Finds], fields: list[Labelled]) -> list[list[Matched]]:
    """For each kind, each field's finds beside its boxes."""
    kinds: list[list[Matched]] = [[] for _ in KINDS]
    for finds, field in zip(found, fields, strict=True):
        for kind in range(len(KINDS)):
            own = finds.only(finds.kinds == kind)
            kinds[kind].append(matched(own.boxes, own.scores, field.boxes[kind]))
    return kinds


def resampled(fields: list[Matched], groups: list[str], figure: Callable[[list[Matched]], float]) -> Figure:
    """The figure with its interval over groups of fields."""
    keys = sorted(set(groups))
    members = {key: [f for f, group in zip(fields, groups, strict=True) if group == key] for key in keys}
    rng = np.random.default_rng(0)
    draws = [
        figure([f for place in rng.integers(len(keys), size=len(keys)) for f in members[keys[place]]])
        for _ in range(RESAMPLES)
    ]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return Figure("", figure(fields), float(low), float(high))


def shares(parts: list[tuple[int, int]], groups: list[str]) -> tuple[float, float]:
    """The interval of a share, from each field's part and whole, over groups of fields."""
    keys = {key: place for place, key in enumerate(sorted(set(groups)))}
    sums = np.zeros((len(keys), 2))
    np.add.at(sums, [keys[group] for group in groups], np.array(parts, np.float64))
    draws = sums[np.random.default_rng(0).integers(len(keys), size=(RESAMPLES, len(keys)))].sum(axis=1)
    low, high = np.percentile(draws[:, 0] / draws[:, 1], [2.5, 97.5])
    return float(low), float(high)


def white_cells(fields: list[Matched], groups: list[str], threshold: float) -> list[Figure]:
    total = counted(fields, threshold)
    words = f"{total.found} found, {total.missed} missed, {total.false} false in {len(fields)} fields"
    each = [counted([field], threshold) for field in fields]
    recall = shares([(one.found, one.found + one.missed) for one in each], groups)
    precision = shares([(one.found, one.found + one.false) for one in each], groups)
    return [
        Figure("white cells, recall", total.recall, *recall, words),
        Figure("white cells, precision", total.precision, *precision),
        Figure("white cells, false boxes a field", total.false / len(fields)),
    ]


def misses(bundle: Bundle, root: Path) -> list[Figure]:
    """What red cells are missed, and what is found that nobody boxed, in the fields that chose the thresholds."""
    from leukolens.training.finding.export import labelled_fields
    from leukolens.training.finding.recipe import load as recipe

    detector, red = Detector(bundle), KINDS.index("red_cell")
    missed: list[tuple[bool, bool]] = []
    unboxed: list[bool] = []
    boxed = 0
    for field in labelled_fields(root, recipe().validation.folds, 0):
        finds = detector.find(field.rgb).finds
        found, wanted = finds.only(finds.kinds == red).boxes, field.boxes[red]
        shared, among = overlaps(wanted, found), overlaps(wanted, wanted) - np.eye(len(wanted))
        boxed += len(wanted)
        for place, box in enumerate(wanted):
            if shared[place].max(initial=0) < SAME:
                missed.append((at_edge(box, field.rgb), bool(among[place].max(initial=0) > CROWDED)))
        unboxed += [
            at_edge(box, field.rgb)
            for box, own in zip(found, shared.T, strict=True)
            if own.max(initial=0) < SAME
        ]
    edge, crowd = (np.mean([entry[index] for entry in missed]) for index in (0, 1))
    neither = np.mean([not (at or in_crowd) for at, in_crowd in missed])
    words = f"{len(missed)} of {boxed} boxed red cells"
    return [
        Figure("missed red cells: overlap another boxed one", float(crowd), words=words),
        Figure("missed red cells: touch the field's edge", float(edge)),
        Figure("missed red cells: neither", float(neither)),
        Figure(
            "red cells found that nobody boxed: touch the edge",
            float(np.mean(unboxed)),
            words=f"of {len(unboxed)}",
        ),
    ]


def at_edge(box: Boxes, rgb: Pixels) -> bool:
    height, width = rgb.shape[:2]
    return bool((box[:2] < EDGE).any() or box[2] > width - EDGE or box[3] > height - EDGE)


def by_nucleus(fields: list[Labelled]) -> Figure:
    """The nucleus finder on the same fields."""
    hits, asked = 0, 0
    for field in fields:
        boxes = field.boxes[KINDS.index("white_cell")]
        if not len(boxes):
            continue
        asked += 1
        nucleus = find_nucleus(field.rgb)
        hits += nucleus is not None and bool(
            (
                (boxes[:, 0] <= nucleus.x)
                & (nucleus.x < boxes[:, 2])
                & (boxes[:, 1] <= nucleus.y)
                & (nucleus.y < boxes[:, 3])
            ).any()
        )
    words = f"{hits} of {asked} fields with a white cell"
    return Figure("nucleus finder: its one place lies in a white cell", hits / asked, words=words)


def test_fields(bundle: Bundle, root: Path, out: Path) -> list[Figure]:
    """The photographs that TEST was made from; which nothing has learned from or been chosen on."""
    fields = list(bccd_fields(root, test_only=True))
    detector = Detector(bundle)
    kinds, groups = answers(found_in(detector, fields), fields), [field.group for field in fields]
    finding = bundle.card.finding
    assert finding is not None
    rows = white_cells(kinds[0], groups, finding.accept["white_cell"])
    for kind in (1, 2):
        ap = resampled(kinds[kind], groups, average_precision)
        at = counted(kinds[kind], finding.accept[KINDS[kind]])
        words = f"at the threshold {at.found} found, {at.missed} missed, {at.false} not labelled"
        rows.append(Figure(f"{KINDS[kind]}s, AP50", ap.value, ap.low, ap.high, words))
    rows += [by_nucleus(fields), named(bundle, fields, root)]
    entered(rows, bundle, "bccd", "test", out)
    return rows


def entered(rows: list[Figure], bundle: Bundle, dataset: str, split: str, out: Path) -> None:
    """Enters a look in the ledger."""
    assert bundle.card.finding is not None
    recipe = bundle.card.finding.recipe_sha256
    look = Look(code_commit(), recipe, bundle.card.seed, bundle.sha256, dataset, split)
    count = append(default_ledger(out), look, [Seen(row.name, row.value, row.low, row.high) for row in rows])
    print(f"Look number {count} of the ledger.")


def named(bundle: Bundle, fields: list[Labelled], root: Path) -> Figure:
    """Fields of one known subtype: is each found cell, cut ones too, given that name?"""
    labels = {sample.path: sample.label for sample in Bccd(root / "bccd").samples("test")}
    reader = FieldReader(bundle, engine="onnxruntime")
    four = ("neutrophil", "eosinophil", "lymphocyte", "monocyte")
    right: list[tuple[str, int, int]] = []
    for field in fields:
        label = labels.get(field.path)
        if label is None:
            continue
        for cell in reader.read_one(field.path).cells:
            best = max(four, key=lambda key: cell.probabilities[key])
            right.append((field.group, int(best == label), 1))
    low, high = shares([(hit, count) for _, hit, count in right], [group for group, _, _ in right])
    hits, every = (sum(entry[place] for entry in right) for place in (1, 2))
    keys = {group for group, _, _ in right}
    words = f"{hits} of {every} cells in {len(keys)} fields; probabilities restricted to four classes"
    return Figure(
        "class of each found cell, single-subtype fields", hits / every, float(low), float(high), words
    )


def unseen(bundle: Bundle, root: Path, out: Path) -> list[Figure]:
    """raabin-500, as it is and changed."""
    dataset = Raabin(root / "raabin-500")
    samples = dataset.samples()
    finding = bundle.card.finding
    assert finding is not None
    if any(entry.name == dataset.name for entry in finding.learned_from):
        raise SystemExit(f"this detector learned from {dataset.name}")
    detector = Detector(bundle)
    rows = []
    for name, change in CHANGES.items():
        fields = [labelled(sample.path, sample.group, dataset.boxes(sample.path)) for sample in samples]
        fields = [change(field) for field in fields]
        kinds, groups = answers(found_in(detector, fields), fields), [field.group for field in fields]
        found = white_cells(kinds[0], groups, finding.accept["white_cell"])
        rows += [Figure(f"{name}: {row.name}", row.value, row.low, row.high, row.words) for row in found]
        if name == "as it is":
            rows.append(by_nucleus(fields))
    entered(rows, bundle, dataset.name, "unseen", out)
    return rows


def folds(bundle: Bundle, root: Path, work: Path, epochs: int | None, only: int | None) -> list[Figure]:
    """All photographs of bccd, each by a detector that held its field out.

    Trains the five below ``work``, by the shipped recipe with TEST's photographs among the others; they are
    measured and never shipped. The threshold for a fold is chosen on the held-out answers of the other four.

    Args:
        bundle: Lends its card, and the overlap from which two finds are of one cell.
        root: The folder of data sets.
        work: Where the five runs lie; finished ones are taken as they are.
        epochs: Fewer than the recipe's.
        only: Train this fold alone and measure nothing, for several processes side by side.
    """
    from leukolens.training.finding import recipe as recipes
    from leukolens.training.finding.export import recipe_of, to_onnx, trained, with_detector
    from leukolens.training.finding.loop import FindingTrainer
    from leukolens.training.finding.scenes import scenes_of
    from leukolens.training.finding.session import fold_of, teaching
    from leukolens.training.loop import Watch
    from leukolens.training.recipe import changed
    from leukolens.training.run import Run

    finding = bundle.card.finding
    assert finding is not None
    # Another name, and so another digest: these learn from TEST's fields and must never ship.
    recipe = changed(recipes.load(), name="detector-five-fold")
    if epochs:
        recipe = changed(recipe, schedule={"epochs": epochs})
    scenes = [scene for source in recipe.data for scene in scenes_of(source.name, root, with_test=True)]
    fields = list(bccd_fields(root, test_only=False)) if only is None else []
    dealt = fold_of([field.group for field in fields], recipe.validation.folds)
    kinds: list[list[list[Matched]]] = [[] for _ in KINDS]
    ordered: list[Labelled] = []
    whites: list[Boxes] = []
    for fold in range(recipe.validation.folds) if only is None else [only]:
        run = Run(work / f"fold-{fold}")
        run.checkpoints.mkdir(parents=True, exist_ok=True)
        own = changed(recipe, validation={"fold": fold})
        (run.folder / "recipe.json").write_text(own.model_dump_json(indent=2) + "\n", encoding="utf-8")
        trainer = FindingTrainer(own, run, teaching(own, scenes), accelerator="cpu")
        trainer.resume()
        print(f"fold {fold}", flush=True)
        trainer.fit(Watch(epoch=lambda epoch: print(f"  epoch {epoch.epoch}", flush=True)))
        assert recipe_of(run) == own
        if only is not None:
            return []
        detector = Detector(with_detector(bundle, to_onnx(trained(run)), finding))
        held = [field for field in fields if dealt[field.group] == fold]
        found = found_in(detector, held)
        for kind, answered in enumerate(answers(found, held)):
            kinds[kind].append(answered)
        for finds in found:
            white = finds.only(finds.kinds == 0)
            whites.append(np.column_stack([white.boxes, white.scores]))
        ordered += held
    others = [
        best_threshold([field for place, part in enumerate(kinds[0]) if place != fold for field in part])
        for fold in range(len(kinds[0]))
    ]
    thresholds = [threshold for part, threshold in zip(kinds[0], others, strict=True) for _ in part]
    sure = [
        above(field, threshold)
        for field, threshold in zip((f for part in kinds[0] for f in part), thresholds, strict=True)
    ]
    groups = [field.group for field in ordered]
    rows = white_cells(sure, groups, 0.0)
    rows[0] = replace(rows[0], words=f"{rows[0].words}; thresholds {', '.join(f'{t:.2f}' for t in others)}")
    for kind in (1, 2):
        ap = resampled([f for part in kinds[kind] for f in part], groups, average_precision)
        rows.append(Figure(f"{KINDS[kind]}s, AP50", ap.value, ap.low, ap.high))
    write_mistakes(
        ordered,
        [boxes[boxes[:, 4] >= t, :4] for boxes, t in zip(whites, thresholds, strict=True)],
        work / "white_cells.png",
    )
    return rows


def above(field: Matched, threshold: float) -> Matched:
    """What is found from a score up."""
    kept = field.scores >= threshold
    return Matched(field.scores[kept], field.right[kept], field.labelled)


def write_mistakes(fields: list[Labelled], found: list[Boxes], path: Path) -> None:
    """Every field in which a white cell is missed (blue) or found where none is boxed (red), six in a row."""
    shown = []
    for field, boxes in zip(fields, found, strict=True):
        shared = overlaps(boxes, field.boxes[0])
        false = boxes[shared.max(axis=1, initial=0) < SAME]
        missed = field.boxes[0][shared.max(axis=0, initial=0) < SAME]
        if len(false) or len(missed):
            rgb = field.rgb.copy()
            for part, colour in ((field.boxes[0], (0, 140, 0)), (false, (255, 0, 0)), (missed, (0, 0, 255))):
                for x0, y0, x1, y1 in part.astype(int):
                    cv2.rectangle(rgb, (x0, y0), (x1, y1), colour, 3)
            shown.append(cv2.resize(rgb, (320, 240), interpolation=cv2.INTER_AREA))
    shown += [np.full((240, 320, 3), 255, np.uint8)] * (-len(shown) % 6)
    rows = [np.hstack(shown[at : at + 6]) for at in range(0, len(shown), 6)]
    if rows:
        cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def table(rows: list[Figure]) -> None:
    print("| figure | value | 95 % by field | |\n|---|---|---|---|")
    for row in rows:
        limits = "" if row.low is None or math.isnan(row.low) else f"{row.low:.3f} to {row.high:.3f}"
        print(f"| {row.name} | {row.value:.3f} | {limits} | {row.words} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("test", "misses", "folds", "unseen"))
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--epochs", type=int, help="fewer epochs for the five folds")
    parser.add_argument("--fold", type=int, help="train this one of the five folds alone")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    bundle, root = load(options.bundle), data_root(options.data)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = {
        "test": lambda: test_fields(bundle, root, options.out),
        "misses": lambda: misses(bundle, root),
        "folds": lambda: folds(bundle, root, options.out, options.epochs, options.fold),
        "unseen": lambda: unseen(bundle, root, options.out),
    }[options.what]()
    if not rows:
        return
    document = {"what": options.what, "bundle": bundle.sha256, "figures": [asdict(row) for row in rows]}
    (options.out / f"{options.what}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    table(rows)


if __name__ == "__main__":
    main()
