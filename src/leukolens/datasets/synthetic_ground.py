"""Draws what stands between the white cells: red cells and platelets."""

from __future__ import annotations

import numpy as np

from leukolens.datasets.synthetic_paint import Floats, Patch, Stain, inside, step

RED_CELL_RADIUS = 3.7


def draw_red_cell(rng: np.random.Generator, stain: Stain, scale: float) -> Floats:
    """A red cell with its central pallor, as density (n, n, 3) to add to what lies below.

    The thickness follows the biconcave disc of Evans and Fung (Microvasc. Res. 4, 1972), flattened as
    it dries on the slide.

    Args:
        rng: Draws size, shape, pallor.
        stain: The slide's colours.
        scale: Pixels per micrometre.
    """
    radius = RED_CELL_RADIUS * rng.normal(1.0, 0.06)
    patch = Patch.around(radius * 1.3, scale)
    squeeze = rng.uniform(0, 0.08)
    edge = patch.outline(rng, radius, (squeeze, 0.02, 0.01))
    share = np.clip(1 + edge / radius, 0, 1)
    aside = rng.normal(0, 0.10, 2) * radius
    inner = np.hypot(patch.x - np.float32(aside[0]), patch.y - np.float32(aside[1])) / np.float32(radius)
    inner = np.clip(0.35 * inner + 0.65 * share, 0, 1)
    squared = inner * inner
    biconcave = np.sqrt(1 - np.minimum(squared, 0.97)) * (0.207 + 2.003 * squared - 1.123 * squared * squared)
    hollow = float(rng.choice((0.35, 0.75, 1.0), p=(0.2, 0.45, 0.35))) * rng.uniform(0.8, 1.1)
    pallor = step(inner, 0.18, rng.uniform(0.5, 0.66))
    thickness = 0.62 * (1 - hollow * 0.85 * (1 - pallor)) + 0.38 * biconcave / 0.9
    thickness = thickness * rng.uniform(0.8, 1.12) * (1 + 0.03 * patch.noise(rng, 1.2))
    rim = 1 + 0.22 * np.exp(-(((edge + 0.22) / 0.22) ** 2))
    return np.asarray((thickness * rim * inside(edge, 0.35))[..., None] * stain["haemoglobin"], np.float32)


def draw_platelet(rng: np.random.Generator, stain: Stain, scale: float) -> Floats:
    """A platelet: pale rim, purple granules gathered in the middle, as density (n, n, 3)."""
    radius = rng.uniform(0.85, 1.5)
    patch = Patch.around(radius * 1.7, scale)
    edge = patch.outline(rng, radius, (0.14, 0.08, 0.05)) + 0.10 * patch.noise(rng, 0.6)
    granules = step(-edge, 0.0, 0.8 * radius) * (0.75 + 0.25 * patch.noise(rng, 0.4)).clip(0, 1.3)
    density = stain["platelet rim"] + stain["platelet"] * (0.85 * granules[..., None])
    return np.asarray(density * inside(edge, 0.45)[..., None], np.float32)
