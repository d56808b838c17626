from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

from leukolens.datasets.synthetic_camera import Camera, photograph

GROUND = np.array([220, 210, 200], np.float32)


def shot(density: np.ndarray, camera: Camera, seed: int = 0) -> np.ndarray:
    return photograph(np.random.default_rng(seed), density.astype(np.float32), GROUND, camera)


class TestPhotograph:
    @pytest.mark.parametrize("absorbance", [0.0, 0.3, 2.0])
    def test_light_is_absorbed_as_beer_and_lambert_say(self, absorbance: float) -> None:
        image = shot(np.full((8, 8, 3), absorbance), Camera(blur=0, noise=0))
        assert image == pytest.approx(np.broadcast_to(GROUND * np.exp(-absorbance), image.shape), abs=0.51)

    def test_blur_is_gaussian(self) -> None:
        density = np.zeros((41, 41, 3))
        density[15:26, 15:26] = 1
        sharp = np.exp(-density) * GROUND
        expected = scipy.ndimage.gaussian_filter(sharp, (2, 2, 0), mode="mirror")
        assert shot(density, Camera(blur=2, noise=0)) == pytest.approx(expected, abs=1.5)

    def test_noise_has_the_deviation_asked_for(self) -> None:
        image = shot(np.zeros((120, 160, 3)), Camera(blur=0, noise=3))
        assert float(image.astype(float).std(axis=(0, 1)).mean()) == pytest.approx(3, rel=0.2)

    def test_light_falls_off_to_the_corners_and_tilts(self) -> None:
        image = shot(np.zeros((60, 80, 3)), Camera(blur=0, noise=0, vignette=0.1)).astype(float)
        assert image[0, 0] == pytest.approx(0.9 * GROUND, abs=0.6)
        assert image[30, 40] == pytest.approx(GROUND, abs=0.6)
        tilted = shot(np.zeros((60, 80, 3)), Camera(blur=0, noise=0, tilt=(0.1, 0))).astype(float)
        assert tilted[:, -1].mean() > tilted[:, 0].mean() + 15

    def test_red_and_blue_shift_apart(self) -> None:
        density = np.zeros((40, 40, 3))
        density[15:25, 15:25] = 2
        image = 255.0 - shot(density, Camera(blur=0, noise=0, fringe=4))
        red, blue = (np.array(scipy.ndimage.center_of_mass(image[..., c] - image[0, 0, c])) for c in (0, 2))
        assert np.hypot(*(red - blue)) == pytest.approx(4, abs=0.3)

    def test_sampled_cameras_are_within_reason(self) -> None:
        rng = np.random.default_rng(0)
        for camera in (Camera.sample(rng) for _ in range(50)):
            assert 0 < camera.blur < 1.5
            assert 0 < camera.noise < 4
            assert 0 <= camera.vignette < 0.2
