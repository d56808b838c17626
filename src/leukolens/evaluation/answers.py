"""Asks a reader about labelled images, and keeps what it answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from leukolens.bundle import Bundle
from leukolens.datasets.base import Sample
from leukolens.evaluation.predictions import NO_CELL, Predictions
from leukolens.imaging.framing import Box
from leukolens.reading.cell import ImageReading
from leukolens.taxonomy import in_order

MISTAKES_SHOWN = 24
Watch = Callable[[Iterator[ImageReading], int], Iterable[ImageReading]]


class Identifies(Protocol):
    """What `leukolens.Reader` does: names the white cell in every image, in order."""

    @property
    def bundle(self) -> Bundle:
        """What it names them with."""

    def identify(self, sources: Iterable[Path]) -> Iterator[ImageReading]:
        """One reading an image."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What was answered, image by image.

    Attributes:
        predictions: Calibrated probabilities of all classes that the bundle or the data set knows; a class
            that the bundle doesn't know has none.
        decisions: (n,), *accept*, *review*, *unknown*, or *no cell*.
        boxes: (n,), what was framed; None without a cell.
        failed: ``image: reason`` of every image that could not be read; they count as wrong, too.
    """

    predictions: Predictions
    decisions: tuple[str, ...]
    boxes: tuple[Box | None, ...]
    failed: tuple[str, ...]

    def only(self, mask: NDArray[np.bool_]) -> Answers:
        """The images where ``mask``, bool (n,), is true, in the same order."""
        predictions, chosen = self.predictions.only(mask), np.flatnonzero(mask)
        kept = set(predictions.images)
        return Answers(
            predictions,
            tuple(self.decisions[index] for index in chosen),
            tuple(self.boxes[index] for index in chosen),
            tuple(line for line in self.failed if line.split(": ", 1)[0] in kept),
        )


def ask(reader: Identifies, samples: Sequence[Sample], root: Path, watch: Watch | None = None) -> Answers:
    """The reader's answers to these samples.

    Args:
        reader: To ask.
        samples: Whose images to identify.
        root: Images are named by their path below it.
        watch: Passes the readings on, told how many there will be; shows how far they are.
    """
    known = reader.bundle.card.classes
    classes = in_order({*known, *(sample.label for sample in samples)})
    rows = np.full((len(samples), len(classes)), np.nan)
    decisions: list[str] = []
    boxes: list[Box | None] = []
    failed = []
    names = tuple(_name(sample.path, root) for sample in samples)
    readings = reader.identify(sample.path for sample in samples)
    for index, reading in enumerate(watch(readings, len(samples)) if watch else readings):
        if reading.status == "ok":
            cell = reading.cells[0]
            rows[index] = [cell.probabilities.get(key, 0.0) for key in classes]
            decisions.append(cell.decision)
            boxes.append(cell.box)
        else:
            decisions.append("no cell")
            boxes.append(None)
            if reading.status == "failed":
                failed.append(f"{names[index]}: {reading.reason}")
    predictions = Predictions(
        classes,
        names,
        tuple(sample.group for sample in samples),
        np.array([classes.index(sample.label) for sample in samples], dtype=np.int64),
        rows,
    )
    return Answers(predictions, tuple(decisions), tuple(boxes), tuple(failed))


@dataclass(frozen=True, slots=True)
class Mistake:
    """The surest wrong answer about one photograph.

    Attributes:
        image: The copy's name.
        group: The photograph.
        truth: Its class.
        predicted: What was answered, None where no cell was found.
        confidence: Probability of the answer; 0 where no cell was found.
        decision: What was decided of it.
        box: What was framed.
        wrong: Copies of the photograph whose answer is wrong.
        copies: Copies of the photograph.
    """

    image: str
    group: str
    truth: str
    predicted: str | None
    confidence: float
    decision: str
    box: Box | None
    wrong: int
    copies: int


def worst_mistakes(predictions: Predictions, answers: Answers) -> tuple[Mistake, ...]:
    """The surest wrong answer about each photograph, the surest first."""
    wrong = np.flatnonzero(~predictions.correct)
    confidence = np.nan_to_num(predictions.confidence)
    answered = predictions.predicted
    copies, of_these_wrong = _count(predictions.groups), _count(predictions.groups[index] for index in wrong)
    found: dict[str, Mistake] = {}
    for index in wrong[np.argsort(-confidence[wrong], kind="stable")]:
        group = predictions.groups[index]
        if group not in found:
            found[group] = Mistake(
                predictions.images[index],
                group,
                predictions.classes[predictions.truth[index]],
                None if answered[index] == NO_CELL else predictions.classes[answered[index]],
                float(confidence[index]),
                answers.decisions[index],
                answers.boxes[index],
                of_these_wrong[group],
                copies[group],
            )
    return tuple(found.values())[:MISTAKES_SHOWN]


def _count(groups: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for group in groups:
        counts[group] = counts.get(group, 0) + 1
    return counts


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
