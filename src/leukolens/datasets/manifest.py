"""What a data set's files should be: names, sizes, digests, and what pictures told about their groups.

The tables are made by ``scripts/make_manifests.py`` from the images and committed; nothing here opens
an image. ``<name>.csv.gz`` has the columns ``name,size,sha256`` and, where pictures were compared,
``group`` and ``field``; rows that were not part of a comparison leave them empty.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from io import StringIO
from types import MappingProxyType

from leukolens.errors import DataError


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a data set.

    Attributes:
        name: Path below the data set's folder, with forward slashes.
        size: Bytes.
        sha256: Digest, lower-case hexadecimal.
        label: Class key where the publisher's own files don't say it; else empty.
        group: Source photograph or near-duplicate cluster where pixels were needed to know it; else empty.
        field: What photographs of one piece of smear share, where several do; else empty.
    """

    name: str
    size: int
    sha256: str
    label: str = ""
    group: str = ""
    field: str = ""


@cache
def manifest(name: str) -> Mapping[str, Entry]:
    """The files of the data set of this name, by their own names.

    Raises:
        DataError: Where this installation has no manifest for it.
    """
    table = resources.files("leukolens.datasets").joinpath("manifests", f"{name}.csv.gz")
    if not table.is_file():
        raise DataError(f"this installation has no manifest for {name}", "Install a release of Leukolens")
    text = gzip.decompress(table.read_bytes()).decode()
    return MappingProxyType(
        {
            row["name"]: Entry(
                row["name"],
                int(row["size"]),
                row["sha256"],
                row.get("label", ""),
                row.get("group", ""),
                row.get("field", ""),
            )
            for row in csv.DictReader(StringIO(text))
        }
    )
