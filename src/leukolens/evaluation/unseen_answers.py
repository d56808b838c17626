"""What a model said of a laboratory that it never saw, and the file that keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from leukolens.card import Card
from leukolens.datasets.catalogue import dataset_class
from leukolens.errors import DataError
from leukolens.evaluation.answers import Answers
from leukolens.evaluation.official_test import FOUR_CLASSES
from leukolens.evaluation.predictions import Predictions
from leukolens.imaging.framing import Box
from leukolens.taxonomy import in_order

SCHEMA = "leukolens.unseen.answers/1"
FIVE_CLASSES = ("neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte")


@dataclass(frozen=True, slots=True)
class Lab:
    """A laboratory that can be left out, and what is asked there.

    Attributes:
        key: As `Sample.lab` has it.
        dataset: The set that stands for it.
        split: What is asked where the laboratory is called unseen.
        inner_split: What is asked in an inner rotation, which never looks at blood-cells TEST.
        scored: Classes that count, where the model knows them; the set's others are shown.
    """

    key: str
    dataset: str
    split: str
    inner_split: str
    scored: tuple[str, ...]


LABS = (
    Lab("blood-cells", "blood-cells", "test", "train", FOUR_CLASSES),
    Lab("raabin", "raabin-500", "all", "all", FIVE_CLASSES),
    Lab("tecom", "tecom-300", "all", "all", FOUR_CLASSES),  # it has one basophil
    Lab("pbc", "pbc-224", "all", "all", FIVE_CLASSES),
)


def lab_called(key: str) -> Lab:
    """The laboratory of this key.

    Raises:
        DataError: Where none has it.
    """
    for lab in LABS:
        if lab.key == key:
            return lab
    raise DataError(f"no lab {key!r} can be left out", f"Use one of {', '.join(lab.key for lab in LABS)}")


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What one model said of one laboratory.

    Attributes:
        lab: The laboratory.
        left_out: Keys of all that nothing was learned from, sorted: this one, and in an inner rotation the
            outer one.
        split: What was asked.
        date: UTC, ISO 8601.
        commit: Of the code that asked.
        card: The model's.
        bundle_sha256: Its bundle's digest, the detector that was put in included.
        answers: To every image of the split, over all classes that the model or the set knows.
    """

    lab: Lab
    left_out: tuple[str, ...]
    split: str
    date: str
    commit: str
    card: Card
    bundle_sha256: str
    answers: Answers

    @property
    def method(self) -> str:
        """The recipe's name."""
        return self.card.recipe

    @property
    def open(self) -> tuple[str, ...]:
        """The classes among the answers: those of the set that the model knows."""
        return in_order({*dataset_class(self.lab.dataset).classes} & {*self.card.classes})

    @property
    def scored(self) -> tuple[str, ...]:
        """The classes that count."""
        return in_order({*self.lab.scored} & {*self.open})

    def called(self, key: str) -> Iterator[str | None]:
        """What each image of a class was called, of the classes that are open; None without a cell."""
        predictions = self.answers.predictions
        columns = [predictions.classes.index(name) for name in self.open]
        of_class = predictions.truth == predictions.classes.index(key)
        for row in predictions.probabilities[of_class][:, columns]:
            yield None if np.isnan(row).any() else self.open[int(row.argmax())]

    def to_json(self) -> str:
        """The document as text; a probability comes back from it to the bit."""
        answers = self.answers
        head = {
            "schema": SCHEMA,
            "lab": self.lab.key,
            "left_out": list(self.left_out),
            "split": self.split,
            "date": self.date,
            "commit": self.commit,
            "card": self.card.model_dump(mode="json", by_alias=True),
            "bundle_sha256": self.bundle_sha256,
            "decisions": list(answers.decisions),
            "boxes": [None if box is None else [box.x0, box.y0, box.x1, box.y1] for box in answers.boxes],
            "failed": list(answers.failed),
            "predictions": answers.predictions.document(),
        }
        return json.dumps(head, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Asked:
        """What a file holds.

        Raises:
            DataError: Where it is no such document.
        """
        try:
            found: dict[str, Any] = json.loads(text)
            if found["schema"] != SCHEMA:
                raise ValueError(f"schema {found['schema']!r}")
            answers = Answers(
                Predictions.from_document(found["predictions"]),
                tuple(found["decisions"]),
                tuple(None if box is None else Box(*box) for box in found["boxes"]),
                tuple(found["failed"]),
            )
            return cls(
                lab_called(found["lab"]), tuple(found["left_out"]), found["split"], found["date"],
                found["commit"], Card.model_validate(found["card"]), found["bundle_sha256"], answers,
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise DataError(
                f"these answers of an unseen lab cannot be read ({error})", "Delete the file to ask again"
            ) from error
