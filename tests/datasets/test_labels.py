from __future__ import annotations

import pytest

from leukolens.datasets.labels import class_called
from leukolens.taxonomy import CLASSES


def test_every_class_is_called_by_its_key_its_name_and_its_abbreviation():
    for cell in CLASSES:
        assert {
            class_called(word) for word in (cell.key, cell.name, cell.abbreviation, cell.key.upper())
        } == {cell.key}


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("NEUTROPHIL", "neutrophil"),
        ("BNE", "neutrophil"),
        ("SNE", "neutrophil"),
        ("band neutrophil", "neutrophil"),
        ("Segmented-Neutrophil", "neutrophil"),
        ("seg", "neutrophil"),
        ("ig", "immature_granulocyte"),
        ("Immature Granulocytes", "immature_granulocyte"),
        ("MMY", "immature_granulocyte"),
        ("promyelocyte", "immature_granulocyte"),
        ("erythroblast", "other"),
        ("platelet", "other"),
        ("NRBC", "other"),
        ("Lymphocytes", "lymphocyte"),
        ("mono", "monocyte"),
        ("blast", None),
        ("reactive lymphocyte", None),
        ("train", None),
        ("", None),
        ("123", None),
    ],
)
def test_publishers_words(word, key):
    assert class_called(word) == key
