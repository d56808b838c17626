"""The cells of a sample as one COCO document: boxes with classes, for training and comparing detectors.

The format is the *object detection* one of cocodataset.org/#format-data, with ``score`` as in its results
format, and ``attributes`` as CVAT and FiftyOne write and read them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from leukolens.report.listing import Listed, field_name, listed_in
from leukolens.report.sample import SampleReport
from leukolens.report.tables import DIGITS, printable
from leukolens.report.writing import whole_file
from leukolens.taxonomy import CLASSES

# A number once given stays: files written years apart must agree. A new class gets the next free one.
CATEGORY_IDS = {
    "neutrophil": 1,
    "eosinophil": 2,
    "basophil": 3,
    "lymphocyte": 4,
    "monocyte": 5,
    "immature_granulocyte": 6,
    "other": 7,
}


def write_coco(report: SampleReport, path: Path, *, names: bool = False) -> None:
    """Writes the sample's COCO document.

    Args:
        report: The sample.
        path: Where to write; an existing file is replaced.
        names: Whether the sample's name and the images' paths stand in it.

    Raises:
        ReportError: Where it cannot be written.
    """
    content = document(report, names=names)
    with whole_file(path) as stream:
        json.dump(content, stream, indent=1, allow_nan=False)
        stream.write("\n")


def document(report: SampleReport, *, names: bool = False) -> dict[str, Any]:
    """The COCO document. Image ids are the fields' places in the sample, counted from 1.

    A field that could not be read is left out: COCO has no image without a size.

    Args:
        report: The sample.
        names: As for `write_coco`.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, field in enumerate(report.fields, start=1):
        if field.status == "failed":
            continue
        file_name = printable(str(field.path)) if names else field_name(number)
        size = {"width": field.width, "height": field.height}
        images.append({"id": number, **size, "file_name": file_name, "sha256": field.sha256})
        for item in listed_in(report, number, field):
            annotations.append(_annotation(len(annotations) + 1, item))
    return {
        "info": _info(report, names=names),
        "licenses": [],
        "images": images,
        "categories": [
            {
                "id": CATEGORY_IDS[kind.key],
                "name": kind.key,
                "supercategory": "leukocyte" if kind.leukocyte else "other",
            }
            for kind in CLASSES
        ],
        "annotations": annotations,
    }


def _annotation(number: int, item: Listed) -> dict[str, Any]:
    cell, box = item.cell, item.cell.box
    return {
        "id": number,
        "image_id": item.field,
        "category_id": CATEGORY_IDS[cell.label],
        "bbox": [box.x0, box.y0, box.width, box.height],
        "area": box.width * box.height,
        "segmentation": [],
        "iscrowd": 0,
        "score": round(float(cell.score), DIGITS),
        "attributes": {
            "probability": round(float(item.certainty), DIGITS),
            "decision": cell.decision,
            "counted_as": item.counted_as,
            "at_edge": cell.at_edge,
        },
    }


def _info(report: SampleReport, *, names: bool) -> dict[str, Any]:
    # No date: equal input gives equal bytes.
    about: dict[str, Any] = {
        "description": "White blood cells found and named by Leukolens. For research and education.",
        "version": report.origin.leukolens,
        "bundle": {"name": report.origin.bundle, "sha256": report.origin.bundle_sha256},
    }
    return {**about, "sample": printable(report.name)} if names else about
