"""The shippable model: one file that holds ONNX graphs and a card that says what they are.

A bundle is a plain ZIP (stored, fixed dates, so equal content gives equal bytes) with the members
``card.json``, ``classifier.onnx`` and, where it can read whole fields, ``detector.onnx``; where it knows what
learned cells look like, ``familiarity.npz``; where it can be adapted without forgetting, ``replay.npz``; where its
normalisation can be taken anew from a laboratory's cells, ``normalisation.npz``; where it can be read in whole
numbers, ``quick.onnx``; where other engines than ONNX Runtime can be checked, ``vectors.npz``. Nothing in it is
executable; nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass, field
from importlib import resources
from io import BytesIO
from pathlib import Path

from pydantic import ValidationError

from leukolens.card import Card
from leukolens.errors import BundleError

SUFFIX = ".leukolens"
CARD_MEMBER = "card.json"
CLASSIFIER_MEMBER = "classifier.onnx"
DETECTOR_MEMBER = "detector.onnx"
FAMILIARITY_MEMBER = "familiarity.npz"
REPLAY_MEMBER = "replay.npz"
NORMALISATION_MEMBER = "normalisation.npz"
QUICK_MEMBER = "quick.onnx"
VECTORS_MEMBER = "vectors.npz"
OPTIONAL_MEMBERS = (
    DETECTOR_MEMBER, FAMILIARITY_MEMBER, REPLAY_MEMBER, NORMALISATION_MEMBER, QUICK_MEMBER, VECTORS_MEMBER
)  # fmt: skip
LARGEST_MEMBER = 256 * 2**20  # ResNet-50, the largest of the kin, takes 94


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle in memory.

    Attributes:
        card: What it is.
        classifier: The ONNX graph's bytes. Input ``crops``: float32 (n, 3, size, size), RGB, as
            ``value / 127.5 - 1``. Output ``logits``: float32 (n, classes). Output ``activation``
            (networks with a ``pool`` head only): float32 (n, classes, h, w), the exact class
            activation maps, whose mean over h and w plus the bias is ``logits``. Output ``features``
            (the same networks; older bundles lack it): float32 (n, d), what the last layer sees, so that
            ``logits`` are a linear map of them.
        sha256: Digest of the file, lower-case hexadecimal.
        detector: The detector's ONNX graph, None where it has none. Input ``fields``: float32
            (n, 3, h, w), balanced RGB as ``value / 127.5 - 1``, h and w multiples of 16. Outputs as
            `leukolens.models.detector.Peaks` gives them: ``heat``, float32 (n, kinds, h / 4, w / 4), and
            ``shape``, float32 (n, 4, h / 4, w / 4).
        familiarity: What learned cells look like, as `leukolens.reading.familiarity` packs it; None where
            the bundle cannot tell.
        replay: Features of cells that it learned from, as `leukolens.adaptation.replay` packs them; None
            where it carries none.
        normalisation: Scale and shift of the batch normalisation that was folded into each convolution of the
            classifier, as `leukolens.adaptation.normalisation` packs them; None where its network has none, and in
            older bundles.
        quick: The classifier's graph in 8-bit whole numbers, as `leukolens.training.quantise` makes it; None
            where it has none.
        vectors: Crops with the classifier's logits, as `leukolens.reading.vectors` packs them, by which other
            engines are checked; None where it has none.
    """

    card: Card
    classifier: bytes = field(repr=False)
    sha256: str
    detector: bytes | None = field(default=None, repr=False)
    familiarity: bytes | None = field(default=None, repr=False)
    replay: bytes | None = field(default=None, repr=False)
    normalisation: bytes | None = field(default=None, repr=False)
    quick: bytes | None = field(default=None, repr=False)
    vectors: bytes | None = field(default=None, repr=False)

    @property
    def members(self) -> tuple[bytes | None, ...]:
        """What it holds beside card and classifier, in the order in which `pack` and `save` take it."""
        return self.detector, self.familiarity, self.replay, self.normalisation, self.quick, self.vectors


def pack(
    card: Card,
    classifier: bytes,
    detector: bytes | None = None,
    familiarity: bytes | None = None,
    replay: bytes | None = None,
    normalisation: bytes | None = None,
    quick: bytes | None = None,
    vectors: bytes | None = None,
) -> bytes:
    """The bundle file's bytes; equal arguments give equal bytes."""
    members = (detector, familiarity, replay, normalisation, quick, vectors)
    optional = zip(OPTIONAL_MEMBERS, members, strict=True)
    parts = {CLASSIFIER_MEMBER: classifier} | {name: part for name, part in optional if part is not None}
    sizes = {name: len(part) for name, part in parts.items()}
    card = card.model_copy(update={"bytes_per_part": sizes})
    text = json.dumps(card.model_dump(by_alias=True), indent=2, ensure_ascii=False) + "\n"
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {CARD_MEMBER: text.encode(), **parts}.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return buffer.getvalue()


def save(
    card: Card,
    classifier: bytes,
    path: Path,
    detector: bytes | None = None,
    familiarity: bytes | None = None,
    replay: bytes | None = None,
    normalisation: bytes | None = None,
    quick: bytes | None = None,
    vectors: bytes | None = None,
) -> Bundle:
    """Writes the bundle so that a reader sees the old file or the new one, never a part.

    Raises:
        BundleError: Where the file cannot be written.
    """
    content = pack(card, classifier, detector, familiarity, replay, normalisation, quick, vectors)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except OSError as error:
        raise BundleError(
            f"{path} cannot be written ({error.strerror})", "Free some space or choose another path"
        ) from error
    finally:
        beside.unlink(missing_ok=True)  # gone already where it took its place; left where Ctrl-C came first
    return unpack(content, str(path))


def unpack(content: bytes, origin: str) -> Bundle:
    """The bundle in these bytes; ``origin`` names them in errors.

    Raises:
        BundleError: Where they are no bundle, a damaged one, or one of a later schema.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            optional = [name for name in OPTIONAL_MEMBERS if name in archive.namelist()]
            for name in (CARD_MEMBER, CLASSIFIER_MEMBER, *optional):
                if archive.getinfo(name).file_size > LARGEST_MEMBER:
                    raise BundleError(f"{origin}: {name} is too large for a bundle", "Get the bundle again")
                # Ours are stored; a packed one would be handed to decompressors with errors of their own.
                if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
                    raise zipfile.BadZipFile(f"{name} is packed")
            card_text, classifier = archive.read(CARD_MEMBER), archive.read(CLASSIFIER_MEMBER)
            parts = {name: archive.read(name) for name in optional}
    except (
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise BundleError(
            f"{origin} is no Leukolens bundle, or a damaged one", "Export it or fetch it again"
        ) from error
    try:
        card = Card.model_validate_json(card_text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "card"
        raise BundleError(
            f"{origin}: its card does not fit this version ({where}: {first['msg']})",
            "Use the Leukolens version that wrote it, or export it again",
        ) from error
    if (card.finding is None) != (DETECTOR_MEMBER not in parts):
        raise BundleError(
            f"{origin} is damaged: its card and its parts disagree on a detector",
            "Export it or fetch it again",
        )
    return Bundle(
        card,
        classifier,
        hashlib.sha256(content).hexdigest(),
        parts.get(DETECTOR_MEMBER),
        parts.get(FAMILIARITY_MEMBER),
        parts.get(REPLAY_MEMBER),
        parts.get(NORMALISATION_MEMBER),
        parts.get(QUICK_MEMBER),
        parts.get(VECTORS_MEMBER),
    )


def load(path: Path | None = None) -> Bundle:
    """The bundle in this file, or the one that ships with the package.

    Raises:
        BundleError: Where there is none, or it is damaged.
    """
    if path is None:
        shipped = resources.files("leukolens.bundles").joinpath("default.leukolens")
        if not shipped.is_file():
            raise BundleError(
                "this installation ships no bundle", "Install a release, or name a bundle with --bundle"
            )
        return unpack(shipped.read_bytes(), "the shipped bundle")
    try:
        return unpack(path.read_bytes(), str(path))
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror})", "Check the bundle's path") from error
