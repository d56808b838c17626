"""A laboratory's own bundle as a file: the parent's parts, the new last layer, and a card that says so."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import leukolens
from leukolens import bundle as bundles
from leukolens.adaptation.comparison import Change, Comparison
from leukolens.adaptation.local import Local
from leukolens.adaptation.onnx_head import Head, with_head
from leukolens.bundle import Bundle
from leukolens.card import Adapted, Card, Figure, LearnedFrom
from leukolens.datasets.folder import Folder
from leukolens.errors import BundleError
from leukolens.evaluation.ledger import code_commit
from leukolens.evaluation.measures import Measure
from leukolens.reading.choice import REFERENCE, WHOLE_NUMBERS
from leukolens.reading.classifier import Classifier
from leukolens.reading.engine import Engine
from leukolens.reading.inputs import scaled
from leukolens.reading.vectors import Vectors, from_bytes

CLOSE = 1e-3
CHECKED = 16


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What a laboratory's bundle is put together from, beside its card.

    Attributes:
        head: The new last layer.
        detector: The parent's graph, if it has one.
        familiarity: Bytes of what cells are familiar, if that is known.
        replay: The parent's, if it has one.
        normalisation: The parent's, if it has one; what was taken anew keeps its scale and shift.
        quick: The parent's graph in whole numbers; None where it has none, or layers below the last changed.
        vectors: The parent's, if it has them.
    """

    head: Head
    detector: bytes | None
    familiarity: bytes | None
    replay: bytes | None
    normalisation: bytes | None
    quick: bytes | None = None
    vectors: bytes | None = None


def write_own(
    card: Card, parts: Parts, classifier: bytes, part: Adapted, lab: str, crops: NDArray[np.uint8], out: Path
) -> Bundle:
    """Writes the parent with another head and card, once ONNX Runtime agrees with the head.

    Args:
        card: The parent's, with what was learned and judged.
        parts: What goes into it.
        classifier: The parent's graph.
        part: How it came about.
        lab: Key of the laboratory, for the name.
        crops: uint8 (n, size, size, 3), to check on.
        out: The new file.

    Raises:
        BundleError: Where the graph does not answer as the head does, or the file cannot be written.
    """
    graph = with_head(classifier, parts.head)
    # What was measured of the parent does not hold any more.
    card = card.model_copy(
        update={
            "name": f"{card.name}+{lab}",
            "leukolens": leukolens.__version__,
            "commit": code_commit(),
            "created": today(),
            "figures": [],
            "quick": None,
            "adapted": part,
        }
    )
    members = parts.detector, parts.familiarity, parts.replay, parts.normalisation
    plain = bundles.unpack(bundles.pack(card, graph, *members), str(out))
    _check(plain, parts.head, crops[:CHECKED])
    return bundles.save(card, graph, out, *members, *_quick(plain, parts, crops))


def _quick(plain: Bundle, parts: Parts, crops: NDArray[np.uint8]) -> tuple[bytes | None, bytes | None]:
    """The graph in whole numbers with the new last layer, if it names the cells alike, and test vectors."""
    if parts.vectors is None:
        return None, None
    shown = from_bytes(parts.vectors, plain.card.framing.size, len(plain.card.classes)).crops
    vectors = Vectors(shown, Engine(plain).logits(scaled(shown))).to_bytes()
    if parts.quick is None:
        return None, vectors
    carrying = replace(plain, quick=with_head(parts.quick, parts.head), vectors=vectors)
    named = Classifier(carrying, engine=WHOLE_NUMBERS)
    if named.choice.note:
        return None, vectors
    with ThreadPoolExecutor() as pool:
        expected, said = pool.map(
            lambda own: own.probabilities(crops).argmax(axis=1),
            (Classifier(carrying, engine=REFERENCE), named),
        )
    return (carrying.quick if np.array_equal(expected, said) else None), vectors


def _check(bundle: Bundle, head: Head, crops: NDArray[np.uint8]) -> None:
    """Asks ONNX Runtime whether the graph answers as the head does, and its maps add up to that."""
    engine, inputs = Engine(bundle), scaled(crops)
    logits, features = engine.logits_and_features(inputs)
    expected = head.logits(features)
    _, maps = engine.logits_and_activation(inputs)
    apart = max(
        float(np.abs(logits - expected).max()),
        float(np.abs(maps.mean(axis=(2, 3)) + head.bias - expected).max()),
    )
    if not apart <= CLOSE * max(1.0, float(np.abs(expected).max())):
        raise BundleError(
            f"the new graph answers otherwise than its last layer says (by {apart:.2g})",
            "Report it, with the version of onnxruntime",
        )


def learned_from(folder: Folder, local: Local) -> LearnedFrom:
    """The card's entry for the laboratory's folder."""
    groups = sorted(set(local.groups))
    return LearnedFrom(
        name=folder.root.resolve().name,
        lab=folder.lab,
        licence="the user's own",
        permissive=False,
        splits=["all"],
        images=len(local),
        groups=len(groups),
        groups_sha256=hashlib.sha256("".join(f"{group}\n" for group in groups).encode()).hexdigest(),
    )


def figures_of(comparison: Comparison | None) -> tuple[list[Figure], list[Figure], list[Figure]]:
    """Before, after and difference; nothing where nothing was compared."""
    lines: list[tuple[str, Change]] = []
    if comparison is not None:
        lines = [("accuracy", comparison.accuracy), ("balanced accuracy", comparison.balanced)]
        lines += [(f"{line.key} recall", line.recall) for line in comparison.classes]
    return (
        [_figure(name, change.before) for name, change in lines],
        [_figure(name, change.after) for name, change in lines],
        [_figure(name, change.difference) for name, change in lines],
    )


def _figure(name: str, measure: Measure) -> Figure:
    interval = measure.interval
    return Figure(
        name=name,
        value=measure.value,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
    )


def today() -> str:
    """The date, ISO 8601, UTC."""
    return datetime.now(UTC).date().isoformat()
