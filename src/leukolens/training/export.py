"""From a training run to a bundle: ONNX, checked logit by logit, with a card that says what it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from leukolens import bundle
from leukolens.bundle import Bundle
from leukolens.card import Figure, Judgement
from leukolens.errors import TrainingError
from leukolens.models.resnet import ResNet
from leukolens.reading.engine import Engine
from leukolens.training import checkpoint
from leukolens.training.augment import centre
from leukolens.training.card import card_of
from leukolens.training.checkpoint import AVERAGE, NETWORK
from leukolens.training.crops import Crops, framed, samples_of
from leukolens.training.familiarity import familiarity_of, features_of
from leukolens.training.judgement import HeldOut, held_out_words, judge, read_judgement
from leukolens.training.loop import build
from leukolens.training.normalisation import normalisation_of
from leukolens.training.onnx_graph import graph_of
from leukolens.training.quantise import quickened
from leukolens.training.recipe import Recipe
from leukolens.training.replay import replay_of
from leukolens.training.run import Run
from leukolens.training.session import split

CLOSE = 1e-4
SPOT_CHECK = 512


@dataclass(frozen=True, slots=True)
class Checked:
    """What the comparison of ONNX Runtime with torch found.

    Attributes:
        logits: float32 (n, classes), by ONNX Runtime.
        difference: Largest absolute difference of a logit.
        images: How many images were compared, each at batch 1 and 7.
    """

    logits: NDArray[np.float32]
    difference: float
    images: int


class _WithActivation(nn.Module):
    """Gives logits and, from a *pool* head, the class activation maps and what the last layer sees."""

    def __init__(self, network: ResNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        features = self.network.forward_features(crops)
        if self.network.head != "pool":
            return (self.network.forward_head(features),)
        pooled = features.mean(dim=(2, 3))
        return self.network.classifier(pooled), self.network.activation(features), pooled


def trained(run: Run, epoch: int | None = None) -> ResNet:
    """The network of a run's chosen epoch, averaged weights where there are any, ready to answer.

    Raises:
        TrainingError: Where that epoch's checkpoint was not kept.
    """
    number = epoch or run.best()
    if not run.of_epoch(number).with_suffix(".json").is_file():
        raise TrainingError(
            f"{run.folder} kept no checkpoint of epoch {number}", 'Train with checkpoints.keep = "all"'
        )
    tensors, _ = checkpoint.load(run.of_epoch(number))
    network = build(run.recipe())
    network.load_state_dict(checkpoint.part(tensors, AVERAGE) or checkpoint.part(tensors, NETWORK))
    return network.eval()


def to_onnx(network: ResNet, size: int) -> bytes:
    """The network as an ONNX graph: ``crops`` -> ``logits`` and, from a *pool* head, ``activation``, ``features``."""
    names = ["logits", "activation", "features"] if network.head == "pool" else ["logits"]
    free = {0: torch.export.Dim("images")}
    return graph_of(_WithActivation(network).eval(), torch.zeros(2, 3, size, size), "crops", names, free)


def compare(network: ResNet, engine: Engine, inputs: Tensor) -> Checked:
    """Runs images through torch and ONNX Runtime, the latter at batch 1 and 7.

    Args:
        network: In evaluation mode.
        engine: Of the exported graph.
        inputs: (n, 3, size, size) of -1 to 1.

    Raises:
        TrainingError: Where a class differs, or a logit by more than 1e-4.
    """
    with torch.inference_mode():
        expected = torch.cat([network(piece) for piece in torch.split(inputs, 64)]).numpy()
    answers = {}
    for batch in (1, 7):
        pieces = [engine.logits(piece.numpy()) for piece in torch.split(inputs, batch)]
        answers[batch] = np.concatenate(pieces)
    difference = max(float(np.abs(answer - expected).max()) for answer in answers.values())
    changed = sum(int((answer.argmax(1) != expected.argmax(1)).sum()) for answer in answers.values())
    if changed or difference > CLOSE:
        raise TrainingError(
            f"ONNX Runtime disagrees with torch ({changed} classes differ, logits by up to {difference:.2g})",
            "Do not ship this bundle; try other versions of torch and onnxruntime",
        )
    return Checked(answers[7], difference, len(inputs))


def export_run(
    folder: Path,
    out: Path,
    *,
    root: Path,
    cache: Path | None = None,
    judgement: Path | None = None,
    epoch: int | None = None,
    figures: tuple[Figure, ...] = (),
) -> Bundle:
    """Exports a run's chosen checkpoint.

    Args:
        folder: The run.
        out: The bundle's file.
        root: The folder of data sets, for the images to check on.
        cache: Folder of framed crops.
        judgement: What a cross-fit wrote; where None, ``judgement.json`` in the run's folder if there is
            one, else temperature and threshold come from the run's own held-out photographs.
        epoch: Which epoch; where None, the one that the cross-fit chose, else the run's own best.
        figures: Measured figures for the card.

    Raises:
        TrainingError: Where the run is not finished, held nothing out and no judgement is given, or ONNX
            Runtime disagrees with torch.
    """
    run = Run(folder)
    recipe = run.recipe()
    beside = folder / "judgement.json"
    source = judgement or (beside if beside.is_file() else None)
    judged, confusion, chosen_epoch = read_judgement(source) if source else (None, None, None)
    network = trained(run, epoch or chosen_epoch)
    graph = to_onnx(network, recipe.framing.size)
    crops = framed(
        samples_of(recipe, root), recipe.classes, recipe.framing, margin=recipe.augment.margin, cache=cache
    )
    teach, held_out = split(crops, recipe)
    if judged is None and not len(held_out):
        raise TrainingError(
            f"{folder} held no photographs out, so nothing says when its answers are safe",
            "Give the judgement that `leukolens train --cross-fit` wrote, with --judgement",
        )
    shown = held_out if len(held_out) else _sample(teach, recipe.seed)
    inputs = centre(torch.from_numpy(shown.pixels), recipe.framing.size, recipe.augment.margin)
    card = card_of(recipe, network, judged or Judgement.model_validate({}), teach, figures, root)
    checked = compare(network, Engine(bundle.unpack(bundle.pack(card, graph), str(out))), inputs)
    known = familiarity_of(network, teach, recipe)
    if judged is None:
        fold = f"fold {recipe.validation.fold} of {recipe.validation.folds}"
        chosen_on = f"{held_out_words(held_out.samples)} held out of training ({fold})"
        names = [sample.path.as_posix() + sample.place for sample in held_out.samples]
        away = None if known is None else known.distance(features_of(network, held_out.pixels, recipe))
        found = judge(recipe, [HeldOut(held_out, checked.logits, network, away)], names, chosen_on)
        judged, confusion = found.judgement, found.confusion
    card = card.model_copy(update={"judgement": judged, "confusion": confusion})
    familiarity = None if known is None else known.to_bytes()
    replay, normalisation = replay_of(network, teach, recipe), normalisation_of(network)
    whole = bundle.unpack(bundle.pack(card, graph, None, familiarity, replay, normalisation), str(out))
    if network.head == "pool" and not recipe.framing.whole_image:
        whole = _quickened(whole, teach, shown, recipe)
    return bundle.save(whole.card, graph, out, *whole.members)


def _quickened(whole: Bundle, teach: Crops, shown: Crops, recipe: Recipe) -> Bundle:
    taught = _sample(teach, recipe.seed)
    fold = recipe.validation.fold
    whence = "some that taught it" if fold is None else f"{len(shown)} of fold {fold}, held out"
    return quickened(whole, _middles(taught, recipe), _middles(shown, recipe), whence)


def _middles(crops: Crops, recipe: Recipe) -> NDArray[np.uint8]:
    """Crops as reading frames them, uint8 (n, size, size, 3)."""
    views = centre(torch.from_numpy(crops.pixels), recipe.framing.size, recipe.augment.margin)
    return ((views + 1) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


def _sample(crops: Crops, seed: int) -> Crops:
    index = np.random.default_rng(seed).permutation(len(crops))[:SPOT_CHECK]
    return crops.take(np.sort(index))
