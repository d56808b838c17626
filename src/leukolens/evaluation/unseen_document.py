"""Laboratories never seen, as one JSON document: everything that the page shows, and no picture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import leukolens
from leukolens.evaluation.entries import INTERVAL, measured, mistaken, number
from leukolens.evaluation.unseen_answers import Asked
from leukolens.evaluation.unseen_labs import LabFigures, SeedMean, difference, mean_over_labs

SCHEMA = "leukolens.unseen/1"


@dataclass(frozen=True, slots=True, eq=False)
class Rotated:
    """The whole experiment.

    Attributes:
        command: What was typed.
        outer: The laboratory that inner rotations never touched; None where the rotations are outer ones.
        methods: Names of the recipes; the first is what the others are compared with.
        labs: Keys of the laboratories, in the order of `LABS`.
        figures: Of every recipe on every laboratory, by laboratory, then recipe; a recipe that does not
            learn from a laboratory has none there.
        looks: How many looks at held-out data the ledger holds, these included.
    """

    command: str
    outer: str | None
    methods: tuple[str, ...]
    labs: tuple[str, ...]
    figures: tuple[LabFigures, ...]
    looks: int = 0

    def of(self, lab: str) -> tuple[LabFigures, ...]:
        """A laboratory's figures, in the order of the recipes."""
        return tuple(
            own for method in self.methods for own in self.figures if own.lab == lab and own.method == method
        )


def document(rotated: Rotated) -> dict[str, Any]:
    """The document; what has no value is null, never NaN."""
    return {
        "schema": SCHEMA,
        "leukolens": leukolens.__version__,
        "command": rotated.command,
        "inside": rotated.outer,
        "looks": rotated.looks,
        "methods": [
            {
                "recipe": method,
                "accuracy": number(mean_over_labs(rotated.figures, method, "accuracy")),
                "balanced_accuracy": number(mean_over_labs(rotated.figures, method, "balanced_accuracy")),
            }
            for method in rotated.methods
        ],
        "interval": INTERVAL,
        "labs": [
            {"lab": lab, "recipes": [_recipe(own, rotated.of(lab)[0]) for own in rotated.of(lab)]}
            for lab in rotated.labs
        ],
    }


def to_json(rotated: Rotated) -> str:
    """The document as text."""
    return json.dumps(document(rotated), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _recipe(own: LabFigures, reference: LabFigures) -> dict[str, Any]:
    gained = difference(own, reference) if own is not reference else None
    return {
        "recipe": own.method,
        "compared_with": reference.method if gained else None,
        "accuracy_gained": measured(gained[0]) if gained else None,
        "balanced_accuracy_gained": measured(gained[1]) if gained else None,
        "images": own.images,
        "groups": own.groups,
        "no_cell": own.lost,
        "scored": list(own.scored),
        "asked": list(own.open),
        "accuracy": _seeds(own.accuracy),
        "balanced_accuracy": _seeds(own.balanced_accuracy),
        "accuracy_without_doubtful": _seeds(own.settled) if own.settled else None,
        "ece": _seeds(own.expected_error),
        "brier": _seeds(own.brier),
        "accuracy_of_most_certain_80": _seeds(own.most_certain),
        "accepted": _seeds(own.accepted),
        "accuracy_of_accepted": _seeds(own.accepted_accuracy),
        "classes": [
            {"class": line.key, "images": line.images, "groups": line.groups, "recall": _seeds(line.recall)}
            for line in own.recalls
        ],
        "shown_only": [
            {
                "class": line.key,
                "images": line.images,
                "called": [{"class": name, "images": count} for name, count in line.called],
            }
            for line in own.unscored
        ],
        "runs": [_run(asked) for asked in own.asked],
        "mistakes": [mistaken(mistake) for mistake in own.mistakes],
    }


def _run(asked: Asked) -> dict[str, Any]:
    card, finding = asked.card, asked.card.finding
    return {
        "seed": card.seed,
        "date": asked.date,
        "commit": asked.commit,
        "dataset": asked.lab.dataset,
        "split": asked.split,
        "left_out": list(asked.left_out),
        "learned_from": [part.name for part in card.learned_from],
        "knows": list(card.classes),
        "recipe_sha256": card.recipe_sha256,
        "bundle_sha256": asked.bundle_sha256,
        "framed_by": "detector" if finding else "nucleus",
        "detector_learned_from": [part.name for part in finding.learned_from] if finding else None,
        "temperature": card.judgement.temperature,
        "accept_above": card.judgement.accept_above,
        "chosen_on": card.judgement.chosen_on,
    }


def _seeds(figure: SeedMean) -> dict[str, Any]:
    return {**measured(figure.mean), "seeds": [number(value) for value in figure.values]}
