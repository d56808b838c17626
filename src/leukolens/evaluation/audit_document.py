"""An audit as one JSON document."""

from __future__ import annotations

import json
from math import isnan
from typing import Any

import leukolens
from leukolens.evaluation.audit import Audit
from leukolens.evaluation.audit_pairs import Pair

SCHEMA = "leukolens.data.audit/1"


def document(audit: Audit) -> dict[str, Any]:
    """The document; what was not looked for is null."""
    return {
        "schema": SCHEMA,
        "leukolens": leukolens.__version__,
        "name": audit.name,
        "root": str(audit.root),
        "images": audit.images,
        "photographs": len(audit.photographs),
        "counts": [
            {
                "split": count.split,
                "class": count.label or None,
                "images": count.images,
                "photographs": count.photographs,
                "numbers_in_names": count.numbers or None,
            }
            for count in audit.counts
        ],
        "leaks": len(audit.leaks),
        "overlaps": [
            {
                "split": overlap.split,
                "other": overlap.other,
                "photographs": overlap.photographs,
                "shared": overlap.shared,
                "whole": overlap.whole,
            }
            for overlap in audit.overlaps
        ],
        "pairs": [_pair(pair) for pair in audit.pairs],
        "fields_compared": audit.fields_compared,
        "originals": None
        if audit.originals is None
        else {
            "at_hand": audit.originals,
            "photographs": [
                {
                    "photograph": found.photograph.key,
                    "original": found.name,
                    "keypoints": found.agreement,
                }
                for found in audit.fields.originals
            ],
            "pairs": [
                {"originals": [one, other], "keypoints": score}
                for one, other, score in audit.fields.original_pairs
            ],
        },
        "second_copies": {
            "compared": audit.fields.compared,
            "unlike_the_first": [image.name for image in audit.fields.strays],
        },
        "unreadable": [{"image": image.name, "reason": image.problem} for image in audit.unreadable],
        "no_cell": [
            {
                "image": lost.image.name,
                "split": lost.image.split,
                "photograph": lost.image.photograph,
                "nucleus_in_view": None if isnan(lost.left) else lost.left,
            }
            for lost in audit.lost
        ],
        "doubtful_labels": None
        if audit.doubtful is None
        else {
            "photographs": audit.predicted,
            "doubts": [
                {
                    "photograph": doubt.group,
                    "class": doubt.label,
                    "probability": doubt.own,
                    "rather": doubt.other,
                    "rather_probability": doubt.others,
                    "copies": doubt.copies,
                    "copies_against": doubt.against,
                    "confident": doubt.confident,
                    "image": doubt.image,
                }
                for doubt in audit.doubtful
            ],
        },
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "kind": pair.kind.replace(" ", "_"),
        "photographs": [pair.a.key, pair.b.key],
        "images": [pair.seen_a.name, pair.seen_b.name],
        "classes": [pair.a.label or None, pair.b.label or None],
        "splits": list(pair.splits),
        "score": pair.score,
        "originals": list(pair.originals) if pair.originals else None,
        "across_splits": pair.across,
        "leak": pair.leak,
        "labels_differ": pair.labels_differ,
    }


def to_json(audit: Audit) -> str:
    """The document as text."""
    return json.dumps(document(audit), indent=1, ensure_ascii=False) + "\n"
