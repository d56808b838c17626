"""Augmentation does what its spec says, and nothing where it says nothing."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from leukolens.training.augment import COARSE, STAINS, augmented, centre, exchanged, mixed, thinned, to_input
from leukolens.training.recipe import Augment


def uneven(count: int = 1, side: int = 48) -> Tensor:
    """Smooth crops that no turn or mirror maps to themselves."""
    rng = np.random.default_rng(3)
    noise = ndimage.gaussian_filter(rng.normal(size=(count, side, side, 3)), (0, 4, 4, 0))
    low, high = noise.min(), noise.max()
    return torch.from_numpy((40 + 190 * (noise - low) / (high - low)).astype(np.uint8))


def drawing(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def levels(views: Tensor) -> NDArray[np.float64]:
    """(n, 3, h, w) of -1 to 1 back to (n, h, w, 3) of 0 to 255."""
    return ((views.permute(0, 2, 3, 1).double().numpy() + 1) * 127.5).astype(np.float64)


def test_the_network_sees_pixels_over_127_5_less_1() -> None:
    crops = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 1, 1, 3)
    torch.testing.assert_close(to_input(crops).ravel(), torch.tensor([-1.0, 1.0, 51 / 127.5 - 1]))
    assert to_input(uneven(2)).shape == (2, 3, 48, 48)


def test_the_centre_of_a_wide_crop_is_its_middle_pixels() -> None:
    crops = uneven(2)
    torch.testing.assert_close(centre(crops, 32, 1.5), to_input(crops[:, 8:40, 8:40]))


def test_a_smaller_centre_is_the_middle_resampled() -> None:
    crops = uneven(1)
    middle = crops[0, 8:40, 8:40].numpy()
    expected = cv2.resize(middle.astype(np.float64), (16, 16), interpolation=cv2.INTER_AREA)
    assert np.abs(levels(centre(crops, 16, 1.5))[0] - expected).mean() < 1


@pytest.mark.parametrize("margin", [1.0, 1.5, 2.0])
def test_a_spec_that_changes_nothing_gives_the_centre(margin: float) -> None:
    side = round(48 / margin)
    crops = uneven(3)
    views = augmented(crops, side, Augment(margin=margin), drawing())
    assert np.abs(levels(views) - levels(centre(crops, side, margin))).max() < 0.1


EVERYTHING = Augment(
    rotation=180, shift=0.1, shear=10, scale=(0.7, 1.4), flips=True, colour=0.9, stain=0.9, blur=1, grey=0.5,
    margin=1.5,
)  # fmt: skip


@pytest.mark.parametrize("fill", ["cells", "black", "white"])
def test_views_stay_between_minus_one_and_one(fill: str) -> None:
    crops = {
        "cells": uneven(16),
        "black": torch.zeros_like(uneven(16)),
        "white": torch.full_like(uneven(16), 255),
    }
    views = augmented(crops[fill], 32, EVERYTHING, drawing())
    assert views.shape == (16, 3, 32, 32)
    assert bool(views.isfinite().all())
    assert float(views.min()) >= -1 - 1e-6
    assert float(views.max()) <= 1 + 1e-6


def test_equal_generators_give_equal_views() -> None:
    crops = uneven(8)
    first = augmented(crops, 32, EVERYTHING, drawing(1))
    assert torch.equal(augmented(crops, 32, EVERYTHING, drawing(1)), first)
    assert not torch.equal(augmented(crops, 32, EVERYTHING, drawing(2)), first)


def test_the_global_generator_has_no_say() -> None:
    crops = uneven(8)
    torch.manual_seed(1)
    first = augmented(crops, 32, EVERYTHING, drawing())
    state = torch.get_rng_state()
    assert torch.equal(augmented(crops, 32, EVERYTHING, drawing()), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_flips_give_the_four_mirrorings_a_quarter_of_the_time_each() -> None:
    crop = uneven(1)
    views = augmented(crop.expand(400, -1, -1, -1), 48, Augment(flips=True), drawing())
    mirrored = [to_input(crop.flip(dims))[0] for dims in ([], [2], [1], [1, 2])]
    nearest = [min(range(4), key=lambda index: float((view - mirrored[index]).abs().max())) for view in views]
    assert all(
        float((view - mirrored[index]).abs().max()) < 0.01 for view, index in zip(views, nearest, strict=True)
    )
    # 400 draws of 1/4 spread by sqrt(400 * 3 / 16) = 8.7.
    assert np.abs(np.bincount(nearest, minlength=4) - 100).max() < 4 * 8.7


def sampled(
    crop: NDArray[np.uint8], matrix: NDArray[np.float64], shift: NDArray[np.float64]
) -> NDArray[np.float64]:
    """scipy's answer: the place that each pixel comes from, around the middle, in pixels, x before y."""
    middle = (crop.shape[0] - 1) / 2
    swapped, moved = matrix[::-1, ::-1], shift[::-1]
    offset = middle + moved - swapped @ np.full(2, middle)
    return np.stack(
        [
            ndimage.affine_transform(crop[..., channel].astype(np.float64), swapped, offset, order=1, mode="nearest")
            for channel in range(3)
        ],
        axis=2,
    )  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_turn_is_a_turn_by_the_drawn_angle(seed: int) -> None:
    crop = uneven(1)
    view = levels(augmented(crop, 48, Augment(rotation=180), drawing(seed)))[0]
    angle = math.radians(360 * float(torch.rand(1, generator=drawing(seed))) - 180)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    assert abs(angle) > 0.1
    assert np.abs(view - sampled(crop[0].numpy(), turn, np.zeros(2))).max() < 0.5


def test_turns_fill_their_range_and_stay_in_it() -> None:
    """A point off the middle shows where it was turned to."""
    crops = torch.zeros(300, 65, 65, 3, dtype=torch.uint8)
    crops[:, 30:35, 50:55] = 255
    views = levels(augmented(crops, 65, Augment(rotation=20), drawing()))[..., 0]
    places = np.array([ndimage.center_of_mass(view) for view in views]) - 32
    angles = np.degrees(np.arctan2(places[:, 0], places[:, 1]))
    assert np.abs(angles).max() < 20.5
    assert angles.max() > 18
    assert angles.min() < -18
    np.testing.assert_allclose(np.hypot(*places.T), 20, atol=0.3)


def test_shifts_are_shares_of_the_view() -> None:
    crops = torch.zeros(300, 60, 60, 3, dtype=torch.uint8)
    crops[:, 28:32, 28:32] = 255
    views = levels(augmented(crops, 40, Augment(shift=0.2, margin=1.5), drawing()))[..., 0]
    places = np.array([ndimage.center_of_mass(view) for view in views]) - 19.5
    assert np.abs(places).max() < 0.2 * 40 + 0.3
    assert (np.abs(places).max(axis=0) > 0.18 * 40).all()


def test_scale_enlarges_between_its_bounds() -> None:
    crops = torch.zeros(200, 80, 80, 3, dtype=torch.uint8)
    crops[:, 30:50, 30:50] = 255
    views = levels(augmented(crops, 80, Augment(scale=(0.5, 2.0)), drawing()))[..., 0]
    sides = np.sqrt(views.sum(axis=(1, 2)) / 255) / 20
    assert sides.min() > 0.48
    assert sides.max() < 2.05
    assert sides.min() < 0.55
    assert sides.max() > 1.85
    assert float(np.median(sides)) == pytest.approx(1, abs=0.15)


def test_shear_leans_by_up_to_its_angle_and_keeps_the_area() -> None:
    crops = torch.zeros(200, 80, 80, 3, dtype=torch.uint8)
    crops[:, 25:55, 25:55] = 255
    views = levels(augmented(crops, 80, Augment(shear=20), drawing()))[..., 0]
    np.testing.assert_allclose(views.sum(axis=(1, 2)) / 255, 900, rtol=0.03)
    rows, columns = np.mgrid[:80, :80] - 39.5
    # The second moments of a sheared square: covariance over variance is the shear's tangent.
    leaning = (views * rows * columns).sum(axis=(1, 2)) / (views * rows**2).sum(axis=(1, 2))
    assert np.abs(leaning).max() < math.tan(math.radians(20)) * 1.1
    assert np.abs(leaning).max() > math.tan(math.radians(16))


def test_beyond_the_edge_the_edge_goes_on() -> None:
    crops = torch.full((20, 40, 40, 3), 200, dtype=torch.uint8)
    views = levels(augmented(crops, 40, Augment(rotation=180, shift=0.4), drawing()))
    assert np.abs(views - 200).max() < 0.1


def test_grey_shows_its_share_without_colour() -> None:
    views = augmented(uneven(1).expand(400, -1, -1, -1), 24, Augment(grey=0.25), drawing())
    spread = (views.amax(dim=1) - views.amin(dim=1)).amax(dim=(1, 2))
    assert abs(int((spread < 1e-5).sum()) - 100) < 4 * math.sqrt(400 * 0.25 * 0.75)


def test_blur_touches_its_share_keeps_the_mean_and_softens() -> None:
    crops = torch.from_numpy(np.random.default_rng(0).integers(0, 235, (1, 32, 32, 3)).astype(np.uint8))
    views = augmented(crops.expand(200, -1, -1, -1), 32, Augment(blur=0.5), drawing())
    plain = to_input(crops)[0]
    changed = ((views - plain).abs().amax(dim=(1, 2, 3)) > 0.01).numpy()
    assert abs(int(changed.sum()) - 100) < 4 * math.sqrt(50)
    assert bool((views[changed].std(dim=(1, 2, 3)) < plain.std()).all())
    means = views.mean(dim=(1, 2, 3)).numpy()
    np.testing.assert_allclose(means, float(plain.mean()), atol=0.03)


def test_stain_changes_the_density_of_each_dye_alone() -> None:
    """Pure haematoxylin stays haematoxylin: its density is scaled, its hue kept."""
    density = 0.6 * STAINS[0].numpy()
    pixel = np.rint(235 * np.exp(-density)).astype(np.uint8)
    crops = torch.from_numpy(np.broadcast_to(pixel, (100, 8, 8, 3)).copy())
    views = levels(augmented(crops, 8, Augment(stain=0.3), drawing()))[:, 4, 4]
    found = -np.log(views / 235)
    amount = found @ STAINS[0].numpy() / (STAINS[0].numpy() @ STAINS[0].numpy()) / 0.6
    assert amount.min() > 0.69
    assert amount.max() < 1.31
    assert np.ptp(amount) > 0.45
    assert np.abs(found - 0.6 * amount[:, None] * STAINS[0].numpy()).max() < 0.02


def test_empty_ground_takes_no_stain() -> None:
    crops = torch.full((20, 8, 8, 3), 235, dtype=torch.uint8)
    assert np.abs(levels(augmented(crops, 8, Augment(stain=0.9), drawing())) - 235).max() < 0.1


def test_colour_changes_brightness_by_half_of_its_share_around_the_mean() -> None:
    crops = torch.full((300, 8, 8, 3), 120, dtype=torch.uint8)
    views = levels(augmented(crops, 8, Augment(colour=0.2), drawing()))
    # On even grey neither contrast nor saturation has anything to change.
    assert views.min() > 120 * 0.9 - 0.1
    assert views.max() < 120 * 1.1 + 0.1
    assert np.ptp(views) > 0.18 * 120


def test_mixed_absorbances_are_those_of_the_law_of_beer_and_lambert() -> None:
    views = torch.rand(3, 3, 5, 4, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    shown = mixed(views, 0.2, torch.Generator().manual_seed(1))
    mixing = np.eye(3) + 0.2 * torch.randn(3, 3, 3, generator=torch.Generator().manual_seed(1)).numpy()
    for view, matrix, given in zip(shown.numpy(), mixing, views.numpy(), strict=True):
        density = -np.log(given.reshape(3, -1)).T @ matrix
        expected = np.exp(-np.maximum(density, 0)).T.reshape(view.shape)
        assert np.allclose(view, expected, atol=1e-5)


def test_mixing_leaves_white_white_and_nothing_where_it_is_nothing() -> None:
    white = torch.ones(2, 3, 4, 4)
    assert torch.equal(mixed(white, 0.5, torch.Generator().manual_seed(0)), white)
    views = torch.rand(2, 3, 4, 4) * 0.9 + 0.05
    assert torch.allclose(mixed(views, 0.0, torch.Generator().manual_seed(0)), views, atol=1e-6)


def test_exchanged_views_keep_their_phases_and_fine_amplitudes() -> None:
    views = torch.rand(6, 3, 40, 40, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    shown = exchanged(views, 1.0, torch.Generator().manual_seed(1))
    before, after = np.fft.fft2(views.numpy()), np.fft.fft2(shown.numpy())
    frequency = np.abs(np.fft.fftfreq(40))
    coarse = np.maximum(frequency[:, None], frequency[None]) <= COARSE
    assert np.allclose(np.abs(after)[..., ~coarse], np.abs(before)[..., ~coarse], atol=1e-3)
    assert np.allclose(np.angle(after * before.conj()), 0, atol=1e-2)
    low, high = (np.abs(before)[..., coarse].min(axis=0), np.abs(before)[..., coarse].max(axis=0))
    moved = np.abs(after)[..., coarse]
    assert ((low - 1e-3 <= moved) & (moved <= high + 1e-3)).all()
    assert not np.allclose(moved, np.abs(before)[..., coarse], atol=0.1)


def test_no_view_changes_where_none_is_to_exchange() -> None:
    views = torch.rand(4, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(exchanged(views, 0.0, torch.Generator().manual_seed(1)), views, atol=1e-5)


@pytest.mark.parametrize("change", [{"mixing": 0.2}, {"exchange": 1.0}, {"density": 0.3}])
def test_a_stain_that_is_asked_for_changes_views(change: dict[str, float]) -> None:
    crops = torch.randint(0, 230, (4, 16, 16, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    plain = augmented(crops, 16, Augment(), drawing())
    assert (augmented(crops, 16, Augment.model_validate(change), drawing()) - plain).abs().max() > 0.02


def test_thinner_stain_scales_every_absorbance_alike_and_leaves_white() -> None:
    views = torch.rand(5, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    views[:, :, 0] = 1
    shown = thinned(views, 0.4, torch.Generator().manual_seed(1))
    factor = torch.exp(0.4 * torch.randn(5, generator=torch.Generator().manual_seed(1)))
    assert torch.allclose(-torch.log(shown), -torch.log(views) * factor[:, None, None, None], atol=1e-5)
    assert torch.equal(shown[:, :, 0], torch.ones(5, 3, 6))


def test_only_a_share_of_crops_is_shown_in_a_strange_stain() -> None:
    crops = torch.randint(0, 230, (400, 8, 8, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    plain = augmented(crops, 8, Augment(), drawing())
    some = augmented(crops, 8, Augment(mixing=0.3, strange=0.25), drawing())
    changed = (some - plain).abs().amax(dim=(1, 2, 3)) > 1e-4
    assert 0.18 < changed.double().mean() < 0.32
