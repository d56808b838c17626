"""What learns from a laboratory's cells: the last layer alone, or more, where a caller brings what it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from leukolens.adaptation.learning import FOLDS, learn
from leukolens.adaptation.local import Local
from leukolens.adaptation.onnx_head import Head
from leukolens.adaptation.replay import Replay


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """Cells to learn from.

    Attributes:
        crops: uint8 (n, size, size, 3).
        looks: float32 (n, sides, d), what the parent's last layer sees of them, from each side.
        truth: int64 (n,), index into the bundle's classes.
        groups: int64 (n,), what must not be torn apart.
    """

    crops: NDArray[np.uint8]
    looks: NDArray[np.float32]
    truth: NDArray[np.int64]
    groups: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.truth)

    def only(self, mask: NDArray[np.bool_]) -> Taught:
        """The cells where ``mask`` is true."""
        return Taught(self.crops[mask], self.looks[mask], self.truth[mask], self.groups[mask])


@dataclass(frozen=True, slots=True, eq=False)
class Own:
    """What a laboratory's cells made of a bundle's network.

    Attributes:
        head: The last layer.
        strength: Of the prior that it was learned under; None where none was chosen.
        classifier: The graph; what counts of it is what comes before the last layer. None where that is the parent's.
        normalisation: Its scale and shift, as a bundle carries them; None where they are the parent's.
    """

    head: Head
    strength: float | None = None
    classifier: bytes | None = None
    normalisation: bytes | None = None


Learner = Callable[[Taught, Replay | None, np.random.Generator], Own]


@dataclass(frozen=True, slots=True)
class Teacher:
    """A way to learn.

    Attributes:
        method: What the card calls it.
        folds: Outer folds to judge it by, each of which learns anew.
        learn: Learns from cells, beside features of the bundle's own where it carries any; everything that has to be
            chosen is chosen inside, from these cells alone.
    """

    method: Literal["head", "network"]
    folds: int
    learn: Learner


def head_teacher(old: Head, threads: int = 1) -> Teacher:
    """Teaches the last layer alone, from the parent's features; takes no torch.

    Args:
        old: The parent's last layer.
        threads: To learn on.
    """

    def teach(taught: Taught, replay: Replay | None, rng: np.random.Generator) -> Own:
        learned = learn(old, taught.looks, taught.truth, taught.groups, replay, rng, threads)
        return Own(learned.head, learned.strength)

    return Teacher("head", FOLDS, teach)


def all_of(local: Local) -> Taught:
    """A laboratory's cells, to learn from."""
    _, groups = np.unique(np.array(local.groups), return_inverse=True)
    return Taught(local.crops, local.looks, local.truth, groups.astype(np.int64))
