"""What drawn smears are painted with: stains as optical densities, soft shapes, and textures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

WHITE = 235.0


@dataclass(frozen=True, slots=True, eq=False)
class Stain:
    """The colours of one slide.

    Attributes:
        ground: RGB of the empty slide, float32 (3,), 0 to 255.
        densities: Float32 (3,) natural-log absorbance of red, green and blue light, by what is stained.
    """

    ground: Floats
    densities: dict[str, Floats]

    def __getitem__(self, stained: str) -> Floats:
        """The absorbance of what is stained, e.g. ``haemoglobin``."""
        return self.densities[stained]


# Three ways that Romanowsky stains come out, as sRGB over a ground of 235: violet as in a student's
# microscope (Wright), magenta as in a warm-lit laboratory (Giemsa), indigo as in an automated stainer
# (May-Grünwald-Giemsa). Read off real smears, pure where those are mixed with what lies between.
_LOOKS: dict[str, tuple[str, str, str]] = {
    "ground": ("d5d8d1", "deb9ab", "fde4ca"),
    "haemoglobin": ("cda8a2", "ab8baa", "b7a1b3"),
    "chromatin": ("6f48dc", "54107f", "3a1496"),
    "chromatin pale": ("a27bec", "94389a", "7148ac"),
    "neutrophil cytoplasm": ("d6bede", "d2b0cc", "ccb2d0"),
    "neutrophil granule": ("cfa6d2", "bc84ae", "a682b0"),
    "eosinophil cytoplasm": ("e0bccb", "d6a8b8", "d6acb8"),
    "eosinophil granule": ("d28a9c", "c07a90", "c87c88"),
    "basophil cytoplasm": ("cba6de", "c48fc8", "be97cb"),
    "basophil granule": ("5426b4", "4c1080", "30107c"),
    "lymphocyte cytoplasm": ("a3bce8", "b0b2dc", "a3addb"),
    "monocyte cytoplasm": ("bfc3dd", "bfb0cf", "aaa9cf"),
    "azurophil": ("9a5fc0", "93407f", "8a4a9c"),
    "platelet": ("9a78d6", "8a4aa0", "6c4ba6"),
    "platelet rim": ("ccc4e8", "cdb4d4", "bfb0d6"),
}


def mix_stain(rng: np.random.Generator) -> Stain:
    """A stain between the three looks, weaker or stronger, with a cast of its own."""
    weights = rng.dirichlet((2.2, 0.8, 0.5))
    strength = float(rng.uniform(0.92, 1.12))
    cast = rng.normal(1.0, 0.03, 3)
    ground = weights @ np.stack([_levels(colour) for colour in _LOOKS["ground"]])
    densities = {}
    for stained, colours in _LOOKS.items():
        if stained != "ground":
            absorbance = weights @ np.stack([-np.log(_levels(colour) / WHITE) for colour in colours])
            densities[stained] = (absorbance * strength * cast).clip(0).astype(np.float32)
    return Stain(ground.astype(np.float32), densities)


def _levels(colour: str) -> NDArray[np.float64]:
    return np.array([int(colour[start : start + 2], 16) for start in (0, 2, 4)], dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A square work surface around one cell.

    Attributes:
        x: Float32 (n, n), micrometres right of the centre.
        y: Float32 (n, n), micrometres below the centre.
        scale: Pixels per micrometre.
    """

    x: Floats
    y: Floats
    scale: float

    @classmethod
    def around(cls, reach: float, scale: float) -> Patch:
        """A patch that reaches this many micrometres from its centre; its side is even."""
        half = int(np.ceil(reach * scale))
        axis = ((np.arange(2 * half) - half + 0.5) / scale).astype(np.float32)
        return cls(np.tile(axis, (2 * half, 1)), np.tile(axis[:, None], (1, 2 * half)), scale)

    def warped(self, rng: np.random.Generator, grain: float, amount: float) -> Patch:
        """The same surface with its coordinates displaced, so that shapes on it lose their geometry."""
        return Patch(
            self.x + amount * self.noise(rng, grain), self.y + amount * self.noise(rng, grain), self.scale
        )

    def noise(self, rng: np.random.Generator, grain: float) -> Floats:
        """Smooth noise with blotches of about ``grain`` micrometres; mean 0, deviation about 1."""
        return smooth_noise(rng, self.x.shape[0], self.x.shape[1], grain * self.scale)

    def outline(self, rng: np.random.Generator, radius: float, wobble: Sequence[float]) -> Floats:
        """Signed distance in micrometres to a wavy closed line, negative inside.

        Args:
            rng: Draws the phases.
            radius: Mean radius, micrometres.
            wobble: Amplitude of the second, third, ... harmonic as a share of the radius.
        """
        angle = np.arctan2(self.y, self.x)
        edge = np.ones_like(angle)
        for harmonic, amplitude in enumerate(wobble, start=2):
            edge += amplitude * np.cos(harmonic * angle + rng.uniform(0, 2 * np.pi))
        return np.asarray(np.hypot(self.x, self.y) - radius * edge, dtype=np.float32)

    def ellipse(self, x: float, y: float, long: float, short: float, angle: float) -> Floats:
        """About the signed distance to an ellipse with these half axes, micrometres and radians."""
        cosine, sine, long, short = float(np.cos(angle)), float(np.sin(angle)), float(long), float(short)
        dx, dy = self.x - float(x), self.y - float(y)
        along, across = (dx * cosine + dy * sine) / long, (dy * cosine - dx * sine) / short
        return np.asarray((np.hypot(along, across) - 1) * min(long, short), dtype=np.float32)

    def strand(self, start: NDArray[np.float64], end: NDArray[np.float64], radius: float) -> Floats:
        """Signed distance to a thread of this radius between two points, micrometres."""
        x0, y0, dx, dy = (float(value) for value in (*start, *(end - start)))
        share = ((self.x - x0) * dx + (self.y - y0) * dy) / max(dx * dx + dy * dy, 1e-6)
        share = np.clip(share, 0, 1)
        gap = np.hypot(self.x - x0 - share * dx, self.y - y0 - share * dy)
        return np.asarray(gap - radius, dtype=np.float32)

    def grains(
        self, rng: np.random.Generator, where: NDArray[np.bool_], diameter: float, spacing: float
    ) -> Floats:
        """Packed round granules, each of its own size and strength.

        Args:
            rng: Draws them.
            where: Bool (n, n), where a granule's centre may lie.
            diameter: Mean diameter, micrometres.
            spacing: Mean distance of neighbours, micrometres.

        Returns:
            Float32 (n, n), 0 where there is none, up to 1.
        """
        side, step = self.x.shape[0], spacing * self.scale
        rows, columns = np.mgrid[0 : side : step * 0.87, 0:side:step]
        columns[1::2] += step / 2
        centres = np.stack([columns.ravel(), rows.ravel()], axis=1)
        centres = centres + rng.normal(0, 0.22 * step, centres.shape)
        pixels = np.clip(centres, 0, side - 1).astype(int)
        centres = centres[where[pixels[:, 1], pixels[:, 0]]]
        rng.shuffle(centres)
        radii = 8 * self.scale * diameter / 2 * rng.uniform(0.7, 1.25, len(centres))
        strengths = rng.integers(140, 256, len(centres))
        drawn = np.zeros(self.x.shape, np.uint8)
        for (x, y), radius, strength in zip((8 * centres).astype(int), radii, strengths, strict=True):
            cv2.circle(drawn, (int(x), int(y)), int(radius), int(strength), -1, cv2.LINE_AA, 3)
        return soften(drawn.astype(np.float32) / np.float32(255), 0.16 * diameter * self.scale)


def smooth_noise(rng: np.random.Generator, height: int, width: int, grain: float) -> Floats:
    """Noise (height, width) with blotches of about ``grain`` pixels; mean 0, deviation about 1."""
    grain = max(grain, 1.0)
    coarse = rng.standard_normal((int(height / grain) + 3, int(width / grain) + 3), dtype=np.float32)
    size = int(np.ceil(coarse.shape[1] * grain)), int(np.ceil(coarse.shape[0] * grain))
    fine = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(fine[:height, :width] * 1.35, dtype=np.float32)


def taken_up(absorbance: Floats, amount: NDArray[np.floating]) -> Floats:
    """Density (n, n, 3) of a stain, (3,), taken up in this amount, (n, n)."""
    return np.asarray(absorbance * amount[..., None], dtype=np.float32)


def inside(distance: Floats, softness: float) -> Floats:
    """A mask from a signed distance: 1 inside, 0 outside, a soft edge as wide as ``softness``."""
    return np.asarray(np.clip(0.5 - distance / softness, 0, 1), dtype=np.float32)


def join(distances: Sequence[Floats], blend: float) -> Floats:
    """The signed distance to the union of shapes, with necks rounded over ``blend`` micrometres."""
    whole = distances[0]
    for other in distances[1:]:
        share = np.clip(0.5 + 0.5 * (other - whole) / blend, 0, 1)
        whole = other + (whole - other) * share - blend * share * (1 - share)
    return np.asarray(whole, dtype=np.float32)


def step(values: Floats, low: float, high: float) -> Floats:
    """0 below ``low``, 1 above ``high``, smooth between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), dtype=np.float32)


def soften(values: Floats, sigma: float) -> Floats:
    """Gaussian blur over ``sigma`` pixels; unchanged where that is next to nothing."""
    if sigma < 0.2:
        return values
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), dtype=np.float32)
