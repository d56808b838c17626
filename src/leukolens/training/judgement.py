"""When an answer is safe to give: chosen on held-out images, kept as a small file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leukolens.bundle import SUFFIX, Judgement, load
from leukolens.differential.confusion import Confusion, confusion_of
from leukolens.errors import TrainingError
from leukolens.evaluation.calibration import accept_threshold, fit_temperature, softmax
from leukolens.evaluation.predictions import Predictions
from leukolens.taxonomy import cell_class, in_order
from leukolens.training.checkpoint import write_atomically
from leukolens.training.crops import Crops

SIDES = 4
"""From how many sides a bundle looks at a cell that it is unsure of; eight gain no more (decision 0007)."""


def judge(
    logits: NDArray[np.float32], crops: Crops, classes: list[str], chosen_on: str
) -> tuple[Judgement, Confusion]:
    """Temperature, acceptance threshold and confusion from held-out images."""
    temperature = fit_temperature(logits, crops.truth)
    predictions = Predictions(
        tuple(classes),
        tuple(sample.path.as_posix() for sample in crops.samples),
        tuple(sample.group for sample in crops.samples),
        crops.truth,
        softmax(logits.astype(np.float64), temperature),
    )
    labs = tuple(sorted({sample.lab for sample in crops.samples}))
    return judged(predictions, temperature, chosen_on, labs)


def judged(
    predictions: Predictions, temperature: float, chosen_on: str, labs: tuple[str, ...]
) -> tuple[Judgement, Confusion]:
    """Acceptance threshold and confusion from calibrated answers to held-out images.

    Args:
        predictions: Of one look at each image.
        temperature: That calibrated them.
        chosen_on: The images, in words.
        labs: Where they come from.
    """
    accepted = accept_threshold(predictions)
    judgement = Judgement(
        temperature=temperature,
        accept_above=accepted.threshold,
        accepted_accuracy=accepted.accuracy,
        accepted_share=accepted.coverage,
        chosen_on=chosen_on,
        sides=SIDES,
    )
    return judgement, confusion(predictions, judgement, chosen_on, labs)


def confusion(
    predictions: Predictions, judgement: Judgement, measured_on: str, labs: tuple[str, ...]
) -> Confusion:
    """What a differential would count the held-out images as, by their true class.

    As reading counts: a cell under the threshold is unsure, unless its likeliest class is no leukocyte.
    """
    classes = in_order(set(predictions.classes))
    place = {key: index for index, key in enumerate(classes)}
    found = predictions.only(predictions.found)
    own = [place[key] for key in found.classes]
    unsure = (found.confidence < judgement.accept_above) & np.array(
        [cell_class(found.classes[index]).leukocyte for index in found.predicted]
    )
    answered = np.where(unsure, len(classes), np.array(own)[found.predicted])
    return confusion_of(
        classes, np.array(own)[found.truth], answered, found.groups, labs=labs, measured_on=measured_on
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
