"""Pictures of anything but blood, made by code: there are no natural photographs among the data sets."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 224
Picture = NDArray[np.uint8]
Drawing = Callable[[np.random.Generator], Picture]


def noise(rng: np.random.Generator) -> Picture:
    """Every pixel alone."""
    return rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def blotches(rng: np.random.Generator) -> Picture:
    """Smooth noise of one of many scales."""
    cells = int(rng.integers(3, 40))
    wide = cv2.resize(
        rng.random((cells, cells, 3)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
    )
    return _bytes(255 * wide)


def gradient(rng: np.random.Generator) -> Picture:
    """One colour into another."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    return _mixed(rng, np.clip(np.cos(angle) * x + np.sin(angle) * y + 0.5, 0, 1))


def text(rng: np.random.Generator) -> Picture:
    """A page of letters."""
    page = np.full((SIDE, SIDE, 3), rng.integers(200, 256, 3), np.uint8)
    ink = tuple(int(value) for value in rng.integers(0, 120, 3))
    for line in range(int(rng.integers(3, 9))):
        word = "".join(chr(int(letter)) for letter in rng.integers(97, 123, 12))
        place = (int(rng.integers(-20, 30)), 30 + 24 * line)
        cv2.putText(page, word, place, int(rng.integers(0, 7)), rng.uniform(0.5, 1.3), ink, 2)
    return page


def spectrum(rng: np.random.Generator) -> Picture:
    """Noise whose spectrum falls as that of natural photographs does."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None])
    frequency[0, 0] = 1
    shared, channels = np.fft.fft2(rng.normal(size=(SIDE, SIDE))), []
    for _ in range(3):
        own = 0.8 * shared + 0.4 * np.fft.fft2(rng.normal(size=(SIDE, SIDE)))
        plane = np.fft.ifft2(own / frequency ** rng.uniform(0.9, 1.5)).real
        channels.append(
            128 + rng.uniform(30, 70) * (plane - plane.mean()) / plane.std() + rng.uniform(-40, 40)
        )
    return _bytes(np.stack(channels, axis=-1))


def leaves(rng: np.random.Generator) -> Picture:
    """Discs that hide each other (dead leaves, whose statistics are those of natural photographs)."""
    picture, hue = np.full((SIDE, SIDE, 3), rng.integers(0, 256, 3), np.uint8), rng.integers(0, 256, 3)
    for _ in range(400):
        radius = int(np.clip(4 / rng.random() ** 0.6, 3, 60))
        colour = tuple(int(value) for value in np.clip(hue + rng.normal(0, 50, 3), 0, 255))
        cv2.circle(picture, tuple(map(int, rng.integers(0, SIDE, 2))), radius, colour, -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 1.5)), np.uint8)


def landscape(rng: np.random.Generator) -> Picture:
    """A sky over ground with bushes."""
    sky, ground, horizon = rng.integers(120, 256, 3), rng.integers(20, 160, 3), int(rng.integers(60, 160))
    picture = np.zeros((SIDE, SIDE, 3), np.float32)
    picture[:horizon] = sky + np.linspace(-30, 30, horizon)[:, None, None]
    picture[horizon:] = ground
    picture += 36 * cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE, 3)).astype(np.float32), (0, 0), 1.5)
    for _ in range(8):
        middle, half = (
            (int(rng.integers(0, SIDE)), horizon),
            (int(rng.integers(8, 50)), int(rng.integers(10, 70))),
        )
        colour = tuple(float(value) for value in ground * rng.uniform(0.4, 1.2))
        cv2.ellipse(picture, middle, half, 0, 180, 360, colour, -1)
    return _bytes(picture)


def wood(rng: np.random.Generator) -> Picture:
    """Grain."""
    bent = cv2.resize(rng.normal(size=(8, 8)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    x = np.mgrid[:SIDE, :SIDE][1]
    return _mixed(rng, 0.5 + 0.5 * np.sin((x + 18 * bent) * rng.uniform(0.1, 0.5)))


def checks(rng: np.random.Generator) -> Picture:
    """A chessboard."""
    side = int(rng.integers(4, 40))
    y, x = np.mgrid[:SIDE, :SIDE]
    return _mixed(rng, ((x // side + y // side) % 2).astype(np.float64))


def disc(rng: np.random.Generator) -> Picture:
    """One plain disc on light ground: of all these the nearest to a cell."""
    picture = np.full((SIDE, SIDE, 3), rng.integers(200, 250, 3), np.uint8)
    colour = tuple(int(value) for value in rng.integers(30, 180, 3))
    cv2.circle(picture, (SIDE // 2, SIDE // 2), int(rng.integers(25, 80)), colour, -1, cv2.LINE_AA)
    return picture


DRAWINGS: tuple[Drawing, ...] = (
    noise, blotches, gradient, text, spectrum, leaves, landscape, wood, checks, disc,
)  # fmt: skip


def _mixed(rng: np.random.Generator, share: NDArray[np.floating]) -> Picture:
    """Two random colours, by the share (h, w) of the second."""
    first, second = rng.integers(0, 256, 3), rng.integers(0, 256, 3)
    return _bytes(first * (1 - share[..., None]) + second * share[..., None])


def _bytes(values: NDArray[np.floating]) -> Picture:
    return np.clip(values, 0, 255).astype(np.uint8)
