"""The cells of each field as GeoJSON that QuPath opens: one file a field, in pixels of its image.

The keys are those that QuPath 0.4 and later write and read themselves (``QuPathTypeAdapters.java`` and
``GsonTools.java`` in github.com/qupath/qupath, and its pull request 1099, *Improved GeoJSON support*).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from leukolens.errors import ReportError
from leukolens.reading.cell import Cell, FieldReading
from leukolens.report.listing import Listed, field_name, listed_in
from leukolens.report.sample import SampleReport
from leukolens.report.tables import DIGITS, printable
from leukolens.report.writing import whole_file
from leukolens.taxonomy import cell_class

NAMESPACE = uuid5(NAMESPACE_URL, "urn:leukolens:cell")


def write_geojson(report: SampleReport, folder: Path, *, names: bool = False) -> tuple[Path, ...]:
    """Writes ``field-001.geojson`` and so on, numbered by the field's place in the sample.

    A field that could not be read has no file: nothing is known of its pixels. Files of the same name are
    replaced, others stay.

    Args:
        report: The sample.
        folder: Where to write; made where it is missing.
        names: Whether the sample's name and the image's path stand in the file.

    Returns:
        The files, in the fields' order.

    Raises:
        ReportError: Where the folder or a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"{folder} cannot be made ({error.strerror})", "Choose another folder") from error
    written = []
    for number, field in enumerate(report.fields, start=1):
        if field.status == "failed":
            continue
        path = folder / f"{field_name(number)}.geojson"
        with whole_file(path) as stream:
            stream.writelines(_lines(collection(report, number, names=names)))
        written.append(path)
    return tuple(written)


def collection(report: SampleReport, number: int, *, names: bool = False) -> dict[str, Any]:
    """The GeoJSON of one field.

    Args:
        report: The sample.
        number: The field's place in it, counted from 1.
        names: As for `write_geojson`.
    """
    field = report.fields[number - 1]
    about: dict[str, Any] = {
        "leukolens": report.origin.leukolens,
        "bundle": {"name": report.origin.bundle, "sha256": report.origin.bundle_sha256},
        "field": field_name(number),
        "sha256": field.sha256,
        "width": field.width,
        "height": field.height,
    }
    if names:
        about |= {"sample": printable(report.name), "path": printable(str(field.path))}
    features = [_feature(field, item) for item in listed_in(report, number, field)]
    return {"type": "FeatureCollection", "about": about, "features": features}


def _feature(field: FieldReading, item: Listed) -> dict[str, Any]:
    cell, box = item.cell, item.cell.box
    corners = [[box.x0, box.y0], [box.x1, box.y0], [box.x1, box.y1], [box.x0, box.y1], [box.x0, box.y0]]
    # QuPath asks before it takes in an id a second time: the same cell keeps its own, no two share one.
    identity = f"{field.sha256}/{item.field}/{item.number}/{box.x0},{box.y0},{box.x1},{box.y1}"
    verdict = {"class": cell.label, "decision": cell.decision, "counted_as": item.counted_as}
    return {
        "type": "Feature",
        "id": str(uuid5(NAMESPACE, identity)),
        "geometry": {"type": "Polygon", "coordinates": [corners]},
        "properties": {
            "objectType": "detection",
            "name": str(item.number),
            "classification": _classification(cell, item.counted_as),
            "measurements": _measurements(cell),
            **verdict,
            "at_edge": cell.at_edge,
            "reason": cell.reason,
            # The only place, since QuPath 0.5, from which it keeps words; it takes strings alone.
            "metadata": {**verdict, "at_edge": "yes" if cell.at_edge else "no", "reason": cell.reason},
        },
    }


def _classification(cell: Cell, counted: str) -> dict[str, Any]:
    """The class as QuPath names it; a cell outside the counts gets a class derived from it.

    So QuPath's own count of *Neutrophil* is the differential's, and *Neutrophil: unsure* stands beside it.
    """
    kind = cell_class(cell.label)
    colour = list(kind.rgb)
    if counted in {cell.label, "not_leukocyte"}:
        return {"name": kind.name, "color": colour}
    return {"names": [kind.name, counted.replace("_", " ")], "color": colour}


def _measurements(cell: Cell) -> dict[str, float]:
    probabilities = {
        f"probability {key}": round(float(value), DIGITS) for key, value in cell.probabilities.items()
    }
    return {**probabilities, "score": round(float(cell.score), DIGITS)}


def _lines(document: dict[str, Any]) -> Iterator[str]:
    """One line a cell, in plain ASCII, so that two files can be compared by eye."""
    head = {key: value for key, value in document.items() if key != "features"}
    yield json.dumps(head)[:-1] + ', "features": ['
    comma = ""
    for feature in document["features"]:
        yield f"{comma}\n {json.dumps(feature, allow_nan=False)}"
        comma = ","
    yield "\n]}\n"
