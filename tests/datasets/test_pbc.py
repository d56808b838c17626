from __future__ import annotations

from collections import Counter

import pytest

from leukolens.datasets.manifest import manifest
from leukolens.datasets.pbc import Pbc
from leukolens.errors import DataError


@pytest.fixture
def pretended(tmp_path):
    for name in manifest("pbc-224"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Pbc(tmp_path)


def test_publishers_classes_become_those_of_the_taxonomy(pretended):
    samples = pretended.samples()
    assert Counter(sample.label for sample in samples) == {
        "basophil": 852,
        "eosinophil": 2181,
        "immature_granulocyte": 2026,
        "lymphocyte": 849,
        "monocyte": 994,
        "neutrophil": 2330,
        "other": 1085 + 1643,
    }
    assert {(sample.lab, sample.split) for sample in samples} == {("pbc", "all")}


def test_identical_images_share_a_group(pretended):
    of_digest = {}
    for sample in pretended.samples():
        entry = manifest("pbc-224")[sample.path.relative_to(pretended.root).as_posix()]
        of_digest.setdefault(entry.sha256, set()).add(sample.group)
    assert all(len(groups) == 1 for groups in of_digest.values())
    group_of = {sample.path.stem: sample.group for sample in pretended.samples()}
    assert group_of["EO_621854"] == group_of["EO_728356"] == "pbc-224/eosinophil/EO_621854"
    # one cell twice, and two cells that stand in each other's crops
    assert group_of["EO_464387"] == group_of["EO_800344"]
    assert group_of["EO_621854"] == group_of["MO_418203"]


def test_an_image_that_is_not_listed_is_an_error(pretended):
    (pretended.root / "monocyte" / "MO_1.jpg").touch()
    with pytest.raises(DataError, match=r"MO_1\.jpg is not an image of pbc-224"):
        pretended.samples()


@pytest.mark.data
def test_the_real_images_are_all_there(data_root):
    assert len(Pbc(data_root / "pbc-224").samples()) == 11960
