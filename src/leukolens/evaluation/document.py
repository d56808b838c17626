"""An evaluation as one JSON document, with every probability, so that any figure can be computed again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

import leukolens
from leukolens.evaluation.entries import INTERVAL, measured, mistaken, number
from leukolens.evaluation.evaluate import Evaluation
from leukolens.evaluation.measures import Headline, confusion_of

SCHEMA = "leukolens.evaluate/1"


def document(evaluation: Evaluation) -> dict[str, Any]:
    """The document; what has no value is null, never NaN."""
    card, looks = evaluation.card, evaluation.looks
    return {
        "schema": SCHEMA,
        "leukolens": leukolens.__version__,
        "date": evaluation.date,
        "commit": evaluation.commit,
        "command": evaluation.command,
        "bundle": {
            "name": card.name,
            "sha256": evaluation.bundle_sha256,
            "network": card.network,
            "parameters": card.parameters,
            "recipe": card.recipe,
            "recipe_sha256": card.recipe_sha256,
            "seed": card.seed,
            "classes": list(card.classes),
            "temperature": card.judgement.temperature,
            "accept_above": card.judgement.accept_above,
        },
        "dataset": {
            "name": evaluation.dataset,
            "split": evaluation.split,
            "learned_from": evaluation.learned_from,
        },
        "asked": list(evaluation.asked),
        "restricted": evaluation.unrestricted is not None,
        "looks": {"all": looks.all, "here": looks.here} if looks else None,
        "interval": INTERVAL,
        "headline": _headline(evaluation.headline),
        "unrestricted": _headline(evaluation.unrestricted) if evaluation.unrestricted else None,
        "variants": [
            {
                "name": variant.name,
                "description": variant.description,
                "left_out": list(variant.left_out),
                **_headline(variant.headline),
            }
            for variant in evaluation.variants
        ],
        "classes": [
            {
                "class": line.key,
                "images": line.images,
                "groups": line.groups,
                "right_groups": line.right_groups,
                "precision": measured(line.precision),
                "recall": measured(line.recall),
                "f1": measured(line.f1),
                "auc": measured(line.area),
            }
            for line in evaluation.classes
        ],
        "confusion": {
            "rows": list(evaluation.asked),
            "columns": [*evaluation.asked, "no cell"],
            "images": confusion_of(evaluation.predictions).astype(int).tolist(),
        },
        "calibration": _calibration(evaluation),
        "coverage": {
            "coverage": _numbers(evaluation.coverage.coverage),
            "accuracy": _numbers(
                np.interp(
                    evaluation.coverage.coverage,
                    evaluation.coverage.curve.coverage,
                    evaluation.coverage.curve.accuracy,
                )
                if len(evaluation.coverage.coverage)
                else evaluation.coverage.coverage
            ),
            "low": _numbers(evaluation.coverage.low),
            "high": _numbers(evaluation.coverage.high),
        },
        "decisions": [
            {
                "decision": line.decision,
                "images": line.images,
                "share": measured(line.share),
                "accuracy": measured(line.accuracy),
            }
            for line in evaluation.decisions
        ],
        "sets": [
            {
                "class": line.label,
                "images": line.images,
                "coverage": measured(line.coverage),
                "size": line.size,
                "empty": line.empty,
            }
            for line in evaluation.sets
        ],
        "mistakes": [mistaken(mistake) for mistake in evaluation.mistakes],
        "failed": list(evaluation.failed),
        "predictions": evaluation.predictions.document(),
    }


def to_json(evaluation: Evaluation) -> str:
    """The document as text: indented, but one line an image."""
    whole = document(evaluation)
    whole["predictions"] = None
    text = json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False)
    return (
        text.replace('"predictions": null', '"predictions": ' + evaluation.predictions.to_json().strip())
        + "\n"
    )


def _headline(line: Headline) -> dict[str, Any]:
    return {
        "images": line.images,
        "groups": line.groups,
        "no_cell": line.lost,
        "accuracy": measured(line.accuracy),
        "balanced_accuracy": measured(line.balanced_accuracy),
        "photograph_accuracy": measured(line.photograph_accuracy),
    }


def _calibration(evaluation: Evaluation) -> dict[str, Any]:
    calibration = evaluation.calibration
    return {
        "ece": measured(calibration.expected_error),
        "brier": measured(calibration.brier),
        "log_loss": measured(calibration.log_loss),
        "bins": [
            {
                "images": float(count),
                "confidence": float(confidence),
                "accuracy": float(accuracy),
                "low": interval.low if interval else None,
                "high": interval.high if interval else None,
            }
            for count, confidence, accuracy, interval in zip(
                calibration.bins.count,
                calibration.bins.confidence,
                calibration.bins.accuracy,
                calibration.bin_intervals,
                strict=True,
            )
        ],
    }


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    return [number(value) for value in values.tolist()]
