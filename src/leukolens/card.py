"""A bundle's card: what it is, how it frames and judges, and what it learned from, for anyone to check."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from leukolens.differential.confusion import Confusion
from leukolens.taxonomy import CLASS_KEYS


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
        None, description="accuracy of accepted cells, on validation groups"
    )
    accepted_share: float | None = Field(
        None, description="share of cells named leukocytes that are accepted, on validation groups"
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
    blind: int = Field(
        default=0, ge=0,
        description="cells that figures and verdict rest on where those are the ones that were named while no "
        "answer was shown; 0 where they rest on all cells",
    )  # fmt: skip


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
