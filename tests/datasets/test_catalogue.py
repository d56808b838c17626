from __future__ import annotations

import pytest

from leukolens.datasets.catalogue import NAMES, dataset_class, open_dataset
from leukolens.datasets.folder import Folder
from leukolens.datasets.manifest import manifest
from leukolens.errors import DataError
from leukolens.taxonomy import CLASS_KEYS


def test_the_published_sets_go_by_these_names():
    assert NAMES == ("blood-cells", "bccd", "pbc-224", "raabin-500", "tecom-300")


@pytest.mark.parametrize("name", NAMES)
def test_every_set_says_what_it_is(name):
    kind = dataset_class(name)
    assert kind.name == name
    assert kind.lab
    assert [key for key in CLASS_KEYS if key in kind.classes] == list(kind.classes)
    publication = kind.publication
    assert publication.title
    assert publication.licence
    assert publication.source.startswith("https://")
    assert (publication.download is None) == bool(publication.steps)
    assert not publication.verified
    known = manifest(name)
    assert all(any(file.startswith(landmark) for file in known) for landmark in kind.landmarks)
    assert set(kind.conversions) <= set(known)


def test_only_free_licences_are_permissive():
    permissive = {name for name in NAMES if dataset_class(name).publication.permissive}
    assert permissive == {"blood-cells", "bccd", "pbc-224"}


def test_bccd_and_blood_cells_are_one_laboratory():
    labs = {name: dataset_class(name).lab for name in NAMES}
    assert labs["bccd"] == labs["blood-cells"]
    assert len(set(labs.values())) == len(NAMES) - 1


def test_a_name_opens_the_folder_below_the_root(tmp_path):
    with pytest.raises(DataError, match=r"tecom-300 is not at .*tecom-300"):
        open_dataset("tecom-300", tmp_path)


def test_a_path_opens_a_folder_of_class_folders(tmp_path):
    (tmp_path / "cells" / "monocyte").mkdir(parents=True)
    assert isinstance(open_dataset(str(tmp_path / "cells"), tmp_path), Folder)


def test_anything_else_is_an_error_that_lists_the_names(tmp_path):
    with pytest.raises(DataError, match=r"'kaggle' is neither.*blood-cells, bccd"):
        open_dataset("kaggle", tmp_path)
    with pytest.raises(DataError, match="'kaggle' is no known data set"):
        dataset_class("kaggle")
