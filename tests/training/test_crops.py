"""Cells are framed once, kept while their images are unchanged, and dealt out by whole fields."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leukolens.card import Framing
from leukolens.datasets.base import Sample
from leukolens.datasets.bccd import Bccd
from leukolens.datasets.boxes import LabelledBox
from leukolens.datasets.folder import Folder
from leukolens.datasets.manifest import manifest
from leukolens.errors import DataError, ImageError, TrainingError
from leukolens.imaging import framing as framing_module
from leukolens.imaging.decode import decode
from leukolens.imaging.framing import Box
from leukolens.imaging.nucleus import slide_of
from leukolens.training import crops as crops_module
from leukolens.training.crops import Crops, deal, framed, samples_of, widened

CLASSES = ["neutrophil", "lymphocyte"]
FRAMING = Framing(size=32, context=2.1)


@pytest.fixture
def few(drawn_set: Path, tmp_path: Path) -> tuple[Sample, ...]:
    """A cell of either class and a field without one, in a folder of their own."""
    for label in CLASSES:
        (tmp_path / "few" / label).mkdir(parents=True)
        shutil.copy(drawn_set / label / "000-0.png", tmp_path / "few" / label / "cell.png")
    empty = Image.fromarray(np.full((60, 80, 3), 225, np.uint8))
    empty.save(tmp_path / "few" / "neutrophil" / "empty.png")
    return Folder(tmp_path / "few").samples()


@pytest.fixture
def framings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every image that is framed."""
    done: list[int] = []
    real = crops_module.frame
    monkeypatch.setattr(crops_module, "frame", lambda *given: (done.append(1), real(*given))[1])
    return done


def test_a_crop_is_what_reading_frames_and_its_truth_the_place_of_its_class(few: tuple[Sample, ...]) -> None:
    crops = framed(few, CLASSES, FRAMING)
    assert [CLASSES[index] for index in crops.truth] == [sample.label for sample in crops.samples]
    for pixels, sample in zip(crops.pixels, crops.samples, strict=True):
        by_reading = framing_module.frame(decode(sample.path), FRAMING)
        assert by_reading is not None
        np.testing.assert_array_equal(pixels, by_reading[0])


def test_an_image_without_a_cell_is_missing_and_teaches_nothing(few: tuple[Sample, ...]) -> None:
    crops = framed(few, CLASSES, FRAMING)
    assert len(crops) == len(crops.pixels) == len(crops.truth) == 2
    assert [sample.path.name for sample in crops.missing] == ["empty.png"]


def test_a_margin_keeps_more_around_the_same_cell_at_the_same_resolution(few: tuple[Sample, ...]) -> None:
    plain, wide = (framed(few, CLASSES, FRAMING, margin=margin) for margin in (1.0, 1.5))
    assert wide.pixels.shape[1:] == (48, 48, 3)
    assert np.abs(wide.pixels[:, 8:40, 8:40].astype(int) - plain.pixels).mean() < 8


@pytest.mark.parametrize(("size", "context", "margin"), [(112, 2.1, 1.5), (512, 2.0, 2.0), (64, 5.0, 1.5)])
def test_any_framing_can_be_widened(size: int, context: float, margin: float) -> None:
    wide = widened(Framing(size=size, context=context), margin)
    assert (wide.size, wide.context) == (round(size * margin), pytest.approx(context * margin))


def test_the_cache_gives_the_same_pixels_without_framing_again(
    few: tuple[Sample, ...], framings: list[int], tmp_path: Path
) -> None:
    first = framed(few, CLASSES, FRAMING, cache=tmp_path / "cache")
    assert len(framings) == 3
    second = framed(few, CLASSES, FRAMING, cache=tmp_path / "cache")
    assert len(framings) == 3
    np.testing.assert_array_equal(second.pixels, first.pixels)
    assert (second.samples, second.missing) == (first.samples, first.missing)


def test_a_changed_image_another_framing_or_another_sample_is_framed_anew(
    few: tuple[Sample, ...], framings: list[int], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    before = framed(few, CLASSES, FRAMING, cache=cache)
    cell = next(sample for sample in few if sample.label == "lymphocyte").path
    Image.fromarray(decode(cell)[:, ::-1].copy()).save(cell)
    after = framed(few, CLASSES, FRAMING, cache=cache)
    assert len(framings) == 6
    changed = [not np.array_equal(*pair) for pair in zip(before.pixels, after.pixels, strict=True)]
    assert changed == [sample.label == "lymphocyte" for sample in before.samples]
    framed(few, CLASSES, Framing(size=32, context=2.2), cache=cache)
    assert len(framings) == 9
    framed(few[:2], CLASSES, FRAMING, cache=cache)
    assert len(framings) == 11


@pytest.mark.parametrize(
    "damaged",
    [
        lambda content: b"",
        lambda content: b"\x93NUMPY",
        lambda content: content[:-100],
        lambda content: content[:-32],
        lambda content: content[:-100] + bytes([content[-100] ^ 1]) + content[-99:],
    ],
    ids=["empty", "header", "cut", "without its checksum", "one bit"],
)
def test_a_damaged_cache_is_made_again(
    damaged: Callable[[bytes], bytes], few: tuple[Sample, ...], framings: list[int], tmp_path: Path
) -> None:
    first = framed(few, CLASSES, FRAMING, cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(damaged(file.read_bytes()))
    second = framed(few, CLASSES, FRAMING, cache=tmp_path / "cache")
    assert len(framings) == 6
    np.testing.assert_array_equal(second.pixels, first.pixels)


def test_cached_crops_may_be_handed_to_torch(drawn_set: Path, tmp_path: Path) -> None:
    """Torch warns of arrays that may not be written to, and a warning fails a test."""
    import torch

    samples = Folder(drawn_set).samples()[:2]
    framed(samples, CLASSES, FRAMING, cache=tmp_path)
    again = framed(samples, CLASSES, FRAMING, cache=tmp_path)
    torch.from_numpy(again.pixels)
    again.pixels[:] = 0
    assert framed(samples, CLASSES, FRAMING, cache=tmp_path).pixels.any()


def test_progress_counts_every_image(few: tuple[Sample, ...]) -> None:
    told: list[tuple[int, int]] = []
    framed(few, CLASSES, FRAMING, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_an_unreadable_image_is_named(few: tuple[Sample, ...]) -> None:
    few[0].path.write_bytes(b"no image")
    with pytest.raises(ImageError) as caught:
        framed(few, CLASSES, FRAMING)
    assert caught.value.path == few[0].path


def test_a_part_is_a_copy(few: tuple[Sample, ...]) -> None:
    crops = framed(few, CLASSES, FRAMING)
    part = crops.take(np.array([1]))
    assert part.samples == (crops.samples[1],)
    part.pixels[:] = 0
    assert crops.pixels[1].any()


def test_what_a_box_marks_is_framed_as_in_a_field(few: tuple[Sample, ...], tmp_path: Path) -> None:
    box = Box(10, 12, 34, 40)
    boxed = replace(few[0], box=box)
    crops = framed((few[0], boxed), CLASSES, FRAMING, cache=tmp_path / "cache")
    rgb = decode(few[0].path)
    np.testing.assert_array_equal(
        crops.pixels[1], framing_module.frame_within(rgb, box, FRAMING, slide_of(rgb))[0]
    )
    assert (crops.pixels[0] != crops.pixels[1]).any()
    moved = framed(
        (few[0], replace(boxed, box=Box(0, 0, 20, 20))), CLASSES, FRAMING, cache=tmp_path / "cache"
    )
    assert (moved.pixels[1] != crops.pixels[1]).any()


def test_red_cells_of_a_set_are_learned_where_a_recipe_says_so(
    tiny_recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in manifest("bccd"):
        path = tmp_path / "bccd" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    drawn = tuple(LabelledBox("red_cell", Box(9 * x, 0, 9 * x + 5, 5)) for x in range(3))
    monkeypatch.setattr(Bccd, "boxes", lambda self, path: drawn)
    data = {"name": "bccd", "splits": ["train", "test"]}
    plain = samples_of(tiny_recipe(data=[data]), tmp_path)
    assert not any(sample.box for sample in plain)
    more = tiny_recipe(data=[{**data, "red_cells": 2}], classes=[*CLASSES, "other"])
    red = [sample for sample in samples_of(more, tmp_path) if sample.box]
    assert {sample.label for sample in red} == {"other"}
    assert {sample.split for sample in red} == {"train"}
    assert len(red) == 2 * len(Bccd(tmp_path / "bccd").samples("train"))


def test_samples_are_those_of_the_recipes_classes(tiny_recipe: Any, tmp_path: Path) -> None:
    assert len(samples_of(tiny_recipe(), tmp_path)) == 24
    with pytest.raises(TrainingError, match="no sample of monocyte"):
        samples_of(tiny_recipe(classes=["neutrophil", "monocyte"]), tmp_path)


def test_an_absent_set_is_named(tiny_recipe: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pbc-224"):
        samples_of(tiny_recipe(data=[{"name": "pbc-224"}]), tmp_path)


@pytest.mark.parametrize("splits", [[], ["train"], ["train", "test"], ["train", "test", "test_simple"]])
def test_test_photographs_never_teach_whatever_a_recipe_says(
    splits: list[str], tiny_recipe: Any, tmp_path: Path
) -> None:
    for folder in ("TRAIN", "TEST", "TEST_SIMPLE"):
        for label in ("NEUTROPHIL", "LYMPHOCYTE"):
            where = f"images/{folder}/{label}/"
            path = (
                tmp_path
                / "blood-cells"
                / min(name for name in manifest("blood-cells") if name.startswith(where))
            )
            path.parent.mkdir(parents=True)
            path.touch()
    samples = samples_of(tiny_recipe(data=[{"name": "blood-cells", "splits": splits}]), tmp_path)
    assert {sample.split for sample in samples} == {"train"}
    assert all("TRAIN" in sample.path.parts for sample in samples)
    assert len(samples) == 2


def dealt(fields: dict[tuple[str, str, str], int]) -> Crops:
    """Crops of so many samples for each (lab, class, field)."""
    samples = tuple(
        Sample(Path(f"{lab}-{label}-{field}-{index}"), label, lab, "all", f"{field}/{index % 2}", field)
        for (lab, label, field), count in fields.items()
        for index in range(count)
    )
    return Crops(np.zeros((len(samples), 1, 1, 3), np.uint8), np.zeros(len(samples), np.int64), samples)


def many(seed: int) -> Crops:
    rng = np.random.default_rng(seed)
    return dealt(
        {
            (lab, label, f"{lab}/{label}/{number}"): int(rng.integers(1, 12))
            for lab in ("a", "b")
            for label in ("neutrophil", "monocyte", "basophil")
            for number in range(rng.integers(5, 30))
        }
    )


@pytest.mark.parametrize("seed", range(5))
def test_dealing_keeps_fields_whole_and_gives_every_class_of_every_lab_to_every_fold(seed: int) -> None:
    crops = many(seed)
    folds = deal(crops, 5)
    assert set(folds) == set(range(5))
    fold_of: dict[str, int] = {}
    kinds: dict[tuple[str, str], set[int]] = {}
    for sample, fold in zip(crops.samples, folds, strict=True):
        assert fold_of.setdefault(sample.field, int(fold)) == fold
        kinds.setdefault((sample.lab, sample.label), set()).add(int(fold))
    assert all(seen == set(range(5)) for seen in kinds.values())


@pytest.mark.parametrize("seed", range(5))
def test_hands_differ_by_no_more_than_the_richest_field(seed: int) -> None:
    crops = many(seed)
    folds = deal(crops, 5)
    for kind in {(sample.lab, sample.label) for sample in crops.samples}:
        mine = np.array([(sample.lab, sample.label) == kind for sample in crops.samples])
        assert np.ptp(np.bincount(folds[mine], minlength=5)) <= 11


def test_equal_samples_are_dealt_equally_in_any_order() -> None:
    crops = many(0)
    shuffled = np.random.default_rng(1).permutation(len(crops))
    np.testing.assert_array_equal(deal(crops.take(shuffled), 5), deal(crops, 5)[shuffled])


def test_a_field_of_two_classes_stays_in_one_fold() -> None:
    crops = dealt({("a", label, f"shared/{n}"): 3 for label in ("neutrophil", "monocyte") for n in range(6)})
    folds = deal(crops, 3)
    for number in range(6):
        assert (
            len({int(f) for f, s in zip(folds, crops.samples, strict=True) if s.field == f"shared/{number}"})
            == 1
        )
