"""What a model said of labelled images: the one thing that every figure is computed from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leukolens.errors import DataError
from leukolens.taxonomy import cell_class

SCHEMA = "leukolens.predictions/1"
NO_CELL = -1


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Class probabilities beside the truth, one row an image; the arrays cannot be written to.

    Attributes:
        classes: Class keys, the order of ``probabilities``' columns.
        images: One name an image, unique.
        groups: The source photograph, slide or near-duplicate cluster of each image.
        truth: int64 (n,), index into ``classes``.
        probabilities: float64 (n, classes), each row adding up to 1. A row of NaN is an image in which
            no cell was found; it counts as wrong wherever right and wrong are counted.

    Raises:
        DataError: Where lengths disagree, or a row is no distribution.
    """

    classes: tuple[str, ...]
    images: tuple[str, ...]
    groups: tuple[str, ...]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]

    def __post_init__(self) -> None:
        truth = np.array(self.truth, dtype=np.int64)
        rows = np.array(self.probabilities, dtype=np.float64)
        count, width = len(self.images), len(self.classes)
        if truth.shape != (count,) or len(self.groups) != count or rows.shape != (count, width):
            raise _broken(
                f"{count} images, {len(self.groups)} groups, truth {truth.shape}, "
                f"probabilities {rows.shape} for {width} classes"
            )
        if len(set(self.images)) != count:
            raise _broken("an image stands in them twice")
        if len(set(self.classes)) != width:
            raise _broken(f"a class stands twice in {', '.join(self.classes)}")
        if count and (truth.min() < 0 or truth.max() >= width):
            raise _broken(f"a true class is not one of the {width} classes")
        found = ~np.isnan(rows).any(axis=1)
        if not np.isnan(rows[~found]).all():
            raise _broken("a row is NaN in some classes only")
        if (rows[found] < 0).any() or not np.allclose(rows[found].sum(axis=1), 1, atol=1e-4, rtol=0):
            raise _broken("a row is no probability distribution")
        truth.setflags(write=False)
        rows.setflags(write=False)
        object.__setattr__(self, "truth", truth)
        object.__setattr__(self, "probabilities", rows)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def found(self) -> NDArray[np.bool_]:
        """(n,), whether a cell was found."""
        return np.asarray(~np.isnan(self.probabilities).any(axis=1))

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(n,), index of the most probable class, the first among equals; ``NO_CELL`` without a cell."""
        best = np.nan_to_num(self.probabilities).argmax(axis=1) if len(self) else np.zeros(0, np.int64)
        return np.where(self.found, best, NO_CELL).astype(np.int64)

    @property
    def leukocyte(self) -> NDArray[np.bool_]:
        """(n,), whether the most probable class is a leukocyte; false without a cell."""
        white = np.array([*(cell_class(key).leukocyte for key in self.classes), False])
        return np.asarray(white[self.predicted])  # NO_CELL finds the last

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(n,), whether the most probable class is the true one."""
        return np.asarray(self.predicted == self.truth)

    @property
    def confidence(self) -> NDArray[np.float64]:
        """(n,), probability of the most probable class; NaN where no cell was found."""
        return np.asarray(self.probabilities.max(axis=1, initial=0.0))

    def only(self, mask: NDArray[np.bool_]) -> Predictions:
        """The images where ``mask``, bool (n,), is true, in the same order."""
        chosen = np.flatnonzero(mask)
        return Predictions(
            self.classes,
            tuple(self.images[index] for index in chosen),
            tuple(self.groups[index] for index in chosen),
            self.truth[chosen],
            self.probabilities[chosen],
        )

    def restricted(self, classes: Sequence[str]) -> Predictions:
        """The same images asked of fewer classes: their probabilities, scaled to add up to 1.

        A row whose chosen classes have no probability at all becomes NaN: nothing was answered.

        Raises:
            DataError: Where a class is not known here, or an image's true class is not among them.
        """
        unknown = [key for key in classes if key not in self.classes]
        if unknown:
            raise _broken(f"no class {', '.join(unknown)} among {', '.join(self.classes)}")
        columns = [self.classes.index(key) for key in classes]
        position = np.full(len(self.classes), -1, dtype=np.int64)
        position[columns] = np.arange(len(columns))
        truth = position[self.truth]
        if (truth < 0).any():
            outside = sorted({self.classes[index] for index in self.truth[truth < 0]})
            raise _broken(f"images of {', '.join(outside)} cannot be asked of {', '.join(classes)} alone")
        chosen = self.probabilities[:, columns]
        total = chosen.sum(axis=1, keepdims=True)
        scaled = np.divide(chosen, total, out=np.full_like(chosen, np.nan), where=total > 0)
        return Predictions(tuple(classes), self.images, self.groups, truth, scaled)

    def document(self) -> dict[str, Any]:
        """The JSON document; an image without a cell has null for its answer and probabilities."""
        predicted, correct = self.predicted, self.correct
        return {
            "schema": SCHEMA,
            "classes": list(self.classes),
            "images": [
                {
                    "image": image,
                    "group": group,
                    "truth": self.classes[truth],
                    "predicted": None if answer == NO_CELL else self.classes[answer],
                    "correct": bool(right),
                    "probabilities": None
                    if answer == NO_CELL
                    else dict(zip(self.classes, row.tolist(), strict=True)),
                }
                for image, group, truth, answer, right, row in zip(
                    self.images, self.groups, self.truth, predicted, correct, self.probabilities, strict=True
                )
            ],
        }

    def to_json(self) -> str:
        """The document as text, one line an image; probabilities come back from it to the bit."""
        document = self.document()
        rows = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in document["images"])
        head = json.dumps({"schema": document["schema"], "classes": document["classes"]}, ensure_ascii=False)
        return f'{head[:-1]}, "images": [\n  {rows}\n]}}\n' if rows else f'{head[:-1]}, "images": []}}\n'

    @classmethod
    def from_document(cls, document: Any) -> Predictions:
        """The predictions of a JSON document.

        Raises:
            DataError: Where it is none.
        """
        try:
            if document["schema"] != SCHEMA:
                raise _broken(f"schema {document['schema']!r} is not {SCHEMA!r}")
            classes = tuple(document["classes"])
            rows = document["images"]
            nothing = dict.fromkeys(classes, float("nan"))
            return cls(
                classes,
                tuple(row["image"] for row in rows),
                tuple(row["group"] for row in rows),
                np.array([classes.index(row["truth"]) for row in rows], dtype=np.int64),
                np.array(
                    [[(row["probabilities"] or nothing)[key] for key in classes] for row in rows],
                    dtype=np.float64,
                ).reshape(len(rows), len(classes)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _broken(f"not a document of predictions ({error})") from error

    @classmethod
    def from_json(cls, text: str) -> Predictions:
        """The predictions in this text.

        Raises:
            DataError: Where it holds none.
        """
        try:
            return cls.from_document(json.loads(text))
        except json.JSONDecodeError as error:
            raise _broken(f"not JSON ({error})") from error


def _broken(problem: str) -> DataError:
    return DataError(
        f"these predictions do not hold together: {problem}", "Make them again with `leukolens evaluate`"
    )
