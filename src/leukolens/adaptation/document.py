"""What an adaptation did, as one JSON document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import leukolens
from leukolens.adaptation.adapt import Adaptation
from leukolens.adaptation.blind import Blind
from leukolens.adaptation.comparison import Change, Comparison
from leukolens.evaluation.entries import INTERVAL, measured

SCHEMA = "leukolens.adapt/1"


def document(adaptation: Adaptation, path: Path) -> dict[str, Any]:
    """The document; what has no value is null.

    Args:
        adaptation: What was done.
        path: Where the new bundle lies.
    """
    parent, new, comparison = adaptation.parent, adaptation.bundle, adaptation.comparison
    part = new.card.adapted
    return {
        "schema": SCHEMA,
        "leukolens": leukolens.__version__,
        "parent": {"name": parent.card.name, "sha256": parent.sha256},
        "bundle": {"name": new.card.name, "sha256": new.sha256, "path": str(path)},
        "method": part.method if part else None,
        "strength": part.strength if part else None,
        "cells": adaptation.cells,
        "unlabelled": adaptation.unlabelled,
        "groups": adaptation.groups,
        "no_cell": adaptation.lost,
        "failed": list(adaptation.failed),
        "verdict": adaptation.verdict,
        "reason": adaptation.reason or None,
        "interval": INTERVAL,
        **(
            _figures(comparison)
            if comparison
            else {"accuracy": None, "balanced_accuracy": None, "classes": []}
        ),
        "blind": _blind(adaptation.blind) if adaptation.blind else None,
        "kept": {"before": adaptation.kept[0], "after": adaptation.kept[1]} if adaptation.kept else None,
        "temperature": {
            "before": parent.card.judgement.temperature,
            "after": new.card.judgement.temperature,
        },
        "accept_above": {
            "before": parent.card.judgement.accept_above,
            "after": new.card.judgement.accept_above,
        },
    }


def _blind(blind: Blind) -> dict[str, Any]:
    return {
        "cells": blind.cells,
        "groups": blind.groups,
        "decides": blind.reason is None,
        "reason": blind.reason,
        **_figures(blind.comparison),
    }


def _figures(comparison: Comparison) -> dict[str, Any]:
    return {
        "accuracy": _change(comparison.accuracy),
        "balanced_accuracy": _change(comparison.balanced),
        "classes": [
            {"class": line.key, "cells": line.cells, "groups": line.groups, "recall": _change(line.recall)}
            for line in comparison.classes
        ],
    }


def _change(change: Change) -> dict[str, dict[str, float | None]]:
    return {
        "before": measured(change.before),
        "after": measured(change.after),
        "difference": measured(change.difference),
    }
