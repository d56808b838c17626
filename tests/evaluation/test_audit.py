from __future__ import annotations

import csv
import json
import math
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from leukolens.datasets import blood_cells
from leukolens.datasets.base import Sample
from leukolens.datasets.blood_cells import BloodCells
from leukolens.datasets.catalogue import open_dataset
from leukolens.datasets.folder import Folder
from leukolens.datasets.manifest import Entry
from leukolens.datasets.synthetic import DrawnField, distorted, draw_field, draw_single, write_drawn_set
from leukolens.evaluation.audit import Audit, audit, unwatched
from leukolens.evaluation.audit_cells import out_of_view
from leukolens.evaluation.audit_document import document, to_json
from leukolens.evaluation.audit_fields import same_fields
from leukolens.evaluation.audit_labels import doubts
from leukolens.evaluation.audit_page import page
from leukolens.evaluation.audit_survey import Photograph, gather, in_natural_order, look
from leukolens.evaluation.audit_words import findings
from leukolens.evaluation.predictions import Predictions


def pixels(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("RGB"))


def put(folder: Path, name: str, rgb: NDArray[np.uint8] | None = None) -> Path:
    """Adds an image to a drawn folder as a group of its own."""
    path = folder / name
    if rgb is not None:
        Image.fromarray(rgb).save(path)
    with (folder / "groups.csv").open("a", encoding="utf-8", newline="") as table:
        csv.writer(table).writerow([name, name.rpartition(".")[0]])
    return path


def empty_field(rng: np.random.Generator) -> NDArray[np.uint8]:
    return draw_field(rng, 320, 240, ()).rgb


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a folder a split, in which everything an audit should find was planted."""
    root, rng = tmp_path_factory.mktemp("planted"), np.random.default_rng(4)
    labels = ("neutrophil", "lymphocyte")
    for split in ("train", "test"):
        write_drawn_set(root / split, rng, labels=labels, photographs=2, copies=1)
    train, test = root / "train", root / "test"
    put(test, "neutrophil/leak.jpg", pixels(train / "neutrophil/000-0.png"))
    turned = distorted(rng, DrawnField(pixels(train / "lymphocyte/001-0.png"), ()))
    put(test, "lymphocyte/turned.png", turned.rgb)
    shutil.copy(train / "neutrophil/001-0.png", put(train, "lymphocyte/twice.png"))
    put(train, "neutrophil/nothing.png", empty_field(rng))
    put(train, "neutrophil/broken.png").write_bytes((train / "neutrophil/001-0.png").read_bytes()[:500])
    return root


@pytest.fixture(scope="module")
def found(planted: Path) -> Audit:
    return audit("planted", [Folder(planted / "test"), Folder(planted / "train")])


@pytest.fixture
def kaggle_like(kaggle_files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The set with a table that says of which photograph each image is a copy, and nothing of fields."""
    root, _ = kaggle_files
    table = {}
    for path in sorted((root / "images").rglob("*.jpeg")):
        name = path.relative_to(root).as_posix()
        split, label = path.parts[-3].removesuffix("_SIMPLE"), path.parts[-2]
        table[name] = Entry(name, 0, "", "", f"blood-cells/{split}/{label}/{path.stem.split('_')[2][0]}")
    monkeypatch.setattr(blood_cells, "manifest", lambda _: table)
    return kaggle_files


@pytest.fixture(scope="module")
def kaggle_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A set laid out as blood-cells, with its originals at twice the size, one field photographed twice."""
    root, rng = tmp_path_factory.mktemp("kaggle") / "blood-cells", np.random.default_rng(9)
    wide = draw_field(rng, 440, 300, ("neutrophil",)).rgb
    sources = {
        ("TEST", "NEUTROPHIL", 0): wide[:240, :320],
        ("TRAIN", "NEUTROPHIL", 0): wide[50:290, 90:410],
        ("TEST", "MONOCYTE", 0): draw_single(rng, "monocyte").rgb,
        ("TRAIN", "MONOCYTE", 0): draw_single(rng, "monocyte").rgb,
    }
    originals = root.parent / "bccd" / "JPEGImages"
    originals.mkdir(parents=True)
    for number, ((split, label, source), rgb) in enumerate(sources.items(), start=6):
        Image.fromarray(rgb).resize((640, 480)).save(originals / f"BloodImage_{number:05d}.jpg", quality=95)
        for folder, copies in ((split, 2), (f"{split}_SIMPLE", 1)):
            if folder == "TRAIN_SIMPLE":
                continue
            (root / "images" / folder / label).mkdir(parents=True, exist_ok=True)
            for copy in range(copies):
                shown = distorted(rng, DrawnField(rgb, ())).rgb if folder == split else rgb
                name = f"_{source}_{10 * number + copy}.jpeg"
                Image.fromarray(shown).save(root / "images" / folder / label / name, quality=90)
    return root, originals


def test_a_re_saved_photograph_in_another_split_is_a_leak(found: Audit) -> None:
    (pair,) = [pair for pair in found.leaks if pair.seen_a.name.endswith("leak.jpg")]
    assert (pair.kind, pair.b.key) == ("near copy", "train/neutrophil/000")
    assert pair.across
    assert pair.score > 0.975


def test_a_turned_and_flipped_photograph_in_another_split_is_a_leak(found: Audit) -> None:
    (pair,) = [pair for pair in found.leaks if pair.seen_a.name.endswith("turned.png")]
    assert pair.b.key == "train/lymphocyte/001"
    assert pair.score >= 12


def test_equal_pixels_under_two_labels_are_told(found: Audit) -> None:
    (pair,) = [pair for pair in found.pairs if pair.kind == "identical"]
    assert {pair.a.key, pair.b.key} == {"train/lymphocyte/twice", "train/neutrophil/001"}
    assert pair.labels_differ
    assert not pair.across
    assert pair.leak, "the groups that this folder declares would tear the two apart"


def test_unrelated_photographs_are_no_pairs(found: Audit) -> None:
    assert len(found.pairs) == 3


def test_an_overlap_counts_photographs_not_pairs(found: Audit) -> None:
    (overlap,) = found.overlaps
    assert (overlap.split, overlap.other) == ("test", "train")
    assert (overlap.photographs, overlap.shared, overlap.whole) == (6, 2, False)


def test_counts_by_split_and_class(found: Audit) -> None:
    rows = {(row.split, row.label): (row.images, row.photographs) for row in found.counts}
    assert rows == {
        ("train", "neutrophil"): (6, 4),
        ("train", "lymphocyte"): (5, 3),
        ("test", "neutrophil"): (5, 3),
        ("test", "lymphocyte"): (5, 3),
    }
    assert found.images == 21


def test_an_image_without_a_cell_and_a_broken_one_are_told_apart(found: Audit) -> None:
    assert [lost.image.name for lost in found.lost] == ["train/neutrophil/nothing.png"]
    assert math.isnan(found.lost[0].left)
    assert [image.name for image in found.unreadable] == ["train/neutrophil/broken.png"]


def test_splits_without_anything_in_common_have_no_leak(tmp_path: Path) -> None:
    write_drawn_set(
        tmp_path / "clean", np.random.default_rng(1), labels=("monocyte",), photographs=3, copies=1
    )
    clean = audit("clean", [Folder(tmp_path / "clean")])
    assert (clean.leaks, clean.pairs, clean.overlaps, clean.lost, clean.unreadable) == ((), (), (), (), ())
    assert clean.doubtful is None


def test_the_document_says_what_was_found_and_null_for_what_was_not_looked_for(found: Audit) -> None:
    told = document(found)
    assert json.loads(to_json(found)) == told
    assert told["schema"] == "leukolens.data.audit/1"
    assert (told["images"], told["leaks"], told["doubtful_labels"], told["originals"]) == (21, 3, None, None)
    assert Counter(pair["kind"] for pair in told["pairs"]) == {
        "identical": 1,
        "near_copy": 1,
        "same_field": 1,
    }
    assert told["no_cell"] == [
        {
            "image": "train/neutrophil/nothing.png",
            "split": "train",
            "photograph": "train/neutrophil/nothing",
            "nucleus_in_view": None,
        }
    ]


def test_the_page_needs_nothing_beside_it(found: Audit, planted: Path) -> None:
    html = page(found, planted)
    assert html.count("data:image/jpeg;base64,") == 2 * 3 + 1
    assert 'src="http' not in html
    assert "href=" not in html
    assert "labels differ" in html
    assert "--cross-fit" in html
    assert "$" not in html.replace("data:image/jpeg;base64,", "").split("<body>")[0].split("</style>")[1]


def test_names_from_outside_cannot_write_into_the_page(tmp_path: Path) -> None:
    write_drawn_set(tmp_path / "set", np.random.default_rng(1), labels=("monocyte",), photographs=1, copies=0)
    found = audit("<script>alert(1)</script>", [Folder(tmp_path / "set")])
    assert "<script" not in page(found, tmp_path)


def test_leaks_come_first_among_the_findings(found: Audit) -> None:
    told = findings(found)
    assert told[0].leak
    assert told[0].number == "2"
    assert next(line for line in told if "equal pixels" in line.text).leak
    assert not next(line for line in told if "no white cell" in line.text).leak


def test_one_split_that_is_another_again_is_recognised_by_its_pictures(
    kaggle_like: tuple[Path, Path],
) -> None:
    root, _ = kaggle_like
    found = audit("blood-cells", [BloodCells(root)])
    overlap = next(one for one in found.overlaps if one.split == "test_simple" and one.other == "test")
    assert overlap.whole
    assert (overlap.photographs, overlap.shared) == (2, 2)
    assert {
        key
        for pair in found.leaks
        if set(pair.splits) == {"train", "test"}
        for key in (pair.a.key, pair.b.key)
    } == {
        "TEST/NEUTROPHIL/6",
        "TRAIN/NEUTROPHIL/7",
    }


def test_originals_are_found_by_picture_and_name_the_pairs(kaggle_like: tuple[Path, Path]) -> None:
    root, originals = kaggle_like
    found = audit("blood-cells", [BloodCells(root)], originals=originals)
    assert {one.photograph.key: one.name for one in found.fields.originals} == {
        "TEST/NEUTROPHIL/6": "6",
        "TEST_SIMPLE/NEUTROPHIL/0": "6",
        "TRAIN/NEUTROPHIL/7": "7",
        "TEST/MONOCYTE/8": "8",
        "TEST_SIMPLE/MONOCYTE/0": "8",
        "TRAIN/MONOCYTE/9": "9",
    }
    assert [(one, other) for one, other, _ in found.fields.original_pairs] == [("6", "7")]
    assert (found.fields.compared, found.fields.strays) == (4, ())
    (pair,) = [pair for pair in found.leaks if pair.splits == ("test", "train")]
    assert pair.originals == ("6", "7")


def test_a_copy_that_shows_something_else_than_its_photograph_is_told(
    kaggle_files: tuple[Path, Path],
) -> None:
    train = kaggle_files[0] / "images" / "TRAIN"

    def as_one(*names: str) -> list[Photograph]:
        paths = [train / f"{name}.jpeg" for name in names]
        return list(
            gather(look(path.stem, Sample(path, "monocyte", "lab", "train", "one"), "one") for path in paths)
        )

    right = same_fields(as_one("NEUTROPHIL/_0_70", "NEUTROPHIL/_0_71"), (), unwatched)
    wrong = same_fields(as_one("NEUTROPHIL/_0_70", "MONOCYTE/_0_90"), (), unwatched)
    assert (right.compared, len(right.strays)) == (1, 0)
    assert (wrong.compared, len(wrong.strays)) == (1, 1)


def test_a_copy_whose_cell_was_shifted_out_is_known_by_its_siblings(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    field = draw_single(rng, "lymphocyte")
    box = field.cells[0].box
    views = [field.rgb, *(distorted(rng, field).rgb for _ in range(4))]
    # A platelet's worth of stain is left, which by itself could pass for a small nucleus.
    gone = field.rgb.copy()
    around = gone[max(box.y0 - 8, 0) : box.y1 + 8, max(box.x0 - 8, 0) : box.x1 + 8]
    around[...] = np.percentile(field.rgb.reshape(-1, 3), 95, axis=0).astype(np.uint8)
    cv2.circle(gone, (160, 120), 7, (110, 60, 170), -1)
    seen = []
    for number, rgb in enumerate([*views, gone]):
        path = tmp_path / f"{number}.png"
        Image.fromarray(rgb).save(path)
        seen.append(look(path.name, Sample(path, "lymphocyte", "lab", "all", "one"), "one"))
    (lost,) = out_of_view(gather(seen))
    assert lost.image.name == "5.png"
    assert lost.left < 0.12
    assert lost.whole
    assert lost.whole.name != "5.png"


def predicted(rows: list[tuple[str, str, int, list[float]]]) -> Predictions:
    names, groups, truth, probabilities = zip(*rows, strict=True)
    return Predictions(
        ("neutrophil", "monocyte"), names, groups, np.array(truth), np.array(probabilities, dtype=np.float64)
    )


def test_a_wrong_label_is_doubted_by_the_mean_over_its_copies() -> None:
    (doubt,) = doubts(
        predicted(
            [
                ("a1", "a", 0, [0.9, 0.1]),
                ("a2", "a", 0, [0.4, 0.6]),
                ("b1", "b", 1, [0.1, 0.9]),
                ("wrong1", "wrong", 1, [0.95, 0.05]),
                ("wrong2", "wrong", 1, [0.75, 0.25]),
                ("wrong3", "wrong", 1, [math.nan, math.nan]),
            ]
        )
    )
    assert (doubt.group, doubt.label, doubt.other, doubt.copies, doubt.against) == (
        "wrong",
        "monocyte",
        "neutrophil",
        2,
        2,
    )
    assert doubt.own == pytest.approx(0.15)
    assert doubt.others == pytest.approx(0.85)
    assert doubt.image == "wrong1"
    assert doubt.confident, "neutrophils are called neutrophil at .65 on average"


def test_doubts_come_with_the_least_probable_label_first() -> None:
    rows = [("a", "a", 0, [0.4, 0.6]), ("b", "b", 0, [0.1, 0.9]), ("c", "c", 1, [0.5, 0.5])]
    told = doubts(predicted(rows))
    assert [doubt.group for doubt in told] == ["b", "a", "c"]


def test_numbers_in_keys_are_sorted_as_numbers() -> None:
    assert sorted(["²", "a/b", "a/10", "a/9x", "a/9"], key=in_natural_order) == [
        "a/9",
        "a/9x",
        "a/10",
        "a/b",
        "²",
    ]


PAIRS = {("257", "230"), ("204", "277"), ("204", "276"), ("377", "400"), ("264", "224")}


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.timeout(1800)
def test_on_the_real_images_it_finds_what_the_data_guide_says(data_root: Path) -> None:
    if not (data_root / "blood-cells").is_dir() or not (data_root / "bccd").is_dir():
        pytest.skip(f"blood-cells and bccd are not both at {data_root}")
    found = audit(
        "blood-cells", [open_dataset("blood-cells", data_root)], originals=data_root / "bccd" / "JPEGImages"
    )
    sources = Counter[str]()
    for row in found.counts:
        sources[row.split] += row.photographs
    assert sources == {"train": 277, "test": 71, "test_simple": 71}
    by_class = {(row.split, row.label): row.photographs for row in found.counts if row.split != "test_simple"}
    assert by_class == {
        ("train", "eosinophil"): 75,
        ("train", "lymphocyte"): 27,
        ("train", "monocyte"): 16,
        ("train", "neutrophil"): 159,
        ("test", "eosinophil"): 13,
        ("test", "lymphocyte"): 6,
        ("test", "monocyte"): 4,
        ("test", "neutrophil"): 48,
    }
    simple = next(one for one in found.overlaps if (one.split, one.other) == ("test_simple", "test"))
    assert simple.whole
    assert simple.photographs == 71
    known = {frozenset(pair[:2]) for pair in found.fields.original_pairs}
    assert {frozenset(pair) for pair in PAIRS} <= known
    across = {
        frozenset(pair.originals)
        for pair in found.leaks
        if set(pair.splits) == {"test", "train"} and pair.originals
    }
    assert {frozenset(pair) for pair in PAIRS} <= across
    numbers = {(row.split, row.label): row.numbers for row in found.counts if row.split != "test_simple"}
    assert numbers == by_class
    near = {frozenset((pair.a.key, pair.b.key)) for pair in found.pairs}
    for one, other in (("0", "4"), ("1", "6")):
        assert frozenset(f"TEST_SIMPLE/EOSINOPHIL/{number}" for number in (one, other)) in near
    lost = Counter(one.image.split for one in found.lost)
    assert 0.002 < lost["test"] / 2487 < 0.008
