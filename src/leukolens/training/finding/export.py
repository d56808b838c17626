"""From a detector's run to a bundle that reads fields: ONNX, checked peak by peak, thresholds chosen."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from leukolens import bundle
from leukolens.bundle import Bundle
from leukolens.card import Finding, LearnedFrom
from leukolens.datasets.catalogue import dataset_class
from leukolens.errors import TrainingError
from leukolens.evaluation.detection import Matched, average_precision, best_threshold, matched
from leukolens.imaging.decode import decode
from leukolens.models.detector import COARSEST, KINDS, Detector, Peaks
from leukolens.reading.detector import LEAST
from leukolens.reading.detector import Detector as Finder
from leukolens.reading.engine import FindingEngine
from leukolens.training import checkpoint
from leukolens.training.checkpoint import AVERAGE, NETWORK
from leukolens.training.finding.loop import build
from leukolens.training.finding.recipe import DetectorRecipe
from leukolens.training.finding.scenes import Scene, photographs, scenes_of
from leukolens.training.finding.session import CHOSEN_ON, fold_of, teaching
from leukolens.training.onnx_graph import graph_of
from leukolens.training.run import Run

CLOSE = 1e-4
SUPPRESSIONS = (0.3, 0.4, 0.5, 0.6)
UNCHOSEN = dict.fromkeys(KINDS, 0.3)
FIELD_SIZES = ((208, 272), (192, 256))


@dataclass(frozen=True, slots=True, eq=False)
class LabelledField:
    """A photograph with the boxes drawn on it.

    Attributes:
        rgb: uint8 (h, w, 3).
        boxes: For each kind, float64 (n, 4), pixels.
    """

    rgb: NDArray[np.uint8]
    boxes: tuple[NDArray[np.float64], ...]


def recipe_of(run: Run) -> DetectorRecipe:
    """The recipe that a detector's run followed.

    Raises:
        TrainingError: Where the folder is no detector's run.
    """
    try:
        return DetectorRecipe.model_validate_json((run.folder / "recipe.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{run.folder} is no run of a detector", "Name the folder that `leukolens train detector` made"
        ) from error


def trained(run: Run) -> Detector:
    """The network of a run's last epoch, averaged weights where there are any, ready to answer.

    Raises:
        TrainingError: Where the run is not finished.
    """
    recipe, paths = recipe_of(run), checkpoint.complete(run.checkpoints)
    if not paths or paths[-1] != run.of_epoch(recipe.schedule.epochs):
        raise TrainingError(f"{run.folder} is not finished", "Go on with `leukolens train detector --resume`")
    tensors, _ = checkpoint.load(paths[-1])
    network = build(recipe)
    network.load_state_dict(checkpoint.part(tensors, AVERAGE) or checkpoint.part(tensors, NETWORK))
    return network.eval()


def to_onnx(network: Detector) -> bytes:
    """The network as an ONNX graph: ``fields`` of any size -> ``heat`` and ``shape``."""
    steps = {2: torch.export.Dim("rows") * COARSEST, 3: torch.export.Dim("columns") * COARSEST}
    return graph_of(
        Peaks(network).eval(), torch.zeros(2, 3, *FIELD_SIZES[0]), "fields", ["heat", "shape"],
        {0: torch.export.Dim("images"), **steps},
    )  # fmt: skip


def labelled_fields(root: Path, folds: int, fold: int) -> list[LabelledField]:
    """The photographs of bccd in one fold, as `teaching` deals them; none of TEST's."""
    every = list(photographs(root))
    dealt = fold_of([field for _, field, _ in every], folds)
    return [
        LabelledField(
            decode(path),
            tuple(
                np.array(
                    [[b.box.x0, b.box.y0, b.box.x1, b.box.y1] for b in boxes if b.kind == kind], np.float64
                ).reshape(-1, 4)
                for kind in KINDS
            ),
        )
        for path, field, boxes in every
        if dealt[field] == fold
    ]


def compared(finder: Finder, fields: list[LabelledField]) -> list[list[Matched]]:
    """For each kind, every field's finds beside what is labelled, all scores."""
    kinds: list[list[Matched]] = [[] for _ in KINDS]
    for field in fields:
        finds = finder.find(field.rgb, least=LEAST).finds
        for kind in range(len(KINDS)):
            own = finds.only(finds.kinds == kind)
            kinds[kind].append(matched(own.boxes, own.scores, field.boxes[kind]))
    return kinds


def chosen(given: Bundle, graph: bytes, finding: Finding, fields: list[LabelledField]) -> Finding:
    """Thresholds and suppression by what labelled fields say.

    Args:
        given: Any bundle; lends its card.
        graph: The detector's.
        finding: What is known of it so far.
        fields: Held out of its training.
    """
    best: tuple[float, Finding] | None = None
    for suppression in SUPPRESSIONS:
        tried = finding.model_copy(update={"suppression": suppression})
        answers = compared(Finder(with_detector(given, graph, tried)), fields)
        quality = float(np.nanmean([average_precision(kind) for kind in answers]))
        if best is None or quality > best[0]:
            accept = {kind: best_threshold(own) for kind, own in zip(KINDS, answers, strict=True)}
            best = quality, tried.model_copy(update={"accept": accept})
    assert best is not None
    return best[1].model_copy(
        update={"chosen_on": f"{len(fields)} fields of {CHOSEN_ON} held out of training"}
    )


def with_detector(given: Bundle, graph: bytes, finding: Finding) -> Bundle:
    """A bundle with this detector in place of its own, in memory."""
    card = given.card.model_copy(update={"finding": finding})
    return bundle.unpack(bundle.pack(card, given.classifier, graph, *given.members[1:]), given.card.name)


def check(network: Detector, engine: FindingEngine) -> float:
    """The largest difference between torch and ONNX Runtime on random fields of two sizes.

    Raises:
        TrainingError: Where it exceeds 1e-4, or a peak differs.
    """
    draw = torch.Generator().manual_seed(0)
    largest = 0.0
    for size in FIELD_SIZES:
        field = torch.rand(3, *size, generator=draw) * 2 - 1
        with torch.inference_mode():
            heat, shape = (part[0].numpy() for part in Peaks(network)(field[None]))
        own_heat, own_shape = engine.peaks(field.numpy())
        largest = max(largest, float(np.abs(own_shape - shape).max()))
        both = (own_heat > 0) & (heat > 0)
        largest = max(largest, float(np.abs(own_heat - heat)[both].max(initial=0.0)))
        if ((own_heat > LEAST) != (heat > LEAST)).any():
            raise TrainingError("ONNX Runtime and torch differ in a peak", "Try another version of torch")
    if largest > CLOSE:
        raise TrainingError(f"ONNX Runtime and torch differ by {largest:.1e}", "Try another version of torch")
    return largest


def add_detector(folder: Path, given: Bundle, out: Path, root: Path, *, choice: Path | None = None) -> Bundle:
    """A bundle with a run's detector in it.

    Args:
        folder: The run.
        given: The bundle that gets it.
        out: Where the new bundle goes.
        root: The folder of data sets.
        choice: JSON of thresholds that another run chose, where this one held nothing out.

    Raises:
        TrainingError: Where the run is not finished, ONNX Runtime disagrees with torch, or nothing says
            from which score a find counts.
    """
    run = Run(folder)
    recipe, network = recipe_of(run), trained(run)
    graph = to_onnx(network)
    scenes = [scene for source in recipe.data for scene in scenes_of(source.name, root)]
    finding = Finding(
        kinds=list(KINDS), red_cell=recipe.views.red_cell, accept=UNCHOSEN, chosen_on="", suppression=0.5,
        recipe=recipe.name, recipe_sha256=recipe.digest(), learned_from=learned_from(teaching(recipe, scenes)),
    )  # fmt: skip
    check(network, FindingEngine(with_detector(given, graph, finding)))
    fold = recipe.validation.fold
    if fold is not None:
        finding = chosen(given, graph, finding, labelled_fields(root, recipe.validation.folds, fold))
        text = json.dumps(
            {key: getattr(finding, key) for key in ("accept", "suppression", "chosen_on")}, indent=1
        )
        checkpoint.write_atomically(folder / "finding.json", (text + "\n").encode())
    elif choice is not None:
        finding = finding.model_copy(update=read_choice(choice))
    else:
        raise TrainingError(
            f"{folder} held no fields out, so nothing says from which score a find counts",
            "Give the finding.json that exporting a run with a fold wrote, with --finding",
        )
    card = given.card.model_copy(update={"finding": finding})
    return bundle.save(card, given.classifier, out, graph, *given.members[1:])


def read_choice(path: Path) -> dict[str, object]:
    """Thresholds and suppression that an earlier export chose.

    Raises:
        TrainingError: Where the file holds none.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        accept = {kind: float(document["accept"][kind]) for kind in KINDS}
        return {
            "accept": accept,
            "suppression": float(document["suppression"]),
            "chosen_on": str(document["chosen_on"]),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path} holds no thresholds ({error})", "Name an exported run's finding.json"
        ) from error


def learned_from(scenes: list[Scene]) -> list[LearnedFrom]:
    """One entry a data set: what of it taught the detector, and under which licence."""
    sizes = Counter(scene.name.split("/")[0] for scene in scenes)
    entries = []
    for name, images in sizes.items():
        kind = dataset_class(name)
        groups = sorted({scene.field for scene in scenes if scene.name.startswith(f"{name}/")})
        entries.append(
            LearnedFrom(
                name=name,
                lab=kind.lab,
                licence=kind.publication.licence,
                permissive=kind.publication.permissive,
                splits=["train"] if name == CHOSEN_ON else ["all"],
                images=images,
                groups=len(groups),
                groups_sha256=hashlib.sha256("".join(f"{group}\n" for group in groups).encode()).hexdigest(),
                left_out="the photographs of blood-cells TEST and others of the same fields"
                if name == CHOSEN_ON
                else "",
            )
        )
    return entries
