"""The list of cell classes: complete, in order, and told apart by everyone."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from leukolens.errors import LeukolensError
from leukolens.taxonomy import ALL_CLASSES, CLASS_KEYS, CLASSES, REVIEW_CLASSES, cell_class, in_order

# What a colour of linear sRGB becomes for someone without one kind of cone. Machado, Oliveira & Fernandes,
# *A physiologically-based model for simulation of color vision deficiency*, 2009, severity 1.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def test_the_keys_are_those_of_every_document_in_the_order_of_every_table() -> None:
    assert CLASS_KEYS == (
        "neutrophil",
        "eosinophil",
        "basophil",
        "lymphocyte",
        "monocyte",
        "immature_granulocyte",
        "other",
    )


def test_only_other_is_no_leukocyte() -> None:
    assert [cell.key for cell in CLASSES if not cell.leukocyte] == ["other"]


def test_the_machine_never_answers_a_class_of_the_reviewers() -> None:
    assert not {cell.key for cell in REVIEW_CLASSES} & set(CLASS_KEYS)


def test_a_class_of_the_reviewers_is_a_form_of_one_of_the_machines_that_is_counted_alike() -> None:
    forms = {cell.key: cell.form_of for cell in REVIEW_CLASSES}
    assert forms == {
        "blast": None,
        "reactive_lymphocyte": "lymphocyte",
        "band": "neutrophil",
        "metamyelocyte": "immature_granulocyte",
        "myelocyte": "immature_granulocyte",
        "promyelocyte": "immature_granulocyte",
        "nucleated_red_cell": "other",
        "smudge": "other",
    }
    for cell in REVIEW_CLASSES:
        assert cell.form_of is None or cell_class(cell.form_of).leukocyte == cell.leukocyte


@pytest.mark.parametrize("attribute", ["key", "name", "abbreviation", "colour"])
def test_no_two_classes_share(attribute: str) -> None:
    values = [getattr(cell, attribute) for cell in ALL_CLASSES]
    assert len(set(values)) == len(values)


def test_an_abbreviation_is_one_capital_so_that_it_can_be_a_reviewers_key() -> None:
    assert all(re.fullmatch("[A-Z]", cell.abbreviation) for cell in ALL_CLASSES)


@pytest.mark.parametrize(
    ("key", "rgb"), [("neutrophil", (0, 0x72, 0xB2)), ("eosinophil", (0xD5, 0x5E, 0)), ("other", (0x66,) * 3)]
)
def test_a_colour_comes_as_three_numbers_too(key: str, rgb: tuple[int, int, int]) -> None:
    assert cell_class(key).rgb == rgb


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_colours_stay_apart_without_red_or_green_cones(deficiency: str) -> None:
    srgb = np.array([cell.rgb for cell in ALL_CLASSES]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ DEFICIENCIES[deficiency].T, 0, 1)
    shown = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = rgb2lab(shown)
    nearest = min(float(deltaE_ciede2000(lab[a], lab[b])) for a, b in combinations(range(len(lab)), 2))
    # A difference of 1 is just noticeable side by side, 5 at a glance.
    assert nearest > 5


def test_a_class_is_found_by_its_key() -> None:
    assert [cell_class(cell.key) for cell in ALL_CLASSES] == list(ALL_CLASSES)


@pytest.mark.parametrize("key", ["", "Neutrophil", "neutrophile", "unsure"])
def test_an_unknown_key_is_refused_by_name_with_the_known_ones(key: str) -> None:
    with pytest.raises(LeukolensError) as caught:
        cell_class(key)
    assert repr(key) in caught.value.problem
    assert all(known in caught.value.remedy for known in CLASS_KEYS)


def test_any_set_of_keys_comes_back_in_the_lists_order() -> None:
    for count in range(len(CLASS_KEYS) + 1):
        for keys in combinations(CLASS_KEYS, count):
            assert in_order(frozenset(keys)) == keys
    assert in_order({"smudge", "other", "blast", "neutrophil"}) == ("neutrophil", "other", "blast", "smudge")


def test_a_set_with_an_unknown_key_is_refused() -> None:
    with pytest.raises(LeukolensError, match="'band cell'"):
        in_order({"neutrophil", "band cell"})
