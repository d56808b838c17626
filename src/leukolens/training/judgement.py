"""When an answer is safe to give: chosen on held-out images, kept as a small file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leukolens.bundle import SUFFIX, Judgement, load
from leukolens.errors import TrainingError
from leukolens.evaluation.calibration import accept_threshold, fit_temperature, softmax
from leukolens.evaluation.predictions import Predictions
from leukolens.training.checkpoint import write_atomically
from leukolens.training.crops import Crops


def judge(logits: NDArray[np.float32], crops: Crops, classes: list[str], chosen_on: str) -> Judgement:
    """Temperature and acceptance threshold from held-out images."""
    temperature = fit_temperature(logits, crops.truth)
    predictions = Predictions(
        tuple(classes),
        tuple(sample.path.as_posix() for sample in crops.samples),
        tuple(sample.group for sample in crops.samples),
        crops.truth,
        softmax(logits.astype(np.float64), temperature),
    )
    accepted = accept_threshold(predictions)
    return Judgement(
        temperature=temperature,
        accept_above=accepted.threshold,
        accepted_accuracy=accepted.accuracy,
        accepted_share=accepted.coverage,
        chosen_on=chosen_on,
    )


def write_judgement(judgement: Judgement, epoch: int, path: Path) -> None:
    """Writes what cross-fitting chose, for `read_judgement`."""
    document = {"epoch": epoch, "judgement": judgement.model_dump()}
    write_atomically(path, (json.dumps(document, indent=1) + "\n").encode())


def read_judgement(path: Path) -> tuple[Judgement, int | None]:
    """The judgement and the epoch that cross-fitting chose; from a bundle its judgement alone.

    Raises:
        TrainingError: Where the file is neither.
        BundleError: Where it is a damaged bundle.
    """
    if path.suffix == SUFFIX:
        return load(path).card.judgement, None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return Judgement.model_validate(document["judgement"]), int(document["epoch"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path} is no judgement of a cross-fit",
            f"Name the judgement.json that it wrote, or a {SUFFIX} bundle",
        ) from error
