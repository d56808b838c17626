"""Makes the committed manifests: names, sizes and digests of every file, and the groups that pictures tell.

    python scripts/make_manifests.py --data DIR [--only NAME ...] [--out DIR]

Half an hour on one core, most of it for pbc-224 and blood-cells. Equal images give equal bytes.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import logging
import re
from collections import defaultdict
from dataclasses import asdict, fields, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from leukolens.datasets import manifest
from leukolens.datasets.bccd import Bccd
from leukolens.datasets.blood_cells import photograph
from leukolens.datasets.catalogue import NAMES
from leukolens.datasets.labels import class_called
from leukolens.datasets.manifest import Entry
from leukolens.datasets.matching import (
    SAME_FIELD,
    FieldIndex,
    Keypoints,
    agreement,
    alike,
    clusters,
    fingerprint,
    keypoints,
)
from leukolens.imaging.decode import SUFFIXES, decode

OUT = Path(manifest.__file__).parent / "manifests"
BLOOD_CELLS_SIZE = (320, 240)
CROP_SIZE = (224, 224)
ALIKE = 0.9
VOTERS = 24

log = logging.getLogger("make_manifests")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the data sets")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write the manifests to")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="data sets to do")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name in asked.only:
        entries = listed(asked.data / name)
        if name in {"blood-cells", "bccd"}:
            tables = photographs(asked.data)
            entries = {file: known(entry, tables[name].get(file, {})) for file, entry in entries.items()}
        else:
            for file, group in near_copies(name, asked.data / name, entries).items():
                entries[file] = replace(entries[file], group=group)
        write(entries, asked.out / f"{name}.csv.gz")


def listed(folder: Path) -> dict[str, Entry]:
    """Every file below the folder, sorted by name."""
    found = {}
    for path in sorted(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.as_posix()
    ):
        name, content = path.relative_to(folder).as_posix(), path.read_bytes()
        found[name] = Entry(name, len(content), hashlib.sha256(content).hexdigest())
    return found


def known(entry: Entry, told: dict[str, str]) -> Entry:
    return replace(
        entry, label=told.get("label", ""), group=told.get("group", ""), field=told.get("field", "")
    )


def write(entries: dict[str, Entry], path: Path) -> None:
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, [field.name for field in fields(Entry)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(entry) for entry in entries.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))
    log.info("%s: %d files, %d bytes", path.name, len(entries), path.stat().st_size)


@cache
def photographs(data: Path) -> dict[str, dict[str, dict[str, str]]]:
    """Label, group and field of each image of blood-cells and of bccd, by set and name."""
    originals = Bccd(data / "bccd").photographs()
    numbers = [int(path.stem.rpartition("_")[2]) for path in originals]
    shown = [keypoints(resized(decode(path), BLOOD_CELLS_SIZE)) for path in originals]
    groups = source_photographs(data / "blood-cells", shown, numbers)
    group_of = {number: f"blood-cells/BCCD/{number}" for number in numbers} | {
        int(number): group for group in set(groups.values()) if (number := group.rpartition("/")[2]).isdigit()
    }
    field_of = shared_fields(shown, [group_of[number] for number in numbers])
    subtypes = single_subtypes(data)
    return {
        "blood-cells": {
            name: {"group": group, "field": field_of.get(group, "")} for name, group in groups.items()
        },
        "bccd": {
            path.relative_to(data / "bccd").as_posix(): {
                "label": subtypes.get(number, ""),
                "group": group_of[number],
                "field": field_of.get(group_of[number], ""),
            }
            for path, number in zip(originals, numbers, strict=True)
        },
    }


def source_photographs(root: Path, shown: list[Keypoints], numbers: list[int]) -> dict[str, str]:
    """The group of every image of blood-cells: the BCCD photograph that it shows.

    The number in a file name is no help: it counts along one shuffled pass of the augmentation, so copies of
    one photograph bear many numbers. What shows no photograph of BCCD is grouped among itself.
    """
    index = FieldIndex(shown)
    groups: dict[str, str] = {}
    absent: dict[tuple[str, str], list[tuple[str, Keypoints]]] = defaultdict(list)
    paths = sorted((root / "images").glob("*/*/*.jpeg"))
    for done, path in enumerate(paths):
        if done % 1000 == 0:
            log.info("blood-cells: %d of %d", done, len(paths))
        name, (folder, label) = path.relative_to(root).as_posix(), path.parts[-3:-1]
        found = keypoints(decode(path))
        best = index.search(found)
        if best and best[0][1] >= SAME_FIELD:
            groups[name] = photograph(folder, label, numbers[best[0][0]])
        else:
            absent[folder, label].append((name, found))
    for (folder, label), copies in sorted(absent.items()):
        pairs = [
            (a, b)
            for a in range(len(copies))
            for b in range(a)
            if max(agreement(view, copies[b][1]) for view in (copies[a][1], copies[a][1].mirrored()))
            >= SAME_FIELD
        ]
        roots = clusters(len(copies), pairs)
        for (name, _), first in zip(copies, roots, strict=True):
            groups[name] = photograph(folder, label, f"absent-{sorted(set(roots)).index(first) + 1}")
    return groups


def shared_fields(shown: list[Keypoints], groups: list[str]) -> dict[str, str]:
    """For each group whose piece of smear another photograph shows too: the field's key.

    It is the first of the groups, TEST's before all others, so that the key tells whether TEST has a part in it.
    """
    pairs = [
        (a, b)
        for a in range(len(shown))
        for b in range(a)
        if max(agreement(shown[a], shown[b], SAME_FIELD), agreement(shown[b], shown[a], SAME_FIELD))
        >= SAME_FIELD
    ]
    log.info("bccd: %d pairs of photographs share a field", len(pairs))
    together = defaultdict(list)
    for group, first in zip(groups, clusters(len(shown), pairs), strict=True):
        together[first].append(group)
    return {
        group: min(members, key=lambda member: ("/TEST/" not in member, member))
        for members in together.values()
        if len(members) > 1
        for group in members
    }


def single_subtypes(data: Path) -> dict[int, str]:
    """The class of each BCCD photograph with one boxed white cell and one subtype in the table, by number."""
    bccd, known = Bccd(data / "bccd"), {}
    boxed = {
        int(path.stem.rpartition("_")[2]): sum(box.kind == "white_cell" for box in bccd.boxes(path))
        for path in bccd.photographs()
    }
    with (data / "blood-cells" / "labels.csv").open(encoding="utf-8-sig", newline="") as stream:
        for row in csv.DictReader(stream):
            label = class_called(row["Category"]) if "," not in row["Category"] else None
            if label and boxed.get(int(row["Image"])) == 1:
                known[int(row["Image"])] = label
    return known


def near_copies(name: str, root: Path, entries: dict[str, Entry]) -> dict[str, str]:
    """The group of each image of the set: its cluster of near copies and overlapping crops."""
    images = [
        file for file in entries if Path(file).suffix.lower() in SUFFIXES and not file.startswith("masks/")
    ]
    seen = [resized(decode(root / file), CROP_SIZE) for file in images]
    shown = [keypoints(rgb) for rgb in seen]
    index = FieldIndex(shown, VOTERS)
    candidates = {(a, b) for a, b, _ in alike(np.stack([fingerprint(rgb) for rgb in seen]), ALIKE)}
    for a, found in enumerate(shown):
        if a % 1000 == 0:
            log.info("%s: %d of %d, %d pairs to judge", name, a, len(shown), len(candidates))
        candidates |= {(min(a, b), max(a, b)) for b, _ in index.search(found, mirrored=False, besides=a)}
    pairs = [
        (a, b)
        for a, b in sorted(candidates)
        if max(agreement(shown[a], shown[b], SAME_FIELD), agreement(shown[b], shown[a], SAME_FIELD))
        >= SAME_FIELD
    ]
    log.info("%s: %d pairs of near copies: %s", name, len(pairs), [(images[a], images[b]) for a, b in pairs])
    if name == "raabin-500":
        # slide_photograph_cell or date_time_cell: crops of one photograph overlap or share its light.
        origin = [re.sub(r"_\d+$", "", Path(file).stem) for file in images]
        pairs += [(origin.index(one), at) for at, one in enumerate(origin)]
    return {
        file: f"{name}/{Path(images[first]).with_suffix('').as_posix()}"
        for file, first in zip(images, clusters(len(images), pairs), strict=True)
    }


def resized(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The image at this width and height, in pixels."""
    method = cv2.INTER_AREA if rgb.shape[1] > size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, size, interpolation=method), np.uint8)


if __name__ == "__main__":
    main()
