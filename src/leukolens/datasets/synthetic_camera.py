"""Photographs a drawn field: light, optics, dust, sensor."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from leukolens.datasets.synthetic_paint import Floats, smooth_noise


@dataclass(frozen=True, slots=True)
class Camera:
    """How a field was photographed.

    Attributes:
        blur: Deviation of the optics' blur, pixels.
        noise: Deviation of the sensor's noise, levels of 255.
        tilt: Change of the light from the middle to the right and to the lower edge, as shares.
        vignette: Loss of light from the middle to the corners, as a share.
        fringe: Shift of red against blue, pixels.
        dust: Specks on the sensor.
    """

    blur: float = 0.6
    noise: float = 1.2
    tilt: tuple[float, float] = (0.0, 0.0)
    vignette: float = 0.0
    fringe: float = 0.0
    dust: int = 0

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Camera:
        """A microscope's camera as one meets it."""
        return cls(
            blur=float(rng.uniform(0.45, 0.85)),
            noise=float(rng.uniform(0.8, 2.0)),
            tilt=(float(rng.normal(0, 0.02)), float(rng.normal(0, 0.02))),
            vignette=float(rng.uniform(0.0, 0.06)),
            fringe=float(rng.uniform(0.0, 0.5)),
            dust=int(rng.integers(0, 5)),
        )


def photograph(
    rng: np.random.Generator, density: Floats, ground: Floats, camera: Camera
) -> NDArray[np.uint8]:
    """Light through the field (the law of Beer and Lambert), through the optics, onto the sensor.

    Args:
        rng: Draws dust and noise.
        density: (h, w, 3), natural-log absorbance.
        ground: (3,), RGB of the empty slide, 0 to 255.
        camera: How it is photographed.

    Returns:
        (h, w, 3).
    """
    height, width = density.shape[:2]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    light = 1 + camera.tilt[0] * x + camera.tilt[1] * y - camera.vignette / 2 * (x * x + y * y)
    image: Floats = np.asarray(np.exp(-density) * ground * light[..., None], np.float32)
    for _ in range(camera.dust):
        _speck(rng, image)
    if camera.blur > 0:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), camera.blur), np.float32)
    if camera.fringe > 0:
        _fringe(image, camera.fringe, float(rng.uniform(0, 2 * np.pi)))
    if camera.noise > 0:
        grain = smooth_noise(rng, height, width, 1.3)[..., None]
        grain = 0.7 * grain + 0.7 * rng.standard_normal(image.shape, dtype=np.float32)
        image = image + np.float32(camera.noise) * grain
    return np.asarray(np.clip(np.rint(image), 0, 255), dtype=np.uint8)


def _speck(rng: np.random.Generator, image: Floats) -> None:
    """A faint ring, as dust far out of focus draws it."""
    x, y = rng.integers((0, 0), (image.shape[1], image.shape[0]))
    shade = np.ones(image.shape[:2], np.float32)
    cv2.circle(shade, (int(x), int(y)), int(rng.integers(2, 5)), 0.93, 1, cv2.LINE_AA)
    image *= shade[..., None]


def _fringe(image: Floats, pixels: float, direction: float) -> None:
    """Shifts red one way and blue the other, as a lens does away from its axis."""
    for channel, sign in ((0, 0.5), (2, -0.5)):
        across, down = sign * pixels * np.cos(direction), sign * pixels * np.sin(direction)
        move = np.array([[1, 0, across], [0, 1, down]], np.float32)
        plane = np.ascontiguousarray(image[..., channel])
        image[..., channel] = cv2.warpAffine(
            plane, move, (plane.shape[1], plane.shape[0]), borderMode=cv2.BORDER_REPLICATE
        )
