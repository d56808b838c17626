"""Drawn cells: the same from the same seed, and told apart by what a haematologist tells them apart by."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import skimage.measure
from numpy.typing import NDArray
from PIL import Image

from leukolens.datasets.folder import Folder
from leukolens.datasets.synthetic import (
    DRAWN_CLASSES,
    Camera,
    DrawnField,
    distorted,
    draw_field,
    draw_single,
    mix_stain,
    write_drawn_set,
)
from leukolens.datasets.synthetic_cells import Leukocyte, draw_leukocyte
from leukolens.errors import DataError
from leukolens.imaging.nucleus import find_nucleus
from leukolens.taxonomy import cell_class

SCALE = 12.6
SHARP = Camera(blur=0, noise=0)


def contains(field: DrawnField, number: int, x: float, y: float) -> bool:
    box = field.cells[number].box
    return box.x0 <= x < box.x1 and box.y0 <= y < box.y1


class TestDrawField:
    def test_equal_seeds_give_equal_bytes(self) -> None:
        labels = ("neutrophil", "basophil")
        first, second = (draw_field(np.random.default_rng(5), 400, 300, labels) for _ in range(2))
        assert first.rgb.tobytes() == second.rgb.tobytes()
        assert first.cells == second.cells

    def test_another_seed_draws_another_field(self) -> None:
        first, second = (draw_single(np.random.default_rng(seed), "monocyte") for seed in (1, 2))
        assert (first.rgb != second.rgb).mean() > 0.5

    def test_it_is_an_rgb_image_of_the_size_asked_for(self) -> None:
        field = draw_field(np.random.default_rng(0), 301, 203, ("lymphocyte",))
        assert field.rgb.shape == (203, 301, 3)
        assert field.rgb.dtype == np.uint8

    def test_cells_stand_in_the_order_asked_for_inside_and_apart(self) -> None:
        labels = ("monocyte", "neutrophil", "lymphocyte", "eosinophil", "basophil", "neutrophil")
        field = draw_field(np.random.default_rng(8), 640, 480, labels)
        assert tuple(cell.label for cell in field.cells) == labels
        claimed = np.zeros((480, 640), int)
        for cell in field.cells:
            assert 0 < cell.box.x0 < cell.box.x1 < 640
            assert 0 < cell.box.y0 < cell.box.y1 < 480
            centre = (cell.box.y0 + cell.box.y1) // 2, (cell.box.x0 + cell.box.x1) // 2
            yy, xx = np.mgrid[:480, :640]
            claimed += np.hypot(yy - centre[0], xx - centre[1]) < min(cell.box.width, cell.box.height) / 2
        assert claimed.max() == 1

    @pytest.mark.parametrize("label", DRAWN_CLASSES)
    def test_the_box_holds_the_nucleus_that_reading_finds(self, label: str) -> None:
        for seed in range(4):
            field = draw_single(np.random.default_rng(seed), label)
            nucleus = find_nucleus(field.rgb)
            assert nucleus is not None
            assert contains(field, 0, nucleus.x, nucleus.y)

    def test_a_finer_scale_draws_larger_cells(self) -> None:
        coarse, fine = (
            draw_field(np.random.default_rng(3), 480, 480, ("monocyte",), pixels_per_micrometre=scale)
            for scale in (6, 12)
        )
        assert fine.cells[0].box.width / coarse.cells[0].box.width == pytest.approx(2, rel=0.3)

    def test_a_field_may_hold_no_white_cell(self) -> None:
        field = draw_field(np.random.default_rng(2), 200, 150, ())
        assert field.cells == ()
        assert field.rgb.std() > 5

    def test_empty_ground_has_the_stain_s_colour(self) -> None:
        rng = np.random.default_rng(0)
        stain = mix_stain(rng)
        field = draw_field(rng, 120, 90, (), crowding=0, stain=stain, camera=SHARP)
        assert np.median(field.rgb, axis=(0, 1)) == pytest.approx(stain.ground, abs=0.51)

    def test_a_crowded_field_has_more_under_red_cells(self) -> None:
        shares = []
        for crowding in (0.1, 0.3, 0.6):
            rng = np.random.default_rng(4)
            stain = mix_stain(rng)
            field = draw_field(rng, 320, 240, (), crowding=crowding, stain=stain, camera=SHARP)
            shares.append(float((field.rgb[..., 1] < stain.ground[1] - 8).mean()))
        assert shares == sorted(shares)
        assert shares[0] == pytest.approx(0.1, abs=0.06)

    def test_a_field_without_room_says_so(self) -> None:
        with pytest.raises(DataError, match=r"100x80 pixels has no room for 3 white cells.*fewer"):
            draw_field(np.random.default_rng(0), 100, 80, ("neutrophil",) * 3)

    def test_a_class_without_drawing_says_which_there_are(self) -> None:
        with pytest.raises(DataError, match=r"no drawing for 'blast'.*neutrophil"):
            draw_single(np.random.default_rng(0), "blast")

    def test_single_fields_have_the_kaggle_images_size(self) -> None:
        field = draw_single(np.random.default_rng(1), "eosinophil")
        assert field.rgb.shape == (240, 320, 3)
        assert [cell.label for cell in field.cells] == ["eosinophil"]

    def test_every_drawn_class_is_a_leukocyte_of_the_taxonomy(self) -> None:
        assert all(cell_class(label).leukocyte for label in DRAWN_CLASSES)


@pytest.fixture(scope="module")
def cells() -> dict[str, list[Leukocyte]]:
    """Sixteen cells a class, each class on the same sixteen slides."""
    rng = np.random.default_rng(12)
    drawn = defaultdict(list)
    for _ in range(16):
        stain = mix_stain(rng)
        for label in DRAWN_CLASSES:
            drawn[label].append(draw_leukocyte(rng, label, stain, SCALE))
    return drawn


def nucleus(cell: Leukocyte) -> NDArray[np.bool_]:
    return cell.nucleus > 0.5


def body(cell: Leukocyte) -> NDArray[np.bool_]:
    return cell.cover > 0.5


def cytoplasm(cell: Leukocyte) -> NDArray[np.bool_]:
    return np.asarray(body(cell) & ~scipy.ndimage.binary_dilation(nucleus(cell), iterations=3))


def lobes_without_filaments(cell: Leukocyte) -> int:
    """Components of what is left of the nucleus 0.8 micrometres within its edge, crumbs left out."""
    depth = scipy.ndimage.distance_transform_edt(nucleus(cell))
    labels, _ = scipy.ndimage.label(depth > 0.8 * cell.scale)
    return int((np.bincount(labels.ravel())[1:] > 0.2 * cell.scale**2).sum())


def colour(cell: Leukocyte, where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean RGB on a white slide, 0 to 1."""
    return np.asarray(np.exp(-cell.density[where]).mean(axis=0, dtype=np.float64))


def share(cell: Leukocyte) -> float:
    return float(nucleus(cell).sum() / body(cell).sum())


def diameter(cell: Leukocyte) -> float:
    """Of the disc with the same area, micrometres."""
    return float(2 * np.sqrt(body(cell).sum() / np.pi) / cell.scale)


def solidity(cell: Leukocyte) -> float:
    return float(skimage.measure.regionprops(nucleus(cell).astype(int))[0].solidity)


class TestDrawnLeukocytes:
    @pytest.mark.parametrize("label", DRAWN_CLASSES)
    def test_one_nucleus_in_one_piece_lies_in_the_cell(
        self, cells: dict[str, list[Leukocyte]], label: str
    ) -> None:
        for cell in cells[label]:
            assert not (nucleus(cell) & ~body(cell)).any()
            assert scipy.ndimage.label(nucleus(cell), np.ones((3, 3)))[1] == 1
            assert np.isfinite(cell.density).all()
            assert cell.density.min() >= 0

    def test_neutrophils_have_two_to_five_lobes_joined_by_filaments(
        self, cells: dict[str, list[Leukocyte]]
    ) -> None:
        told = [cell.lobes for cell in cells["neutrophil"]]
        seen = [lobes_without_filaments(cell) for cell in cells["neutrophil"]]
        assert set(told) <= {2, 3, 4, 5}
        assert len(set(told)) >= 3
        # Lobes may lie against one another, as in real cells; then fewer are seen.
        assert max(seen) <= 5
        assert np.mean(np.equal(told, seen)) >= 0.7
        assert np.corrcoef(told, seen)[0, 1] > 0.7

    def test_eosinophils_mostly_have_two_lobes(self, cells: dict[str, list[Leukocyte]]) -> None:
        seen = [lobes_without_filaments(cell) for cell in cells["eosinophil"]]
        assert max(seen) <= 3
        assert np.median(seen) == 2

    def test_lymphocytes_and_monocytes_are_not_segmented(self, cells: dict[str, list[Leukocyte]]) -> None:
        for cell in (*cells["lymphocyte"], *cells["monocyte"]):
            assert lobes_without_filaments(cell) == 1

    def test_eosinophil_cytoplasm_is_redder_than_neutrophil_cytoplasm(
        self, cells: dict[str, list[Leukocyte]]
    ) -> None:
        for eosinophil, neutrophil in zip(cells["eosinophil"], cells["neutrophil"], strict=True):
            red = colour(eosinophil, cytoplasm(eosinophil))
            pink = colour(neutrophil, cytoplasm(neutrophil))
            assert red[0] - red[1:].mean() > 1.5 * (pink[0] - pink[1:].mean())
            assert red.mean() < pink.mean()

    def test_lymphocyte_cytoplasm_is_blue_and_monocyte_cytoplasm_greyer(
        self, cells: dict[str, list[Leukocyte]]
    ) -> None:
        for lymphocyte, monocyte in zip(cells["lymphocyte"], cells["monocyte"], strict=True):
            blue, grey = (colour(cell, cytoplasm(cell)) for cell in (lymphocyte, monocyte))
            assert blue[2] > blue[1] > 0.9 * blue[0]
            assert grey[2] >= grey.max() - 1e-6
            assert np.ptp(grey) < np.ptp(blue)

    def test_the_nucleus_fills_the_lymphocyte_and_not_the_granulocyte(
        self, cells: dict[str, list[Leukocyte]]
    ) -> None:
        assert np.median([share(cell) for cell in cells["lymphocyte"]]) > 0.6
        assert min(share(cell) for cell in cells["lymphocyte"]) > 0.45
        assert max(share(cell) for cell in (*cells["neutrophil"], *cells["eosinophil"])) < 0.46

    def test_the_lymphocyte_is_the_smallest_and_the_monocyte_the_largest(
        self, cells: dict[str, list[Leukocyte]]
    ) -> None:
        sizes = {label: np.median([diameter(cell) for cell in cells[label]]) for label in DRAWN_CLASSES}
        assert min(sizes, key=sizes.__getitem__) == "lymphocyte"
        assert max(sizes, key=sizes.__getitem__) == "monocyte"
        assert 7 < sizes["lymphocyte"] < 12
        assert 12 < sizes["neutrophil"] < 15
        assert 15 < sizes["monocyte"] < 20

    def test_the_monocyte_nucleus_is_folded_and_the_lymphocyte_nucleus_round(
        self, cells: dict[str, list[Leukocyte]]
    ) -> None:
        assert min(solidity(cell) for cell in cells["lymphocyte"]) > 0.95
        assert np.median([solidity(cell) for cell in cells["monocyte"]]) < 0.94

    def test_the_monocyte_has_vacuoles(self, cells: dict[str, list[Leukocyte]]) -> None:
        for cell in cells["monocyte"]:
            total = cell.density.sum(axis=2)
            deep = scipy.ndimage.binary_erosion(body(cell), iterations=8)
            clear = deep & (total < 0.35 * np.median(total[cytoplasm(cell)]))
            assert scipy.ndimage.label(clear)[1] >= 1

    def test_basophil_granules_hide_its_nucleus(self, cells: dict[str, list[Leukocyte]]) -> None:
        def conspicuous(cell: Leukocyte) -> float:
            total = cell.density.sum(axis=2)
            return float(total[nucleus(cell)].mean() / total[cytoplasm(cell)].mean())

        assert max(conspicuous(cell) for cell in cells["basophil"]) < 1.7
        assert min(conspicuous(cell) for cell in cells["neutrophil"]) > 3
        for basophil, neutrophil in zip(cells["basophil"], cells["neutrophil"], strict=True):
            purple, pink = (colour(cell, cytoplasm(cell)) for cell in (basophil, neutrophil))
            assert purple.argmax() == 2
            assert purple.mean() < 0.85 * pink.mean()


class TestDistorted:
    def test_corners_turn_black_and_the_box_goes_with_the_cell(self) -> None:
        rng = np.random.default_rng(6)
        blackened = []
        for label in DRAWN_CLASSES:
            copy = distorted(rng, draw_single(rng, label))
            assert copy.rgb.shape == (240, 320, 3)
            blackened.append(bool((copy.rgb.max(axis=2) == 0).any()))
            found = find_nucleus(copy.rgb)
            assert found is not None
            assert contains(copy, 0, found.x, found.y)
        assert any(blackened)

    def test_nothing_to_do_leaves_the_field_or_mirrors_it(self) -> None:
        rng = np.random.default_rng(1)
        field = draw_single(rng, "lymphocyte")
        copy = distorted(rng, field, degrees=0, shift=0, shear=0)
        mirrored = [field.rgb[::down, ::across] for down in (1, -1) for across in (1, -1)]
        # OpenCV mirrors about the edge, not about the outermost pixel's centre: one row or column shifts.
        inner = (slice(2, -2), slice(2, -2))
        shifted = [np.roll(image, (d, a), (0, 1)) for image in mirrored for d in (0, 1) for a in (0, 1)]
        assert any((copy.rgb[inner] == image[inner]).all() for image in shifted)

    def test_equal_seeds_distort_equally(self) -> None:
        field = draw_single(np.random.default_rng(1), "neutrophil")
        first, second = (distorted(np.random.default_rng(9), field) for _ in range(2))
        assert first.rgb.tobytes() == second.rgb.tobytes()
        assert first.cells == second.cells


class TestWriteDrawnSet:
    def test_folder_reads_it_with_its_photographs_as_groups(self, tmp_path: Path) -> None:
        labels = ("neutrophil", "lymphocyte")
        paths = write_drawn_set(tmp_path, np.random.default_rng(0), labels=labels, photographs=2, copies=3)
        samples = Folder(tmp_path, "drawn").samples()
        assert len(paths) == len(samples) == 2 * 2 * 4
        assert {sample.path for sample in samples} == set(paths)
        assert {sample.label for sample in samples} == set(labels)
        assert {sample.group for sample in samples} == {
            f"drawn/{label}/{number:03d}" for label in labels for number in (0, 1)
        }
        with Image.open(paths[0]) as image:
            assert image.size == (320, 240)

    def test_equal_seeds_write_equal_files(self, tmp_path: Path) -> None:
        first, second = (
            write_drawn_set(
                tmp_path / name, np.random.default_rng(4), labels=("basophil",), photographs=1, copies=1
            )
            for name in ("a", "b")
        )
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]

    def test_a_folder_that_cannot_be_made_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(DataError, match=r"file.*cannot be written"):
            write_drawn_set(tmp_path / "file", np.random.default_rng(0))
