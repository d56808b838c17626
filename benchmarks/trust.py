"""What is accepted although it should be refused, and whether a sample of a new laboratory is told from known ones.

    python benchmarks/trust.py runs/fold-0 --out results/trust.json

RUN held a fold out: its white cells are what is known. A limit is set so that 95 % of them are accepted (a cell is
where its likeliest class is a leukocyte and it lies within the limit of what was learned), and counted is how many of
each of these are accepted at that limit:

* red cells, platelets and empty ground, framed by the boxes drawn on bccd's photographs, TEST's left out, as if a
  finder had taken them for white cells; red cells from the fold that RUN held out alone, since it may have learned
  others; where RUN learned platelets as *other*, it was those of pbc alone
* pictures of anything else, drawn (noise, gradients, letters, textures with the statistics of photographs): there are
  no natural photographs here. Where no nucleus is found in one, which refuses it, the whole picture is judged all the
  same
* cells of a class that RUN's recipe leaves out, and of *other* where it does: wants a run trained so

A second table asks of samples of 50 cells what `leukolens read` asks of a whole one: which share lies outside. Own
laboratories' samples are of held-out cells, as they are and re-encoded (JPEG, quality 60), resized (x 0.7) and dimmed
(by 10 %). With --unseen NAME, a set that RUN did not learn from, its samples are told from these; that is a look at an
unseen laboratory, and the ledger gets it.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from drawn_things import DRAWINGS
from numpy.typing import NDArray

from leukolens.bundle import Bundle, load
from leukolens.card import Framing
from leukolens.datasets.base import Sample, data_root
from leukolens.datasets.bccd import Bccd
from leukolens.datasets.boxes import Boxed, LabelledBox
from leukolens.datasets.catalogue import open_dataset
from leukolens.evaluation import ledger
from leukolens.imaging.decode import decode
from leukolens.imaging.framing import Box, frame, frame_within
from leukolens.imaging.nucleus import slide_of
from leukolens.reading.batch_check import check
from leukolens.reading.classifier import Answers, Classifier
from leukolens.reading.trust import decide
from leukolens.taxonomy import cell_class
from leukolens.training.crops import NEVER_LEARNED, Crops, framed, samples_of
from leukolens.training.export import export_run
from leukolens.training.run import Run
from leukolens.training.session import split

ACCEPTED = 0.95
SAMPLE, SAMPLES = 50, 200
MOST = 600  # of a kind
RED_CELLS, PLATELETS = 10, 4  # taken from one photograph, at most
DRAWN = 60  # of each drawing


@dataclass(frozen=True, slots=True)
class Refused:
    """How a kind fared. ``accepted`` at 95 % of known cells, ``as_decided`` by the bundle's own thresholds."""

    kind: str
    cells: int
    accepted: float
    as_decided: float
    auroc: float


@dataclass(frozen=True, slots=True)
class Sampled:
    """Share of cells outside in samples of a laboratory: median, and the extreme that speaks against us."""

    laboratory: str
    cells: int
    median: float
    extreme: float
    flagged: float


class Model:
    """A bundle, and what it says of crops."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.judgement = bundle, bundle.card.judgement
        self.classifier = Classifier(bundle)
        self.leukocyte = np.array([cell_class(key).leukocyte for key in self.classifier.classes])
        if self.classifier.familiarity is None or self.judgement.usual_within is None:
            raise SystemExit(f"bundle {bundle.card.name} knows nothing of learned cells; export RUN again")

    def answers(self, crops: NDArray[np.uint8]) -> Answers:
        """Of crops (n, size, size, 3)."""
        return self.classifier.answers(crops)

    def strangeness(self, answers: Answers) -> NDArray[np.float64]:
        """(n,), what a limit is set on: the distance, and beyond any where no leukocyte is likeliest."""
        assert answers.distance is not None
        white = self.leukocyte[answers.probabilities.argmax(axis=1)]
        return np.where(white, answers.distance, np.inf)

    def accepts(self, answers: Answers) -> NDArray[np.bool_]:
        """(n,), what the bundle decides."""
        assert answers.distance is not None
        pairs = zip(answers.probabilities.tolist(), answers.distance.tolist(), strict=True)
        return np.array(
            [
                decide(dict(zip(self.classifier.classes, row, strict=True)), self.judgement, away)[0]
                == "accept"
                for row, away in pairs
            ]
        )


def auroc(known: NDArray[np.float64], strange: NDArray[np.float64]) -> float:
    """How often something strange lies farther than something known; equal ones count half (Mann & Whitney)."""
    ordered = np.sort(known)
    below, upto = (np.searchsorted(ordered, strange, side) for side in ("left", "right"))
    return float(((below + upto) / 2).mean() / len(known))


def from_bccd(
    framing: Framing, root: Path, rng: np.random.Generator, held_out: set[str]
) -> Iterator[tuple[str, NDArray]]:
    """Crops of red cells of these fields, of platelets and of empty ground that no white cell's box reaches into."""
    dataset = Bccd(root / "bccd")
    found: dict[str, list[NDArray]] = {"red cells": [], "platelets": [], "empty ground": []}
    for sample in dataset.samples("train"):
        rgb, boxes = decode(sample.path), dataset.boxes(sample.path)
        height, width = rgb.shape[:2]
        if sample.field in held_out:
            found["red cells"] += apart(rgb, boxes, "red_cell", framing, rng.permutation)[:RED_CELLS]
        found["platelets"] += apart(rgb, boxes, "platelet", framing, rng.permutation)[:PLATELETS]
        for _ in range(100):
            side = int(rng.integers(60, 140))
            x, y = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
            piece = Box(x, y, x + side, y + side)
            if not any(piece.meets(each.box) for each in boxes):
                plain = rgb[piece.y0 : piece.y1, piece.x0 : piece.x1]
                found["empty ground"].append(whole(plain, framing))
                break
    yield from ((name, np.stack(crops)[:MOST]) for name, crops in found.items())


def apart(
    rgb: NDArray[np.uint8],
    boxes: tuple[LabelledBox, ...],
    kind: Boxed,
    framing: Framing,
    shuffled: Callable[[int], NDArray[np.int64]],
) -> list[NDArray]:
    """Crops around boxes of a kind, those that no white cell's box reaches into."""
    slide = slide_of(rgb)
    white = [each.box for each in boxes if each.kind == "white_cell"]
    own = [each.box for each in boxes if each.kind == kind]
    crops = []
    for place in shuffled(len(own)):
        crop, square = frame_within(rgb, own[place], framing, slide)
        if not any(square.meets(box) for box in white):
            crops.append(crop)
    return crops


def whole(rgb: NDArray[np.uint8], framing: Framing) -> NDArray[np.uint8]:
    """The whole picture as a crop, balanced as crops are."""
    framed_whole = frame(rgb, framing.model_copy(update={"whole_image": True}))
    assert framed_whole is not None
    return framed_whole[0]


def drawn(framing: Framing, rng: np.random.Generator) -> Iterator[tuple[str, NDArray]]:
    """Crops of each drawing."""
    for drawing in DRAWINGS:
        crops = []
        for _ in range(DRAWN):
            picture = drawing(rng)
            cell = frame(picture, framing)
            crops.append(cell[0] if cell else whole(picture, framing))
        yield f"drawn: {drawing.__name__}", np.stack(crops)


def read_crops(
    samples: list[Sample], framing: Framing, change: Callable[[NDArray], NDArray] = lambda rgb: rgb
) -> NDArray[np.uint8]:
    """Crops of images of one cell, as `leukolens identify` frames them without a detector."""
    found = [frame(change(decode(sample.path)), framing) for sample in samples]
    return np.stack([cell[0] for cell in found if cell])


def recoded(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """JPEG, quality 60."""
    coded = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    return np.ascontiguousarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)[:, :, ::-1])


def resized(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """To 0.7 of its size."""
    size = round(0.7 * rgb.shape[1]), round(0.7 * rgb.shape[0])
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def dimmed(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """By 10 %."""
    return np.round(0.9 * rgb).astype(np.uint8)


def middle(crops: Crops, framing: Framing) -> NDArray[np.uint8]:
    """What a bundle sees of wide crops."""
    start = (crops.pixels.shape[1] - framing.size) // 2
    stop = start + framing.size
    return np.ascontiguousarray(crops.pixels[:, start:stop, start:stop])


def samples_outside(model: Model, answers: Answers, rng: np.random.Generator) -> NDArray[np.float64]:
    """Share of cells outside in each of 200 samples of 50 cells (or of as many as there are, 20 at least)."""
    assert answers.distance is not None
    assert model.judgement.usual_within is not None
    asked = answers.distance[model.leukocyte[answers.probabilities.argmax(axis=1)]]
    if len(asked) < 20:
        return np.zeros(0)
    outside = asked > model.judgement.usual_within
    size = min(SAMPLE, len(asked))
    return np.array([outside[rng.permutation(len(asked))[:size]].mean() for _ in range(SAMPLES)])


def summed(model: Model, name: str, cells: int, shares: NDArray[np.float64], *, new: bool) -> Sampled:
    """A row of the second table."""

    def flagged(share: float) -> bool:
        count = round(share * min(SAMPLE, cells))
        away = [np.inf] * count + [0.0] * (min(SAMPLE, cells) - count)
        said = check(away, model.judgement)
        return said is not None and said.unlike

    extreme = shares.min() if new else shares.max()
    return Sampled(
        name, cells, float(np.median(shares)), float(extreme), float(np.mean([*map(flagged, shares)]))
    )


def left_out(run: Run, root: Path) -> Iterator[tuple[str, list[Sample]]]:
    """Cells of the classes that the run's recipe leaves out, of its own data sets and of pbc's *other*."""
    recipe = run.recipe()
    sets = {data.name for data in recipe.data} | ({"pbc-224"} if "other" not in recipe.classes else set())
    strange: dict[str, list[Sample]] = {}
    for name in sorted(sets):
        for sample in open_dataset(name, root).samples():
            if sample.label not in recipe.classes and sample.split not in NEVER_LEARNED:
                strange.setdefault(sample.label, []).append(sample)
    yield from strange.items()


def refusals(
    model: Model, run: Run, root: Path, known: NDArray, held_out: Crops, rng: np.random.Generator
) -> list[Refused]:
    """The first table, printed row by row; ``known`` is how strange known cells are."""
    framing, rows = run.recipe().framing, []
    limit = float(np.quantile(known, ACCEPTED))

    def unlearned() -> Iterator[tuple[str, NDArray]]:
        for label, samples in left_out(run, root):
            chosen = [samples[place] for place in rng.permutation(len(samples))[:MOST]]
            yield f"left out: {label}", read_crops(chosen, framing)

    print(
        "What should be refused: cells, accepted at 95 % of known ones, accepted as the bundle decides, AUROC"
    )
    fields = {sample.field for sample in held_out.samples}
    for kind, pixels in chain(from_bccd(framing, root, rng, fields), drawn(framing, rng), unlearned()):
        said = model.answers(pixels)
        away = model.strangeness(said)
        accepted, decided = float((away <= limit).mean()), float(model.accepts(said).mean())
        row = Refused(kind, len(away), accepted, decided, auroc(known, away))
        print(f"  {kind:26s} {row.cells:5d}  {accepted:.3f}  {decided:.3f}  {row.auroc:.3f}", flush=True)
        rows.append(row)
    return rows


def own_samples(
    model: Model, held_out: Crops, framing: Framing, rng: np.random.Generator
) -> Iterator[tuple[Sampled, NDArray[np.float64]]]:
    """Rows of the second table for the laboratories that were learned from, and the shares behind them."""
    labs = np.array([sample.lab for sample in held_out.samples])
    pixels = middle(held_out, framing)
    for lab in np.unique(labs):
        mine = rng.permutation(np.flatnonzero(labs == lab))
        few = [held_out.samples[place] for place in mine if held_out.samples[place].box is None][:150]
        variants = {lab: pixels[mine[:MOST]]}
        for change in (recoded, resized, dimmed):
            variants[f"{lab}, {change.__name__}"] = read_crops(few, framing, change)
        for name, crops in variants.items():
            shares = samples_outside(model, model.answers(crops), rng)
            if len(shares):
                yield summed(model, name, len(crops), shares, new=False), shares


def unseen_samples(
    model: Model, name: str, root: Path, rng: np.random.Generator
) -> tuple[Sampled, NDArray[np.float64]]:
    """The row of a laboratory that was not learned from, and the shares behind it."""
    every = [each for each in open_dataset(name, root).samples() if each.split not in NEVER_LEARNED]
    chosen = [every[place] for place in rng.permutation(len(every))[:MOST]]
    crops = read_crops(chosen, model.bundle.card.framing)
    shares = samples_outside(model, model.answers(crops), rng)
    return summed(model, f"{name}, unseen", len(crops), shares, new=True), shares


def main() -> None:
    """Runs both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a classifier's run that held a fold out")
    parser.add_argument("--bundle", type=Path, help="its bundle, where it is exported already")
    parser.add_argument("--data", type=Path, help="folder of data sets; else LEUKOLENS_DATA")
    parser.add_argument("--cache", type=Path, help="folder of framed crops")
    parser.add_argument("--unseen", help="a data set of a laboratory that RUN did not learn from")
    parser.add_argument("--ledger", type=Path, default=Path("benchmarks/ledger.csv"))
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    root, run, rng = data_root(given.data), Run(given.run), np.random.default_rng(given.seed)
    recipe, target = run.recipe(), given.run / "model.leukolens"
    bundle = (
        load(given.bundle) if given.bundle else export_run(run.folder, target, root=root, cache=given.cache)
    )
    model = Model(bundle)
    samples = samples_of(recipe, root)
    held_out = split(
        framed(samples, recipe.classes, recipe.framing, margin=recipe.augment.margin, cache=given.cache),
        recipe,
    )[1]
    answers = model.answers(middle(held_out, recipe.framing))
    white, labs = model.leukocyte[held_out.truth], np.array([sample.lab for sample in held_out.samples])
    strangeness, decided = model.strangeness(answers), model.accepts(answers)
    limit = float(np.quantile(strangeness[white], ACCEPTED))
    print(
        f"{white.sum()} known cells, 95 % within {limit:.2f}; cells, share within, share accepted as decided:"
    )
    within = {}
    for lab in np.unique(labs[white]):
        own = white & (labs == lab)
        within[str(lab)] = float((strangeness[own] <= limit).mean())
        print(f"  {lab:26s} {own.sum():5d}  {within[str(lab)]:.3f}  {decided[own].mean():.3f}")
    refused = refusals(model, run, root, strangeness[white], held_out, rng)
    sampled = list(own_samples(model, held_out, recipe.framing, rng))
    figure = None
    if given.unseen:
        sampled.append(unseen_samples(model, given.unseen, root, rng))
        figure = auroc(np.concatenate([shares for _, shares in sampled[:-1]]), sampled[-1][1])
        look = ledger.Look(
            ledger.code_commit(), recipe.digest(), recipe.seed, bundle.sha256, given.unseen, "all"
        )
        ledger.append(given.ledger, look, [ledger.Seen("batch check AUROC (50 cells)", figure, None, None)])
    print(f"Samples of {SAMPLE} cells: cells, share outside (median, worst), share of samples called unlike")
    for row, _ in sampled:
        print(
            f"  {row.laboratory:26s} {row.cells:5d}  {row.median:.2f}  {row.extreme:.2f}  {row.flagged:.3f}"
        )
    if figure is not None:
        print(f"AUROC of samples of {given.unseen} against all of the others: {figure:.4f}")
    if given.out:
        document = {
            "run": run.folder.name,
            "recipe_sha256": recipe.digest(),
            "bundle_sha256": bundle.sha256,
            "machine": platform.platform(),
            "seed": given.seed,
            "known": int(white.sum()),
            "limit": limit,
            "within_by_laboratory": within,
            "refused": [asdict(row) for row in refused],
            "samples": [asdict(row) for row, _ in sampled],
            "unseen": given.unseen,
            "batch_auroc": figure,
        }
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
