from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from leukolens.datasets.bccd import Bccd
from leukolens.datasets.blood_cells import DOUBTFUL, BloodCells, photograph
from leukolens.datasets.manifest import manifest
from leukolens.errors import DataError

PHOTOGRAPHS = {
    "TRAIN": {"eosinophil": 75, "lymphocyte": 27, "monocyte": 16, "neutrophil": 159},
    "TEST": {"eosinophil": 13, "lymphocyte": 6, "monocyte": 4, "neutrophil": 48},
}


@pytest.fixture
def pretended(tmp_path: Path) -> BloodCells:
    """All names of the set, with nothing in the files."""
    for name in manifest("blood-cells"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return BloodCells(tmp_path)


def test_images_per_split_and_class(pretended):
    found = Counter((sample.split, sample.label) for sample in pretended.samples())
    assert found == {
        ("train", "eosinophil"): 2497,
        ("train", "lymphocyte"): 2483,
        ("train", "monocyte"): 2478,
        ("train", "neutrophil"): 2499,
        ("test", "eosinophil"): 623,
        ("test", "lymphocyte"): 620,
        ("test", "monocyte"): 620,
        ("test", "neutrophil"): 624,
        ("test_simple", "eosinophil"): 13,
        ("test_simple", "lymphocyte"): 6,
        ("test_simple", "monocyte"): 4,
        ("test_simple", "neutrophil"): 48,
    }


def test_train_shows_277_photographs_and_test_71(pretended):
    for split, folder in (("train", "TRAIN"), ("test", "TEST")):
        groups = {(sample.group, sample.label) for sample in pretended.samples(split)}
        assert Counter(label for _, label in groups) == PHOTOGRAPHS[folder]
        assert all(group.startswith(f"blood-cells/{folder}/{label.upper()}/") for group, label in groups)


def test_every_photograph_has_about_as_many_copies_as_its_classmates(pretended):
    # Each pass of the augmentation shows every photograph of a class once, so counts differ by few.
    for split in ("train", "test"):
        copies = Counter((sample.label, sample.group) for sample in pretended.samples(split))
        for label in pretended.classes:
            counts = [count for (of, _), count in copies.items() if of == label]
            assert max(counts) - min(counts) <= 5


def test_the_number_in_a_file_name_is_not_the_photograph(pretended):
    by_number = {}
    for sample in pretended.samples("train"):
        by_number.setdefault((sample.label, sample.path.name.split("_")[1]), set()).add(sample.group)
    assert len(by_number[("neutrophil", "77")]) > 10


def test_test_simple_shows_69_of_the_photographs_of_test(pretended):
    simple = [sample.group for sample in pretended.samples("test_simple")]
    test = {sample.group for sample in pretended.samples("test")}
    assert set(simple) < test
    assert {group for group, count in Counter(simple).items() if count == 2} == {
        "blood-cells/TEST/EOSINOPHIL/93",
        "blood-cells/TEST/EOSINOPHIL/139",
    }
    assert test - set(simple) == {"blood-cells/TEST/EOSINOPHIL/62", "blood-cells/TEST/EOSINOPHIL/95"}


def test_the_doubtful_monocyte_is_the_one_that_test_simple_calls_0(pretended):
    named = {
        sample.path.name.split("_")[1]: sample.group
        for sample in pretended.samples("test_simple")
        if sample.label == "monocyte"
    }
    assert named["0"] == DOUBTFUL
    assert sum(sample.group == DOUBTFUL for sample in pretended.samples("test")) == 155


def test_no_photograph_stands_in_train_and_test_but_some_fields_do(pretended):
    train, test = pretended.samples("train"), pretended.samples("test")
    assert not {sample.group for sample in train} & {sample.group for sample in test}
    shared = {sample.field for sample in train} & {sample.field for sample in test}
    of_test = {int(sample.group.rpartition("/")[2]) for sample in test if sample.field in shared}
    of_train = {int(sample.group.rpartition("/")[2]) for sample in train if sample.field in shared}
    assert {204, 257, 264, 377} <= of_test
    assert {276, 277, 230, 224, 400} <= of_train


@pytest.mark.parametrize(("folder", "key"), [("TRAIN", "TRAIN"), ("TEST", "TEST"), ("TEST_SIMPLE", "TEST")])
def test_test_simple_bears_the_keys_of_test(folder, key):
    assert photograph(folder, "MONOCYTE", 110) == f"blood-cells/{key}/MONOCYTE/110"


def test_an_image_that_no_photograph_is_known_of_is_an_error(pretended):
    stranger = pretended.root / "images" / "TRAIN" / "MONOCYTE" / "_0_99999.jpeg"
    stranger.touch()
    with pytest.raises(DataError, match=r"_0_99999\.jpeg is not an image of blood-cells"):
        pretended.samples()


def test_a_part_of_the_set_can_be_read(tmp_path):
    for folder in ("TRAIN", "TEST", "TEST_SIMPLE"):
        (tmp_path / "images" / folder / "MONOCYTE").mkdir(parents=True)
    name = next(name for name in manifest("blood-cells") if "TRAIN/MONOCYTE" in name)
    (tmp_path / name).touch()
    (only,) = BloodCells(tmp_path).samples()
    assert (only.label, only.lab, only.split) == ("monocyte", "blood-cells", "train")


@pytest.mark.data
def test_the_real_images_are_all_there(data_root):
    assert len(BloodCells(data_root / "blood-cells").samples()) == 9957 + 2487 + 71


@pytest.mark.data
def test_groups_are_the_photographs_that_pictures_tell(data_root):
    import cv2
    import numpy as np

    from leukolens.datasets.matching import SAME_FIELD, agreement, keypoints
    from leukolens.imaging.decode import decode

    samples = BloodCells(data_root / "blood-cells").samples()
    originals = {sample.group: sample.path for sample in Bccd(data_root / "bccd").samples()}
    chosen = [samples[at] for at in np.random.default_rng(0).choice(len(samples), 16, replace=False)]
    others = [sample for sample in chosen if sample.group in originals]
    fields = {
        sample.group: keypoints(
            cv2.resize(decode(originals[sample.group]), (320, 240), interpolation=cv2.INTER_AREA)
        )
        for sample in others
    }
    assert len(fields) >= 12
    for sample in others:
        found = keypoints(decode(sample.path))
        scores = {
            group: max(agreement(found, field), agreement(found.mirrored(), field))
            for group, field in fields.items()
        }
        assert max(scores, key=scores.__getitem__) == sample.group
        assert scores[sample.group] >= 4 * SAME_FIELD
