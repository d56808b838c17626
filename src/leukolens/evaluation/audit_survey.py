"""The audit's one pass through every image: can it be read, does it hold a cell, what does it look like."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from leukolens.datasets.base import Sample
from leukolens.datasets.matching import fingerprint
from leukolens.errors import ImageError
from leukolens.imaging.color import BLACKEST
from leukolens.imaging.decode import decode
from leukolens.imaging.nucleus import Nucleus, find_nucleus

THUMBNAIL = 16


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One image, as the audit saw it.

    Attributes:
        name: Path below the data set's folder, with forward slashes.
        sample: What the data set says of it.
        photograph: The source photograph that it belongs to, as far as file names tell: unique in the set.
        problem: Why it cannot be read; empty where it can.
        digest: Of its pixels; equal pixels in files of different names have equal digests.
        nucleus: The most conspicuous one; None where there is none.
        black: Share of the image that is black, as the corners of turned copies are.
        thumbnail: float32 (768,), 16x16 RGB, mean 0 and length 1; zeros where it cannot be read.
    """

    name: str
    sample: Sample
    photograph: str
    problem: str
    digest: str
    nucleus: Nucleus | None
    black: float
    thumbnail: NDArray[np.float32]

    @property
    def path(self) -> Path:
        """The image file."""
        return self.sample.path

    @property
    def label(self) -> str:
        """Its class key."""
        return self.sample.label

    @property
    def split(self) -> str:
        """Its split."""
        return self.sample.split


def look(name: str, sample: Sample, photograph: str) -> Seen:
    """Reads one image; never raises for a bad one."""
    try:
        rgb = decode(sample.path)
    except ImageError as error:
        nothing = np.zeros(3 * THUMBNAIL**2, np.float32)
        return Seen(name, sample, photograph, error.reason, "", None, 1.0, nothing)
    return seen(rgb, name, sample, photograph, find_nucleus(rgb))


def seen(
    rgb: NDArray[np.uint8], name: str, sample: Sample, photograph: str, nucleus: Nucleus | None = None
) -> Seen:
    """An image uint8 (height, width, 3) that was read already; its nucleus may be left out."""
    digest = hashlib.blake2b(rgb.tobytes() + repr(rgb.shape).encode(), digest_size=16).hexdigest()
    small = cv2.resize(rgb, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    black = float((small.max(axis=2) < 2 * BLACKEST).mean())
    return Seen(name, sample, photograph, "", digest, nucleus, black, fingerprint(rgb, THUMBNAIL))


@dataclass(frozen=True, slots=True)
class Photograph:
    """A source photograph with all of its copies within one split.

    Attributes:
        key: Unique in the set, e.g. ``TRAIN/NEUTROPHIL/12``.
        label: Class key.
        split: Its split.
        images: Its copies, those that show it best first: readable, with a cell, least black.
    """

    key: str
    label: str
    split: str
    images: tuple[Seen, ...]

    @property
    def face(self) -> Seen:
        """The copy that shows it best."""
        return self.images[0]


def gather(images: Iterable[Seen]) -> tuple[Photograph, ...]:
    """The photographs that these images are copies of, sorted by key with numbers in their order."""
    copies: dict[str, list[Seen]] = {}
    for image in images:
        copies.setdefault(image.photograph, []).append(image)
    found = [
        Photograph(key, best[0].label, best[0].split, tuple(best))
        for key, those in copies.items()
        if (best := sorted(those, key=_clarity))
    ]
    return tuple(sorted(found, key=lambda photograph: in_natural_order(photograph.key)))


def _clarity(image: Seen) -> tuple[bool, bool, float, str]:
    return bool(image.problem), image.nucleus is None, image.black, image.name


def in_natural_order(text: str) -> tuple[tuple[bool, int, str], ...]:
    """A key to sort by in which 9 comes before 10."""
    parts: list[str] = []
    for character in text:
        if parts and parts[-1][-1].isdigit() == character.isdigit():
            parts[-1] += character
        else:
            parts.append(character)
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)
