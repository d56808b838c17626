"""Draws the five leukocytes by what a haematologist tells them apart by.

Sizes, lobes and granules follow the descriptions of normal cells in the ICSH recommendations for the
standardization of nomenclature and grading of peripheral blood cell morphological features (Palmer et
al., Int. J. Lab. Hematol. 37, 2015) and in any atlas of haematology.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from leukolens.datasets.synthetic_nuclei import clumps, folded, lace, segments, vacuoles
from leukolens.datasets.synthetic_paint import Floats, Patch, Stain, inside, join, step, taken_up
from leukolens.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Leukocyte:
    """One white cell on a patch of its own.

    Attributes:
        label: Class key.
        density: Float32 (n, n, 3), natural-log absorbance.
        cover: Float32 (n, n), 1 where it hides what lies below.
        nucleus: Float32 (n, n), 1 in the nucleus.
        lobes: Segments of the nucleus.
        scale: Pixels per micrometre.
    """

    label: str
    density: Floats
    cover: Floats
    nucleus: Floats
    lobes: int
    scale: float


def draw_leukocyte(rng: np.random.Generator, label: str, stain: Stain, scale: float) -> Leukocyte:
    """One white cell of this class.

    Args:
        rng: Decides everything that differs between cells of one class.
        label: Class key, one of `DRAWN_CLASSES`.
        stain: The slide's colours.
        scale: Pixels per micrometre.

    Raises:
        DataError: Where there is no drawing for the class.
    """
    try:
        draw = _DRAW[label]
    except KeyError:
        raise DataError(f"there is no drawing for {label!r}", f"Draw one of {', '.join(_DRAW)}") from None
    return draw(rng, stain, scale)


def _neutrophil(rng: np.random.Generator, stain: Stain, scale: float) -> Leukocyte:
    radius = rng.uniform(6.3, 7.4)
    patch = Patch.around(radius * 1.25, scale)
    body = patch.outline(rng, radius, (0.05, 0.03, 0.015, 0.01))
    lobes = int(rng.choice((2, 3, 4, 5), p=(0.12, 0.40, 0.36, 0.12)))
    nucleus = segments(rng, patch, radius, lobes, total=0.35, closeness=0.94)
    speckle = step(patch.noise(rng, 0.28), 0.5, 1.6) + 0.6 * step(patch.noise(rng, 0.45), 0.9, 1.8)
    haze = 0.85 + 0.16 * patch.noise(rng, 1.3)
    cytoplasm = taken_up(stain["neutrophil cytoplasm"], haze)
    cytoplasm += taken_up(stain["neutrophil granule"], 0.45 * speckle)
    chromatin = clumps(rng, patch, 0.95, contrast=0.9)
    return _compose(
        "neutrophil",
        patch,
        stain,
        body=body,
        nucleus=nucleus,
        cytoplasm=cytoplasm,
        chromatin=chromatin,
        strength=1.0,
        lobes=lobes,
    )


def _eosinophil(rng: np.random.Generator, stain: Stain, scale: float) -> Leukocyte:
    radius = rng.uniform(6.6, 7.6)
    patch = Patch.around(radius * 1.25, scale)
    body = patch.outline(rng, radius, (0.05, 0.02, 0.015, 0.01)) + 0.10 * patch.noise(rng, 0.8)
    lobes = int(rng.choice((2, 3), p=(0.88, 0.12)))
    nucleus = segments(rng, patch, radius, lobes, total=0.31, closeness=0.85)
    grains = patch.grains(rng, (body < -0.25) & (nucleus > -0.15), diameter=0.85, spacing=0.80)
    cytoplasm = 0.9 * stain["eosinophil cytoplasm"] + taken_up(stain["eosinophil granule"], grains)
    chromatin = clumps(rng, patch, 1.1, contrast=0.7)
    return _compose(
        "eosinophil",
        patch,
        stain,
        body=body,
        nucleus=nucleus,
        cytoplasm=cytoplasm,
        chromatin=chromatin,
        strength=0.86,
        lobes=lobes,
    )


def _basophil(rng: np.random.Generator, stain: Stain, scale: float) -> Leukocyte:
    radius = rng.uniform(5.9, 6.9)
    patch = Patch.around(radius * 1.3, scale)
    body = patch.outline(rng, radius, (0.05, 0.03, 0.02, 0.015))
    nucleus = segments(rng, patch, radius, 2, total=0.42, closeness=0.8, blend=1.6)
    cytoplasm = taken_up(stain["basophil cytoplasm"], 0.9 + 0.2 * patch.noise(rng, 1.2))
    chromatin = clumps(rng, patch, 1.4, contrast=0.5)
    cell = _compose(
        "basophil",
        patch,
        stain,
        body=body,
        nucleus=nucleus,
        cytoplasm=cytoplasm,
        chromatin=chromatin,
        strength=0.62,
        lobes=2,
    )
    gaps = patch.noise(rng, 1.5)
    coarse = patch.grains(rng, (body < -0.05) & (gaps > -1.1), diameter=0.74, spacing=0.84)
    small = patch.grains(rng, body < -0.15, diameter=0.46, spacing=0.62)
    grains = np.maximum(coarse, 0.8 * small * (gaps > -1.4))
    density = cell.density * (1 - 0.75 * grains[..., None]) + taken_up(stain["basophil granule"], grains)
    cover = np.maximum(cell.cover, 0.9 * grains)
    return Leukocyte("basophil", density, cover, cell.nucleus, cell.lobes, scale)


def _lymphocyte(rng: np.random.Generator, stain: Stain, scale: float) -> Leukocyte:
    large = rng.random() < 0.25
    core = rng.uniform(4.2, 4.7) if large else rng.uniform(3.5, 4.3)
    rim = rng.uniform(1.0, 1.7) if large else rng.uniform(0.5, 0.95)
    patch = Patch.around((core + rim) * 1.3, scale)
    body = patch.outline(rng, core + rim, (0.05, 0.03, 0.02, 0.015)) + 0.10 * patch.noise(rng, 0.8)
    turn, lean = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.75) * rim
    aside = Patch(patch.x - np.float32(lean * np.cos(turn)), patch.y - np.float32(lean * np.sin(turn)), scale)
    nucleus = aside.warped(rng, 2.5, 0.12).outline(rng, core, (0.04, 0.025, 0.015))
    if rng.random() < 0.35:
        bite = rng.uniform(0, 2 * np.pi)
        notch = aside.ellipse(1.22 * core * np.cos(bite), 1.22 * core * np.sin(bite), 1.3, 1.0, bite)
        nucleus = -join([-nucleus, notch], 0.9)
    pale_zone = 0.75 + 0.35 * step(nucleus, 0.0, max(rim, 0.6))
    haze = pale_zone * (0.95 + 0.12 * patch.noise(rng, 0.9))
    cytoplasm = taken_up(stain["lymphocyte cytoplasm"], 1.15 * haze)
    chromatin = clumps(rng, patch, 1.5, contrast=0.55)
    return _compose(
        "lymphocyte",
        patch,
        stain,
        body=body,
        nucleus=nucleus,
        cytoplasm=cytoplasm,
        chromatin=chromatin,
        strength=1.02,
        lobes=1,
    )


def _monocyte(rng: np.random.Generator, stain: Stain, scale: float) -> Leukocyte:
    radius = rng.uniform(7.8, 9.0)
    patch = Patch.around(radius * 1.35, scale)
    body = patch.outline(rng, radius, (0.07, 0.05, 0.03, 0.025, 0.02)) + 0.18 * patch.noise(rng, 1.1)
    nucleus = folded(rng, patch, radius)
    dust = step(patch.noise(rng, 0.3), 1.1, 1.9)
    ground_glass = 0.95 + 0.13 * patch.noise(rng, 0.55) + 0.10 * patch.noise(rng, 1.8)
    cytoplasm = taken_up(stain["monocyte cytoplasm"], 1.1 * ground_glass)
    cytoplasm += taken_up(stain["azurophil"], 0.22 * dust)
    chromatin = lace(rng, patch)
    cell = _compose(
        "monocyte",
        patch,
        stain,
        body=body,
        nucleus=nucleus,
        cytoplasm=cytoplasm,
        chromatin=chromatin,
        strength=0.84,
        lobes=1,
    )
    holes = vacuoles(rng, patch, (body < -0.7) & (nucleus > -0.5))
    density = cell.density * (1 - 0.88 * holes[..., None])
    return Leukocyte("monocyte", density, cell.cover, cell.nucleus, 1, scale)


_DRAW: dict[str, Callable[[np.random.Generator, Stain, float], Leukocyte]] = {
    "neutrophil": _neutrophil,
    "eosinophil": _eosinophil,
    "basophil": _basophil,
    "lymphocyte": _lymphocyte,
    "monocyte": _monocyte,
}

DRAWN_CLASSES: tuple[str, ...] = tuple(_DRAW)


def _compose(
    label: str,
    patch: Patch,
    stain: Stain,
    *,
    body: Floats,
    nucleus: Floats,
    cytoplasm: Floats,
    chromatin: Floats,
    strength: float,
    lobes: int,
) -> Leukocyte:
    """Puts the nucleus into the cytoplasm and both into the cell's outline.

    Args:
        label: Class key.
        patch: Where.
        stain: The slide's colours.
        body: Signed distance to the cell's edge, micrometres.
        nucleus: Signed distance to the nucleus's edge, micrometres.
        cytoplasm: Density (n, n, 3).
        chromatin: (n, n), 1 dense, 0 pale.
        strength: How darkly this class's chromatin stains.
        lobes: Segments of the nucleus.
    """
    cover = inside(body, 0.35)
    core = inside(nucleus, 0.22) * cover
    membrane = np.exp(-(((nucleus + 0.16) / 0.2) ** 2))
    dense = np.clip(chromatin + 0.35 * membrane, 0, 1.1)[..., None]
    thickness = (strength * (0.90 + 0.10 * step(-nucleus, 0.0, 1.2)))[..., None]
    pale = stain["chromatin pale"]
    chromatic = (pale + (stain["chromatin"] - pale) * dense) * thickness
    edge = 1 + 0.35 * np.exp(-(((body + 0.3) / 0.3) ** 2))
    density = cytoplasm * edge[..., None]
    density = density + (chromatic - density) * core[..., None]
    return Leukocyte(
        label, np.asarray(density * cover[..., None], np.float32), cover, core, lobes, patch.scale
    )
