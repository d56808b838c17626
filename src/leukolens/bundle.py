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
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from leukolens.differential.confusion import Confusion
from leukolens.errors import BundleError
from leukolens.taxonomy import CLASS_KEYS

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


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Framing(_Part):
    """How an image becomes the crop that the network sees."""

    size: int = Field(112, ge=32, le=512, description="side of the crop, in pixels")
    context: float = Field(
        2.0, gt=1.0, le=6.0, description="side of the framed square over the nucleus's extent"
    )
    white_balance: bool = Field(True, description="scale each channel so that the background is white")
    whole_image: bool = Field(False, description="squeeze the whole image instead of framing one cell")


class Judgement(_Part):
    """When an answer is safe to give."""

    temperature: float = Field(1.0, gt=0, description="logits are divided by it before the softmax")
    accept_above: float = Field(0.0, ge=0, le=1, description="probability from which a cell is accepted")
    accepted_accuracy: float | None = Field(
        None, description="accuracy above the threshold, on validation groups"
    )
    accepted_share: float | None = Field(
        None, description="share of cells above the threshold, on validation groups"
    )
    chosen_on: str = Field("", description="the groups that temperature and threshold were chosen on")
    sides: int = Field(
        1,
        ge=1,
        le=8,
        description="from how many sides a cell under the threshold is looked at, turned or mirrored",
    )
    usual_within: float | None = Field(
        None, ge=0, description="distance to learned cells within which 95 % of held-out white cells lie"
    )
    unlike_beyond: float | None = Field(
        None, ge=0, description="distance beyond which a cell is like none of those learned"
    )
    outside_share: float | None = Field(
        None, ge=0, le=1, description="share of cells beyond the former in the known laboratory with most"
    )
    sets: dict[str, float] = Field(
        {},
        description="probability from which a class is in a cell's set, for classes of nine groups or more",
    )
    set_coverage: float = Field(
        0.9, gt=0, lt=1, description="share of a class's cells, of groups like those, whose set holds it"
    )

    @model_validator(mode="after")
    def _known_sets(self) -> Judgement:
        unknown = [key for key in self.sets if key not in CLASS_KEYS]
        if unknown or not all(0 <= least <= 1 for least in self.sets.values()):
            raise ValueError(f"sets {self.sets} is not a probability for each of some taxonomy keys")
        return self


class LearnedFrom(_Part):
    """One data set that a bundle learned from."""

    name: str
    lab: str
    licence: str
    permissive: bool
    splits: list[str]
    images: int
    groups: int
    groups_sha256: str = Field(description="sha256 of the sorted group names, one a line")
    left_out: str = ""


class Finding(_Part):
    """How the cells of a field are found with the bundle's detector."""

    kinds: list[str] = Field(description="what each heatmap shows")
    red_cell: float = Field(gt=0, description="diameter at which red cells are shown to it, in pixels")
    accept: dict[str, float] = Field(description="score from which a find of each kind counts")
    suppression: float = Field(
        gt=0, le=1, description="overlap (intersection over union) from which a lesser find gives way"
    )
    chosen_on: str = Field(description="the fields that thresholds were chosen on")
    recipe: str = ""
    recipe_sha256: str = ""
    learned_from: list[LearnedFrom] = []

    @model_validator(mode="after")
    def _known_kinds(self) -> Finding:
        if len(set(self.kinds)) != len(self.kinds) or not {"white_cell", "red_cell", "platelet"} <= {
            *self.kinds
        }:
            raise ValueError(f"kinds {self.kinds} lack one that reading counts, or hold one twice")
        if set(self.accept) != set(self.kinds) or not all(0 <= score <= 1 for score in self.accept.values()):
            raise ValueError(f"accept {self.accept} is not a score of 0 to 1 for each kind")
        return self


class Quick(_Part):
    """What came of reading in 8-bit whole numbers: on held-out cells, or where none were, on some that taught it."""

    changed: float = Field(ge=0, le=1, description="share of cells that were given another class")
    decided: float = Field(ge=0, le=1, description="share of cells of which another decision was made")
    again: float = Field(ge=0, le=1, description="share of cells that were looked at in full once more")
    cells: int = Field(ge=1, description="how many were asked")
    chosen_on: str = Field(description="the cells that it was calibrated on, and those that it was asked of")


class Figure(_Part):
    """One measured figure, with the interval that goes with it."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    command: str = ""


class Adapted(_Part):
    """How a bundle was made another laboratory's own, and what that is known to have changed."""

    parent: str = Field(description="name of the bundle that it was made from")
    parent_sha256: str
    date: str = Field(description="ISO 8601 date, UTC")
    method: Literal["head", "network", "normalisation", "statistics"] = Field(
        description="head: the last layer learned labelled cells; network: all layers did; without labels, "
        "normalisation: the network's normalisation took the cells' statistics; statistics: features were matched"
    )
    cells: dict[str, int] = Field(description="labelled cells of each class that it learned from")
    unlabelled: int = Field(default=0, ge=0, description="cells without labels whose statistics were taken")
    groups: int = Field(ge=0, description="independent groups that the labelled cells come from")
    strength: float | None = Field(
        default=None, description="of the prior that holds the last layer to the parent's"
    )
    verdict: Literal["better", "no worse", "too few to tell", "not judged"]
    before: list[Figure] = Field(default=[], description="the parent's figures on the laboratory's cells")
    after: list[Figure] = Field(
        default=[], description="the same by last layers that had not learned from the cells"
    )
    difference: list[Figure] = Field(default=[], description="after less before, cell by cell")


class Card(_Part):
    """What a bundle is, in words and numbers that anyone can check."""

    schema_: Literal["leukolens.bundle/1"] = Field(default="leukolens.bundle/1", alias="schema")
    name: str
    leukolens: str = Field(description="version of the code that made it")
    commit: str = ""
    created: str = Field("", description="ISO 8601 date, UTC")
    network: str
    parameters: int
    recipe: str
    recipe_sha256: str
    seed: int
    classes: list[str]
    framing: Framing
    judgement: Judgement
    learned_from: list[LearnedFrom]
    confusion: Confusion | None = Field(
        default=None, description="answers by true class on held-out cells; null where not measured"
    )
    finding: Finding | None = Field(
        default=None, description="null where the bundle cannot read whole fields"
    )
    quick: Quick | None = Field(default=None, description="null where it is not read in whole numbers")
    figures: list[Figure] = []
    adapted: Adapted | None = Field(default=None, description="null where it is nobody's own")
    code_licence: str = "Apache-2.0"
    bytes_per_part: dict[str, int] = {}

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _known_classes(self) -> Card:
        unknown = [key for key in self.classes if key not in CLASS_KEYS]
        if unknown or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes {self.classes} are not a set of taxonomy keys")
        if self.confusion is not None and set(self.confusion.classes) != set(self.classes):
            raise ValueError("confusion is of other classes than the card's")
        return self

    @property
    def caution(self) -> str:
        """What must be known before answers are used: that nobody could tell what adapting did; empty otherwise."""
        own = self.adapted
        if own is None or own.verdict in ("better", "no worse"):
            return ""
        cells = f"{own.unlabelled} cells without labels" if own.unlabelled else "too few labelled cells"
        return (
            f"Nobody has measured what became of {self.name}: it was adapted with {cells}. Label some 60 cells of the "
            "laboratory and run `leukolens adapt` before trusting this."
        )


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
