"""A field's reading as an entry of JSON, and back, without loss: what a journal keeps of a field that is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from leukolens.errors import ReportError
from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, Decision, FieldReading, Status
from leukolens.taxonomy import ALL_CLASSES, CLASS_KEYS, UNSURE

REVIEWED = (*(kind.key for kind in ALL_CLASSES), UNSURE)


def field_entry(field: FieldReading) -> dict[str, Any]:
    """A field as JSON holds it without loss: `field_from_entry` gives back an equal one."""
    return {
        "path": str(field.path),
        "sha256": field.sha256,
        "status": field.status,
        "reason": field.reason,
        "width": field.width,
        "height": field.height,
        "pixels_per_micrometre": field.pixels_per_micrometre,
        "red_cells": field.red_cells,
        "platelets": field.platelets,
        "cells": [
            {
                "box": [cell.box.x0, cell.box.y0, cell.box.x1, cell.box.y1],
                "probabilities": {key: float(value) for key, value in cell.probabilities.items()},
                "decision": cell.decision,
                "reason": cell.reason,
                "at_edge": cell.at_edge,
                "score": float(cell.score),
                "distance": None if cell.distance is None else float(cell.distance),
                "set": None if cell.class_set is None else list(cell.class_set),
                **({} if cell.reviewed is None else {"reviewed": cell.reviewed}),
            }
            for cell in field.cells
        ],
    }


def field_from_entry(entry: dict[str, Any]) -> FieldReading:
    """The field of an entry that `field_entry` made; keys that it doesn't know are passed over.

    Raises:
        ReportError: Where the entry is none of a field.
    """
    try:
        scale = entry["pixels_per_micrometre"]
        return FieldReading(
            path=Path(entry["path"]),
            status=_one_of(get_args(Status), entry["status"]),
            reason=None if entry["reason"] is None else str(entry["reason"]),
            sha256=str(entry["sha256"]),
            width=int(entry["width"]),
            height=int(entry["height"]),
            cells=tuple(_cell_from_entry(cell) for cell in entry["cells"]),
            red_cells=int(entry["red_cells"]),
            platelets=int(entry["platelets"]),
            pixels_per_micrometre=None if scale is None else float(scale),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ReportError(
            f"this is no entry of a field ({type(error).__name__}: {error})", "Read the field again"
        ) from error


def _cell_from_entry(entry: dict[str, Any]) -> Cell:
    x0, y0, x1, y1 = (int(end) for end in entry["box"])
    distance, possible, reviewed = entry.get("distance"), entry.get("set"), entry.get("reviewed")
    return Cell(
        box=Box(x0, y0, x1, y1),
        probabilities={
            _one_of(CLASS_KEYS, key): float(value) for key, value in entry["probabilities"].items()
        },
        decision=_one_of(get_args(Decision), entry["decision"]),
        reason=str(entry["reason"]),
        at_edge=bool(entry["at_edge"]),
        score=float(entry["score"]),
        distance=None if distance is None else float(distance),
        class_set=None if possible is None else tuple(_one_of(CLASS_KEYS, key) for key in possible),
        reviewed=None if reviewed is None else _one_of(REVIEWED, reviewed),
    )


def _one_of(known: tuple[Any, ...], value: object) -> Any:
    if value not in known:
        raise ValueError(f"{value!r} is none of {', '.join(known)}")
    return value
