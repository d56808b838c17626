"""When an answer is safe to give: chosen on held-out images, kept as a small file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leukolens.bundle import SUFFIX, load
from leukolens.card import Judgement
from leukolens.datasets.base import Sample
from leukolens.differential.confusion import Confusion, confusion_of
from leukolens.errors import TrainingError
from leukolens.evaluation.calibration import accept_threshold, fit_temperature, softmax
from leukolens.evaluation.counted import counted
from leukolens.evaluation.predictions import Predictions
from leukolens.reading.conformal import set_thresholds
from leukolens.reading.inputs import side_of
from leukolens.taxonomy import cell_class
from leukolens.training.augment import centre
from leukolens.training.checkpoint import write_atomically
from leukolens.training.crops import Crops
from leukolens.training.familiarity import with_limits
from leukolens.training.recipe import Recipe

SIDES = 4
"""From how many sides a bundle looks at a cell that it is unsure of; eight gain no more (decision 0007)."""
BATCH = 64


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Crops that a network did not learn from, and what it says of them.

    Attributes:
        crops: The wide crops.
        logits: float (n, classes), at a first look.
        network: Inputs to logits, on the CPU, to look again with.
        distances: float (n,), how far each lies from what the network learned; None where nobody knows.
    """

    crops: Crops
    logits: NDArray[np.floating]
    network: Callable[[Tensor], Tensor]
    distances: NDArray[np.floating] | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What held-out images say of when to believe.

    Attributes:
        judgement: Temperature and threshold, chosen on one look at each image.
        confusion: What the images would be counted as, by true class.
        predictions: Calibrated answers as reading gives them: unsure images looked at from all sides.
    """

    judgement: Judgement
    confusion: Confusion
    predictions: Predictions


def judge(recipe: Recipe, parts: Sequence[HeldOut], names: Sequence[str], chosen_on: str) -> Judged:
    """Temperature, acceptance threshold and confusion from held-out images.

    Args:
        recipe: What the networks were trained by.
        parts: The images, each part with the network that did not learn from it.
        names: One name an image, unique, in the order of the parts.
        chosen_on: The images, in words.
    """
    logits = np.concatenate([part.logits for part in parts]).astype(np.float64)
    samples = [sample for part in parts for sample in part.crops.samples]
    truth = np.concatenate([part.crops.truth for part in parts])
    temperature = fit_temperature(logits, truth)

    def answered(probabilities: NDArray[np.float64]) -> Predictions:
        return Predictions(
            tuple(recipe.classes),
            tuple(names),
            tuple(sample.group for sample in samples),
            truth,
            probabilities,
        )

    once = answered(softmax(logits, temperature))
    judgement = Judgement.model_validate(
        {
            "temperature": temperature,
            "accept_above": accept_threshold(once).threshold,
            "chosen_on": chosen_on,
            "sides": SIDES,
        }
    )
    predictions = answered(np.concatenate([as_read(part, recipe, judgement) for part in parts]))
    judgement = judgement.model_copy(
        update={
            "sets": set_thresholds(
                recipe.classes,
                predictions.probabilities,
                truth,
                predictions.groups,
                [sample.lab for sample in samples],
            )
        }
    )
    named = predictions.leukocyte  # whatever else it is, it is not accepted
    sure = named & (predictions.confidence >= judgement.accept_above)
    distances = distances_of(parts)
    if distances is not None:
        white = np.array([cell_class(key).leukocyte for key in recipe.classes])[truth]
        judgement = with_limits(judgement, distances, white, [sample.lab for sample in samples])
        sure &= distances <= (judgement.usual_within or np.inf)
    judgement = judgement.model_copy(
        update={
            "accepted_accuracy": float(predictions.correct[sure].mean()) if sure.any() else None,
            "accepted_share": float(sure[named].mean()) if named.any() else None,
        }
    )
    labs = tuple(sorted({sample.lab for sample in samples}))
    counts = confusion(predictions, judgement, chosen_on, labs, distances)
    return Judged(judgement, counts, predictions)


def held_out_words(samples: Sequence[Sample]) -> str:
    """How many images and groups samples come from, and how many cells they are where an image has several."""
    images, groups = len({sample.path for sample in samples}), len({sample.group for sample in samples})
    cells = "" if images == len(samples) else f"{len(samples)} cells in "
    return f"{cells}{images} images of {groups} groups"


def distances_of(parts: Sequence[HeldOut]) -> NDArray[np.float64] | None:
    """How far the images of all parts lie from what was learned, (n,); None where one part doesn't know."""
    known = [part.distances for part in parts if part.distances is not None]
    return np.concatenate(known).astype(np.float64) if len(known) == len(parts) else None


def as_read(part: HeldOut, recipe: Recipe, judgement: Judgement) -> NDArray[np.float64]:
    """Calibrated probabilities, (n, classes), as `reading.classifier.Classifier` gives them.

    Crops whose first look leaves them under the threshold are looked at from all sides.
    """
    answers = softmax(part.logits.astype(np.float64), judgement.temperature)
    unsure = np.flatnonzero(answers.max(axis=1, initial=0) < judgement.accept_above)
    if len(unsure):
        pixels = part.crops.pixels[unsure]
        looks = [
            softmax(_logits(part.network, side_of(pixels, number), recipe), judgement.temperature)
            for number in range(1, judgement.sides)
        ]
        answers[unsure] = np.mean([answers[unsure], *looks], axis=0)
    return answers


def _logits(
    network: Callable[[Tensor], Tensor], pixels: NDArray[np.uint8], recipe: Recipe
) -> NDArray[np.float64]:
    inputs = centre(torch.from_numpy(pixels), recipe.framing.size, recipe.augment.margin)
    with torch.inference_mode():
        return torch.cat([network(piece) for piece in torch.split(inputs, BATCH)]).double().numpy()


def confusion(
    predictions: Predictions,
    judgement: Judgement,
    measured_on: str,
    labs: tuple[str, ...],
    distances: NDArray[np.floating] | None = None,
) -> Confusion:
    """What a differential would count held-out images as, by their true class."""
    found = counted(predictions, judgement, distances)
    return confusion_of(
        found.classes, found.truth, found.answered, found.groups, labs=labs, measured_on=measured_on
    )


def write_judgement(judgement: Judgement, confusion: Confusion, epoch: int, path: Path) -> None:
    """Writes what cross-fitting chose, for `read_judgement`."""
    document = {
        "epoch": epoch, "judgement": judgement.model_dump(), "confusion": confusion.model_dump(mode="json"),
    }  # fmt: skip
    write_atomically(path, (json.dumps(document, indent=1) + "\n").encode())


def read_judgement(path: Path) -> tuple[Judgement, Confusion | None, int | None]:
    """The judgement, the confusion and the epoch that cross-fitting chose; a bundle knows no epoch.

    Raises:
        TrainingError: Where the file is neither.
        BundleError: Where it is a damaged bundle.
    """
    if path.suffix == SUFFIX:
        card = load(path).card
        return card.judgement, card.confusion, None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        known = document.get("confusion")
        return (
            Judgement.model_validate(document["judgement"]),
            None if known is None else Confusion.model_validate(known),
            int(document["epoch"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(
            f"{path} is no judgement of a cross-fit",
            f"Name the judgement.json that it wrote, or a {SUFFIX} bundle",
        ) from error
