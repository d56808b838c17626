from __future__ import annotations

import gzip
import hashlib
import re
from importlib import resources

import pytest

from leukolens.datasets.catalogue import NAMES
from leukolens.datasets.manifest import manifest
from leukolens.errors import DataError

FOLDER = resources.files("leukolens.datasets").joinpath("manifests")
FILES = {"blood-cells": 12516, "bccd": 733, "pbc-224": 11960, "raabin-500": 501, "tecom-300": 602}


@pytest.mark.parametrize("name", NAMES)
def test_a_manifest_lists_names_sizes_and_digests(name):
    known = manifest(name)
    assert len(known) == FILES[name]
    for key, entry in known.items():
        assert key == entry.name
        assert entry.size > 0
        assert re.fullmatch("[0-9a-f]{64}", entry.sha256)
        parts = entry.name.split("/")
        assert "\\" not in entry.name
        assert not {"", ".", ".."} & set(parts)


@pytest.mark.data
@pytest.mark.parametrize("name", NAMES)
def test_a_manifest_is_what_the_images_are(name, data_root):
    folder = data_root / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not at {folder}")
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    known = manifest(name)
    assert set(known) == set(there)
    wrong = [
        key
        for key, path in there.items()
        if hashlib.sha256(path.read_bytes()).hexdigest() != known[key].sha256
    ]
    assert wrong == []
    assert all(path.stat().st_size == known[key].size for key, path in there.items())


def test_the_manifests_are_small_and_carry_no_date():
    tables = [table for table in FOLDER.iterdir() if table.name.endswith(".csv.gz")]
    assert {table.name.removesuffix(".csv.gz") for table in tables} == set(NAMES)
    assert sum(len(table.read_bytes()) for table in tables) < 1_500_000
    for table in tables:
        content = table.read_bytes()
        assert content[4:8] == bytes(4)
        assert b"\r" not in gzip.decompress(content)


def test_a_set_without_a_manifest_is_named():
    with pytest.raises(DataError, match="no manifest for tiny"):
        manifest("tiny")
